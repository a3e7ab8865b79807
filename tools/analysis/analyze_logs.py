"""Tables and curves of what runs have logged."""

from mtl.cli import run

if __name__ == '__main__':
    run('analyze_logs')
