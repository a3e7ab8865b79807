"""Draw the gates of a mixture of experts: how much each task takes of each expert and of its memory, pixel by pixel."""

from mtl.cli import run

if __name__ == '__main__':
    run('show_gates')
