"""Print a config as a run sees it: with everything it inherits and all options applied."""

from mtl.cli import run

if __name__ == '__main__':
    run('print_config')
