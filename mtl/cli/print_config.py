"""Print a config as a run sees it: with everything it inherits and all options applied.

python tools/analysis/print_config.py configs/quickstart.py
python tools/analysis/print_config.py configs/mtlora_swin_pascal.py --cfg-options data_root=/data/PASCAL_MT
python tools/analysis/print_config.py work_dirs/quickstart/epoch_4.pth --key model.backbone
"""

from __future__ import annotations

import argparse

from mmengine.config import Config, DictAction

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.restoring import stored_config
from mtl.cli.shared.configs import change_options, check_checkpoint, read_config
from mtl.cli.shared.running import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or a checkpoint with a config in it')
    parser.add_argument('--key', help='this part only, e.g. model.backbone')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    config = read(args.config)
    change_options(config, args.cfg_options)
    if args.key:
        config = part(config, args.key)
    print(config.pretty_text if isinstance(config, Config) else repr(config))


def read(path: str) -> Config:
    """The config in a file of either kind."""
    if not path.endswith('.pth'):
        return read_config(path)
    check_checkpoint(path)
    try:
        return stored_config(read_checkpoint(path))
    except ValueError as error:
        raise UsageError(f'{path}: {error}') from error


def part(config: Config, key: str):
    """What stands under a dotted key; numbers are places in a list."""
    node = config
    for name in key.split('.'):
        try:
            node = node[int(name)] if isinstance(node, (list, tuple)) else node[name]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            known = f' There is {", ".join(map(str, node))}.' if isinstance(node, (dict, Config)) else ''
            raise UsageError(f'The config has no {key}: {name!r} is missing.{known}') from error
    return Config(dict(node)) if isinstance(node, dict) else node
