"""Parameter groups: what trains, and what of it decays."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import nn

from mtl.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MultiTaskOptimWrapperConstructor:
    """Two groups of the parameters that train: with weight decay and without.

    Without are vectors and scalars (biases, norms, learned scales and loss weights), as in Swin's recipe, and what a
    module names itself through timm's protocol ``no_weight_decay()`` (the relative position tables). Frozen
    parameters are in no group.

    Args:
        optim_wrapper_cfg: ``dict(type='OptimWrapper', optimizer=dict(...), clip_grad=...)``.
        paramwise_cfg: not supported; there for MMEngine's sake.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(
                'MultiTaskOptimWrapperConstructor takes no paramwise_cfg. For rules by name remove '
                "constructor='MultiTaskOptimWrapperConstructor' from optim_wrapper."
            )
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper.

        Raises:
            ValueError: no parameter trains.
        """
        if is_model_wrapper(model):
            model = model.module
        config = {'type': 'OptimWrapper', **self.optim_wrapper_cfg}
        optimizer = OPTIMIZERS.build({**config.pop('optimizer'), 'params': parameter_groups(model)})
        wrapper = OPTIM_WRAPPERS.build({**config, 'optimizer': optimizer})
        # for groups with rates of their own MMEngine logs a base rate, too; it would ignore `auto_scale_lr`
        wrapper.base_param_settings = None
        return wrapper


def parameter_groups(model: nn.Module) -> list[dict]:
    """The groups ``[decaying, not decaying]``, empty ones left out."""
    exempt = {id(parameter) for parameter in _declared_exempt(model)}
    decaying, constant = [], []
    for parameter in model.parameters():
        if parameter.requires_grad:
            group = constant if parameter.ndim <= 1 or id(parameter) in exempt else decaying
            group.append(parameter)
    if not decaying and not constant:
        raise ValueError('No parameter of the model trains: look at model.backbone.trainable in the config.')
    groups = [dict(params=decaying), dict(params=constant, weight_decay=0.0)]
    return [group for group in groups if group['params']]


def _declared_exempt(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        names = getattr(module, 'no_weight_decay', set)()
        for name, parameter in module.named_parameters():
            if name in names:
                yield parameter
