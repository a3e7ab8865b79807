"""Convert checkpoints of other projects to the names of this one.

    python tools/misc/convert_checkpoint.py mtlora published.pth mtlora.pth --rename-task sal=saliency
    python tools/misc/convert_checkpoint.py swin swin_tiny_patch4_window7_224.pth swin_tiny.pth
    python tools/misc/convert_checkpoint.py timm model.safetensors swin_tiny.pth

`mtlora` (github.com/scale-lab/MTLoRA) gives a checkpoint of a whole network for `tools/test.py` or `load_from`; `swin`
(the original release) and `timm` give a bare backbone for `model.backbone.pretrained`. Any size, any tasks. Every key
is used or listed as dropped; a key that belongs nowhere is an error. What the weights tell about the config is printed
and stored in the new file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.runner import save_checkpoint

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.convert_mtlora import convert_mtlora, convert_swin, published_options, reading_published_configs
from mtl.checkpoints.describe import describe_backbone
from mtl.checkpoints.swin_keys import Renamed
from mtl.cli.shared.running import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=['mtlora', 'swin', 'timm'], help='where the checkpoint comes from')
    parser.add_argument('input', help='file (.pth or .safetensors) or address')
    parser.add_argument('output', help='file to write')
    parser.add_argument(
        '--rename-task', nargs='+', default=[], metavar='OLD=NEW', help='new names of tasks, e.g. sal=saliency'
    )
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    checkpoint = read(args.input)
    state = checkpoint
    for wrapper in ('model', 'state_dict'):
        state = state.get(wrapper, state)
    rename_tasks = renaming(args.rename_task)
    try:
        renamed = convert(args.kind, state, rename_tasks)
    except ValueError as error:
        raise UsageError(f'{args.input}: {error}') from error
    backbone = describe_backbone(renamed.state)
    if args.kind == 'mtlora':
        backbone = published_options(backbone, state, checkpoint.get('config'), rename_tasks)
    meta = dict(converted_from=f'{args.kind}: {Path(args.input).name}', backbone=backbone, dropped=renamed.dropped)
    save_checkpoint(dict(state_dict=renamed.state, meta=meta), args.output, backend_args=dict(backend='atomic'))
    report(args.output, renamed, backbone)


def read(path: str) -> dict:
    """The checkpoint, with the configs that the published code stores as plain dicts."""
    if '://' not in path and not Path(path).is_file():
        raise UsageError(f'There is no checkpoint {path}.')
    if path.endswith('.safetensors'):
        from safetensors.torch import load_file

        return load_file(path)
    with reading_published_configs():
        return read_checkpoint(path)


def renaming(pairs: list[str]) -> dict[str, str]:
    """``['sal=saliency']`` as a dict."""
    wrong = [pair for pair in pairs if pair.count('=') != 1]
    if wrong:
        raise UsageError(f'--rename-task takes OLD=NEW; found {wrong[0]!r}.')
    return dict(pair.split('=') for pair in pairs)


def convert(kind: str, state: dict, rename_tasks: dict[str, str]) -> Renamed:
    """The state dict in our names."""
    if kind == 'mtlora':
        return convert_mtlora(state, rename_tasks)
    if rename_tasks:
        raise ValueError(f'--rename-task: a checkpoint of kind {kind} has no tasks.')
    return convert_swin(state, original=kind == 'swin')


def report(output: str, renamed: Renamed, backbone: dict) -> None:
    """Print what was used, what was not and why, and what the config must say."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in renamed.dropped.items():
        by_reason.setdefault(reason, []).append(key)
    print(f'{output}: {len(renamed.state)} tensors.')
    for reason, keys in by_reason.items():
        print(f'dropped, {reason}:')
        print(*(f'  {key}' for key in keys), sep='\n')
    print('The weights fit a config with')
    print(*(f'  model.backbone.{key} = {value!r}' for key, value in backbone.items()), sep='\n')
