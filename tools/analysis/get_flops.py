"""Multiplications and parameters of a network: of all tasks together, and of each task alone."""

from mtl.cli import run

if __name__ == '__main__':
    run('get_flops')
