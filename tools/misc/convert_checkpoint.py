"""Convert checkpoints of other projects to the names of this one."""

from mtl.cli import run

if __name__ == '__main__':
    run('convert_checkpoint')
