"""Evaluate a folder of predictions against the labels of a config's test set."""

from mtl.cli import run

if __name__ == '__main__':
    run('eval_predictions')
