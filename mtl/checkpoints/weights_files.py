"""Published checkpoints as safetensors: tensors, and a description in the header that is data by construction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mtl.errors import ExplainedError
from mtl.writing import write_atomically

SUFFIX = '.safetensors'


class WeightsFileError(ExplainedError, RuntimeError):
    """A safetensors file that is damaged, or whose description is none of ours."""


def read_weights_file(path: str | Path) -> dict:
    """``state_dict`` and ``meta`` of a file; ``meta`` is empty for one without a description.

    Raises:
        WeightsFileError: the file is damaged.
    """
    try:
        with safe_open(path, framework='pt') as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is not a mapping)
            meta = json.loads((file.metadata() or {}).get('mtl', '{}'))
    except (SafetensorError, ValueError) as error:
        raise WeightsFileError(f'{path} is not a complete safetensors file ({error}). Take another copy.') from error
    if not isinstance(meta, dict):
        raise WeightsFileError(f'{path}: its description must be a JSON object. Found {type(meta).__name__}.')
    return dict(state_dict=state, meta=meta)


def write_weights_file(checkpoint: Mapping, path: str | Path, half: bool = False) -> None:
    """Write the ``state_dict`` and the ``meta`` of a published checkpoint.

    Args:
        checkpoint: see :func:`mtl.checkpoints.publishing.published`.
        path: file to write, atomically.
        half: matrices and kernels in 16-bit floats; vectors, such as the statistics of norms, keep their 32 bits.
    """
    state = {key: _stored(value, half) for key, value in checkpoint['state_dict'].items()}
    write_atomically(path, save(state, metadata={'mtl': json.dumps(checkpoint['meta'])}))


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.half() if half and value.ndim > 1 and value.dtype == torch.float32 else value.clone()
