"""Measure what the widths of a slimmable network take on this device: a table for search_width.py --budget ms=VALUE."""

from mtl.cli import run

if __name__ == '__main__':
    run('measure_latency')
