"""What a checkpoint holds against what the config asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import ReduceOnPlateauParamScheduler

from mtl.checkpoints.config_text import ConfigTextError, read_config_text
from mtl.checkpoints.finite import check_finite
from mtl.checkpoints.restoring import MisfitError
from mtl.engine.unwrapping import unwrapped

SCHEDULE = ('param_scheduler', 'optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg')


def prepare_loaded(runner, checkpoint: dict) -> None:
    """Look at a checkpoint that ``runner`` has read, before it takes it: to resume, to start from, or to evaluate.

    Raises:
        NotFiniteError: a weight is inf or NaN.
        MisfitError: none of its weights is one of the network's.
    """
    state = checkpoint.get('state_dict', checkpoint)
    check_finite(state, f'The checkpoint {runner._load_from or ""}'.rstrip(), 'Take an earlier one.')
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # MMEngine would run it
    if runner._resume:
        _follow_schedule(runner, checkpoint)
    else:
        _report_fit(runner, state)


def _report_fit(runner, state: Mapping) -> None:
    wanted = unwrapped(runner.model).state_dict()
    given = {name.removeprefix('module.'): value for name, value in state.items()}
    fitting = sum(name in given and given[name].shape == value.shape for name, value in wanted.items())
    source = runner._load_from or 'the checkpoint'
    if not fitting:
        found = ', '.join(list(given)[:3]) or 'nothing'
        raise MisfitError(
            f'None of the {len(wanted)} tensors of the network is in {source}, which holds {found} ...: it is of '
            'another network. Weights of a bare backbone go into model.backbone.pretrained.'
        )
    if fitting < len(wanted):
        first = next(n for n, v in wanted.items() if n not in given or given[n].shape != v.shape)
        message = (
            f'{source} gives {fitting} of the {len(wanted)} tensors of the network; the others start anew: {first} ...'
        )
        print_log(message, 'current', logging.WARNING)


def _follow_schedule(runner, checkpoint: dict) -> None:
    """Where the config's schedule has changed since the run began, go on with the config's, at the position reached.

    Schedulers change a rate by what it was before, so the new ones are stepped from the start to the position on the
    rates of the config: those of a run that had this config from its beginning.
    """
    changes = list(_changes(checkpoint.get('meta', {}).get('cfg', ''), runner.cfg))
    if not changes or 'optimizer' not in checkpoint or 'param_schedulers' not in checkpoint:
        return
    schedulers = runner.param_schedulers
    listed = schedulers if isinstance(schedulers, list) else []
    what = '; '.join(changes)
    if not isinstance(schedulers, list) or any(isinstance(s, ReduceOnPlateauParamScheduler) for s in listed):
        print_log(f'The schedule of the checkpoint is kept. The config differs: {what}.', 'current', logging.WARNING)
        return
    done, epochs = checkpoint['meta']['iter'], checkpoint['meta']['epoch']
    each = done // epochs if epochs else done + 1
    for iteration in range(1, done + 1):
        for scheduler in listed:
            if not scheduler.by_epoch:
                scheduler.step()
        if iteration % each == 0:
            for scheduler in listed:
                if scheduler.by_epoch:
                    scheduler.step()
    # the moments of the optimizer come from the checkpoint, its rates from the config
    stored, groups = checkpoint['optimizer']['param_groups'], runner.optim_wrapper.param_groups
    for old, new in zip(stored, groups, strict=False):
        old.update({key: value for key, value in new.items() if key != 'params'})
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in listed]
    print_log(
        f'The config differs from the one that the run began with: {what}. Iterations from {done + 1} on are as if '
        'it had begun with the config of now.',
        'current',
        logging.WARNING,
    )


def _changes(text: str, config: Config) -> Iterator[str]:
    """What of the schedule differs, each as ``'<key> <then> -> <now>'``."""
    try:
        before = read_config_text(text)
    except ConfigTextError:
        return
    for key in SCHEDULE:
        then, now = _flat(before, key), _flat(config, key)
        for name in dict.fromkeys([*then, *now]):
            if then.get(name) != now.get(name):
                yield f'{name} {then.get(name, "none")} -> {now.get(name, "none")}'


def _flat(config: Config, key: str) -> dict:
    """``{'param_scheduler.1.T_max': 5, ...}``."""
    node = config
    for part in key.split('.'):
        node = node.get(part) if isinstance(node, (Mapping, Config)) else None
    return dict(_leaves(node, key))


def _leaves(node, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f'{name}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _leaves(value, f'{name}.{index}')
    elif node is not None:
        yield name, node
