"""Evaluate a checkpoint of a config."""

from mtl.cli import run

if __name__ == '__main__':
    run('test')
