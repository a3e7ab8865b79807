"""Fold the adapters of a checkpoint into plain weights, and write the config that the result fits."""

from mtl.cli import run

if __name__ == '__main__':
    run('merge_adapters')
