"""Print a model's parameters by group."""

from mtl.cli import run

if __name__ == '__main__':
    run('count_parameters')
