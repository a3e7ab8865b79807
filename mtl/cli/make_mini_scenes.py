"""Make MiniScenes, the embedded data set, in the layout of PASCAL-Context or NYUD-v2.

python tools/make_mini_scenes.py pascal data/mini_scenes --num-train 2000 --num-val 400 --size 192 192 --seed 0 --jobs 2
"""

from __future__ import annotations

import argparse

from mtl.mini_scenes import ensure_nyud, ensure_pascal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('layout', choices=['pascal', 'nyud'], help='the published layout to write')
    parser.add_argument('out', help='folder to make; left alone if it was made with the same arguments')
    parser.add_argument('--num-train', type=int, default=2000, help='training images (default: %(default)s)')
    parser.add_argument('--num-val', type=int, default=400, help='validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=(192, 192), metavar=('H', 'W'), help='in pixels')
    parser.add_argument('--seed', type=int, default=0, help='same seed, same bytes (default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument('--style', default='day', help='visual domain: day or dusk (default: %(default)s)')
    parser.add_argument('--edition', choices=['mti', 'atrc'], help='of NYUD-v2: the MTI-Net (default) or ATRC one')
    args = parser.parse_args()
    arguments = {key: value for key, value in vars(args).items() if key not in ('layout', 'out', 'edition')}
    try:
        if args.layout == 'nyud':
            ensure_nyud(args.out, **arguments, edition=args.edition or 'mti')
        elif args.edition:
            parser.error('--edition distinguishes copies of NYUD-v2; PASCAL-Context has only one.')
        else:
            ensure_pascal(args.out, **arguments)
    except (FileExistsError, ValueError) as error:
        parser.exit(2, f'{error}\n')
    except KeyboardInterrupt:
        parser.exit(130, f'Stopped. Nothing was left in {args.out}.\n')
