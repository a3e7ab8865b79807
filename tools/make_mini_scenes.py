"""Make MiniScenes, the embedded data set, in the layout of PASCAL-Context or NYUD-v2."""

from mtl.cli import run

if __name__ == '__main__':
    run('make_mini_scenes')
