"""From a checkpoint file to a network and the pipeline of its images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from mmcv.transforms import Compose
from mmengine.config import Config, ConfigDict
from torch import nn

from mtl import shipped
from mtl.apis.inputs import InputError
from mtl.checkpoints import UntrustedCheckpointError, read_checkpoint
from mtl.checkpoints.adapters_only import BaseMismatchError, is_adapter_only
from mtl.checkpoints.restoring import image_size, restore_model, stored_config
from mtl.registry import TRANSFORMS


def network_in_the_box() -> Path:
    """The network that comes with the package.

    Raises:
        InputError: this installation lacks it.
    """
    found = shipped.find('checkpoints/demo.safetensors')
    if found is None:
        raise InputError(
            f'Name a checkpoint: the one that comes with the package, checkpoints/demo.safetensors, is neither in this '
            f'folder nor in {shipped.ROOT}.'
        )
    return found


def load_network(
    weights: str, config: Config | ConfigDict | None = None, pretrained: str | None = None
) -> tuple[nn.Module, Config, dict]:
    """The network of a checkpoint, in evaluation mode on the CPU, its config, and the checkpoint's description.

    Args:
        weights: checkpoint, a file or an address.
        config: its config, where the checkpoint holds none, or another one.
        pretrained: the frozen base of an adapter-only checkpoint; by default what its config says.

    Raises:
        InputError: a file that is not a checkpoint, that lacks a config or its frozen base, or does not fit the config.
        FileNotFoundError, UntrustedCheckpointError: see :func:`mtl.checkpoints.io.load_weights_only`.
        BaseMismatchError: another base than the adapters were trained on.
    """
    checkpoint = _read(weights)
    adapters_only = is_adapter_only(checkpoint)
    try:
        config = config or stored_config(checkpoint)
        config = config if isinstance(config, Config) else Config(config)
        return restore_model(checkpoint, config, pretrained), config, checkpoint.get('meta', {})
    except ValueError as error:
        raise InputError(f'{weights}: {error}') from error
    except RuntimeError as error:
        if not adapters_only or isinstance(error, BaseMismatchError):
            raise
        raise InputError(
            f'{weights} holds adapters only. Their frozen base is needed, too; say where it is with pretrained=FILE '
            f'(--pretrained FILE). {error}'
        ) from error


def _read(weights: str) -> dict:
    try:
        return read_checkpoint(weights)
    except (RuntimeError, EOFError, OSError) as error:
        if isinstance(error, (UntrustedCheckpointError, FileNotFoundError)):
            raise
        raise InputError(f'{weights} cannot be read as a checkpoint ({str(error).splitlines()[0]}).') from error


def inference_pipeline(config: Config | ConfigDict, keep_ratio: bool = True) -> Compose:
    """The test pipeline of a config without what reads files; without one, a resize to the size of the training.

    Args:
        config: of a run.
        keep_ratio: images keep their shape: where the test pipeline resizes to a fixed ``(height, width)``, their short
            side gets the shorter of the two instead. ``False`` for exactly what a test does.
    """
    steps = _find_pipeline(config.get('test_dataloader', {}).get('dataset', {}))
    if steps is None:
        steps = [dict(type='Resize', size=image_size(config)), dict(type='Pack')]
    kept = [step for step in steps if str(step['type']).split('.')[-1] not in ('LoadImage', 'LoadLabels')]
    return Compose([TRANSFORMS.build(_without_distortion(step) if keep_ratio else step) for step in kept])


def _without_distortion(step: Mapping) -> Mapping:
    if step['type'] not in ('Resize', 'mtl.Resize') or step.get('keep_ratio'):
        return step
    return dict(type='ResizeShortSide', size=min(step['size']))


def _find_pipeline(dataset: Mapping) -> list | None:
    """The pipeline of a data set, or of the first inside its wrappers."""
    if 'pipeline' in dataset:
        return dataset['pipeline']
    inner = dataset.get('dataset') or next(iter(dataset.get('datasets', [])), None)
    return None if inner is None else _find_pipeline(inner)


def checked_device(device: str | None) -> str | None:
    """The device, if this machine has it.

    Raises:
        InputError: it does not.
    """
    if device is not None and str(device).startswith('cuda') and not torch.cuda.is_available():
        raise InputError(f'The device {device} was asked for, and PyTorch finds no GPU. Leave the device out, or cpu.')
    try:
        torch.device(device or 'cpu')
    except RuntimeError as error:
        raise InputError(f"Unknown device {device!r}; devices are called 'cpu', 'cuda' or 'cuda:1'.") from error
    return device
