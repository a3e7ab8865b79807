"""Start a model with parts of another one."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.logging import print_log
from torch import nn

from mtl import shipped
from mtl.checkpoints.io import load_weights_only
from mtl.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class FromCheckpoint:
    """Copy parts of a checkpoint into a model before it is trained.

    In a config, ``model=dict(init_cfg=dict(type='FromCheckpoint', checkpoint='network.pth'), ...)``.
    A tensor is copied if the model has one of the same name and shape. Everything else keeps its own start, so the two
    models may have different tasks. ``load_from`` is stricter: it loads a checkpoint of the same model.

    Args:
        checkpoint: file of a training run or published; also a path below the files that come with the package.
        parts: modules of the model whose tensors are copied.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has no tensor that fits.
    """

    def __init__(self, checkpoint: str, parts: Sequence[str] = ('decoder', 'heads')) -> None:
        self.checkpoint, self.parts = checkpoint, tuple(f'{part}.' for part in parts)

    def __call__(self, module: nn.Module) -> None:
        path = shipped.find(self.checkpoint)
        if path is None:
            raise FileNotFoundError(f'init_cfg names the checkpoint {self.checkpoint}, which does not exist.')
        file = load_weights_only(path, map_location='cpu')
        source, wanted = file.get('state_dict', file), module.state_dict()
        wanted = {name: value for name, value in wanted.items() if name.startswith(self.parts)}
        fits = {name: source[name] for name in wanted if name in source and source[name].shape == wanted[name].shape}
        if not fits:
            raise ValueError(
                f'No tensor of {path} has the name and shape of a tensor in {", ".join(self.parts)} of the model. '
                f'Expected for instance {next(iter(wanted), "any tensor")}.'
            )
        module.load_state_dict(fits, strict=False)
        parts = ' and '.join(part.removesuffix('.') for part in self.parts)
        print_log(f'Starting weights: {path} gives {len(fits)} of {len(wanted)} tensors of {parts}.', 'current')
