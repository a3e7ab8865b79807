"""Cut a smaller network out of a slimmable one: an ordinary checkpoint, and the config that it fits."""

from mtl.cli import run

if __name__ == '__main__':
    run('materialize')
