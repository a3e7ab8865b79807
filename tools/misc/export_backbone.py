"""Take the backbone out of a training checkpoint, as pretrained weights for other runs."""

from mtl.cli import run

if __name__ == '__main__':
    run('export_backbone')
