"""Print a model's parameters by group.

python tools/analysis/count_parameters.py configs/mtlora/mtlora_swin_hrnet_pascal.py
"""

import argparse

from mmengine.config import DictAction

from mtl.cli.shared.configs import read_config
from mtl.models.accounting import count_parameters
from mtl.registry import MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print the parameters of a model by group.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='override config values, key=value')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    # sizes do not depend on the weights, so none are fetched
    config.merge_from_dict({'model.backbone.pretrained': None, 'model.backbone.allow_random_init': True})
    for group, count in count_parameters(MODELS.build(config.model)).items():
        print(f'{group:<16}{count:>14,}')
