"""Write a network as a file that runs without this package, and check that the file gives the network's numbers."""

from mtl.cli import run

if __name__ == '__main__':
    run('export')
