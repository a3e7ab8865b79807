"""Collect single-task results into a baseline file, from which delta_m is computed."""

from mtl.cli import run

if __name__ == '__main__':
    run('make_baseline')
