"""Verify every file of a data set, and cache the labels that are slow to read."""

from mtl.cli import run

if __name__ == '__main__':
    run('prepare')
