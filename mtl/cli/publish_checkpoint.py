"""Make a checkpoint ready for others: weights and what is needed to use them, nothing of the training.

    python tools/misc/publish_checkpoint.py work_dirs/quickstart/epoch_4.pth quickstart.pth
    python tools/misc/publish_checkpoint.py work_dirs/quickstart/epoch_4.pth quickstart_adapters.pth --adapters-only
    python tools/misc/publish_checkpoint.py work_dirs/quickstart/epoch_4.pth quickstart.safetensors --half \\
        --results work_dirs/quickstart

Optimizer, schedules, histories and what only training needs are left out; config, tasks, classes and palette stay in
`meta`. Eight characters of the file's hash go into the name of a .pth; a .safetensors keeps the name you give.
`--adapters-only` leaves the frozen base out as well: it comes from `model.backbone.pretrained` of the config again, and
is checked by a fingerprint. `--results` adds what the run measured after the checkpoint's epoch, at each width; the web
page shows it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.adapters_only import is_adapter_only, leave_out_base
from mtl.checkpoints.publishing import published, save_with_hash
from mtl.checkpoints.restoring import build_for_checkpoint, stored_config
from mtl.checkpoints.weights_files import SUFFIX, write_weights_file
from mtl.cli.shared.configs import check_checkpoint
from mtl.cli.shared.logs import read_log
from mtl.cli.shared.running import UsageError
from mtl.tasks import select_tasks


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', help='checkpoint of a run')
    parser.add_argument('output', type=Path, help='file to write: .pth, with the hash in its name, or .safetensors')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='keep these tasks only')
    parser.add_argument('--half', action='store_true', help='16-bit floats (safetensors only)')
    parser.add_argument('--results', metavar='LOG', help='work dir or scalars.json whose validation results to add')
    parser.add_argument('--adapters-only', action='store_true', help='leave the frozen base out')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    args = parser.parse_args()
    if args.half and args.output.suffix != SUFFIX:
        parser.error(f'--half needs an output that ends in {SUFFIX}; found {args.output}.')
    return args


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    check_checkpoint(args.input)
    checkpoint = read_checkpoint(args.input)
    try:
        config = stored_config(checkpoint)
        select_tasks(config.model.tasks, args.tasks)
    except ValueError as error:
        raise UsageError(f'{args.input}: {error}') from error
    meta = checkpoint['meta']
    if args.results:
        meta = dict(meta, results=results_after(args.results, meta))
    result = published(checkpoint['state_dict'], config, meta, args.tasks)
    if args.adapters_only and not is_adapter_only(checkpoint):
        model = build_for_checkpoint(config)
        model.load_state_dict(result['state_dict'])
        leave_out_base(model, result)
    if args.output.suffix == SUFFIX:
        path = args.output
        write_weights_file(result, path, args.half)
    else:
        path = save_with_hash(result, args.output)
    print(f'{path}: {len(result["state_dict"])} tensors, {path.stat().st_size / 2**20:.1f} MiB')


def results_after(log: str, meta: Mapping) -> dict[str, dict[str, float]]:
    """What a run measured of one of its checkpoints, ``{width: {'<task>/<metric>': value}}``.

    Args:
        log: work dir of the run, or a scalars.json in it.
        meta: of the checkpoint.

    Raises:
        UsageError: there is no log, or no evaluation after the checkpoint's epoch in it.
    """
    try:
        found = read_log(log)
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(f'--results: {error}') from error
    results = next((found.results(meta[count]) for count in ('epoch', 'iter') if count in meta), {})
    if not results:
        raise UsageError(
            f'--results: {log} has no evaluation after epoch {meta.get("epoch")}, which is that of the checkpoint. '
            'Name the log of the run that wrote it.'
        )
    return results
