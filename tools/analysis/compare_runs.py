"""Print a table of runs: metrics, delta_m, trained parameters by group, multiplications, time."""

from mtl.cli import run

if __name__ == '__main__':
    run('compare_runs')
