"""odsF, oisF and AP of boundary maps."""

from mtl.cli import run

if __name__ == '__main__':
    run('eval_boundary')
