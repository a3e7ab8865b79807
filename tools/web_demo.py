"""A web page on this machine: drop an image, choose tasks, see their maps and what they cost."""

from mtl.cli import run

if __name__ == '__main__':
    run('demo')
