"""Draw what the network really sees of a data set: images and labels after the pipeline, missing labels as such."""

from mtl.cli import run

if __name__ == '__main__':
    run('browse_dataset')
