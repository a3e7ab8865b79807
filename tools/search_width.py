"""Find the width that serves given preferences best within a budget."""

from mtl.cli import run

if __name__ == '__main__':
    run('search')
