"""Draw what a network says of an image: one panel with all tasks."""

from mtl.cli import run

if __name__ == '__main__':
    run('predict')
