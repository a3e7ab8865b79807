"""Make a checkpoint ready for others: weights and what is needed to use them, nothing of the training."""

from mtl.cli import run

if __name__ == '__main__':
    run('publish_checkpoint')
