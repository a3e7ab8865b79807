"""How far one checkpoint can be controlled: results over budgets, and over preferences at one budget."""

from mtl.cli import run

if __name__ == '__main__':
    run('controllability')
