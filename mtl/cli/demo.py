"""A web page on this machine: drop an image, choose tasks, see their maps and what they cost.

    python tools/web_demo.py work_dirs/quickstart/epoch_4.pth

Of a slimmable network it also has a budget and a preference for each task. Nothing is sent anywhere, and only this
machine can open the page; `--host 0.0.0.0` lets others in. Needs the extra `demo` (pip install -e '.[demo]').
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from mtl.apis import InputError, MultiTaskInferencer
from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.running import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint of a run, or a published one (default: the network that comes with the package)',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (default: %(default)s)')
    parser.add_argument('--port', type=int, help='(default: the first free one from 7860 on)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU where there is one)')
    parser.add_argument('--config', help='config, where the checkpoint holds none')
    parser.add_argument('--pretrained', help='file of the frozen base of a checkpoint that holds adapters only')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    try:
        from mtl.demo.answers import Answers
        from mtl.demo.page import EXAMPLES, build_page, serve
    except ModuleNotFoundError as error:
        raise UsageError(f"{error}. The page needs the extra `demo`: pip install -e '.[demo]'") from error
    try:
        inferencer = MultiTaskInferencer(args.checkpoint, args.config, args.device, pretrained=args.pretrained)
    except InputError as error:
        raise UsageError(str(error)) from error
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that uploads go, as they do after Ctrl-C
    name = Path(args.checkpoint).name if args.checkpoint else 'the one that comes with mtl'
    page = build_page(Answers(inferencer), name, EXAMPLES)
    try:
        serve(page, args.host, args.port)
    except OSError as error:
        raise UsageError(f'{args.host} port {args.port or "7860 and after"}: {error}') from error
