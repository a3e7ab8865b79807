"""Measure latency and memory of a network, from normalised pixels to the predictions of all tasks."""

from mtl.cli import run

if __name__ == '__main__':
    run('benchmark')
