"""Parameter groups: what trains, and what of it decays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmengine.optim import OptimWrapper
from torch import nn

from mtl.engine.unwrapping import unwrapped
from mtl.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MultiTaskOptimWrapperConstructor:
    """Groups of the parameters that train: with weight decay and without, and as many more as rates differ.

    Without decay are vectors and scalars (biases, norms, learned scales and loss weights), as in Swin's recipe, and
    what a module names itself through timm's protocol ``no_weight_decay()`` (the relative position tables). Frozen
    parameters are in no group.

    Args:
        optim_wrapper_cfg: ``dict(type='OptimWrapper', optimizer=dict(...), clip_grad=...)``.
        paramwise_cfg: ``dict(custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)})``, as in MMEngine: the rate
            and the decay of parameters whose name contains the key are multiplied; of several keys the longest counts.

    Raises:
        ValueError: another rule than these, or a key that is in no parameter's name.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        rules = dict(paramwise_cfg or {})
        self.custom_keys: dict[str, dict] = dict(rules.pop('custom_keys', {}))
        if rules:
            raise ValueError(
                f'paramwise_cfg knows custom_keys here, found {", ".join(map(repr, rules))} as well. For the other '
                "rules of MMEngine remove constructor='MultiTaskOptimWrapperConstructor' from optim_wrapper."
            )
        for key, factors in self.custom_keys.items():
            if unknown := set(factors) - {'lr_mult', 'decay_mult'}:
                raise ValueError(f'custom_keys[{key!r}] takes lr_mult and decay_mult; found {sorted(unknown)}.')

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper.

        Raises:
            ValueError: no parameter trains, or ``lr_mult`` (``decay_mult``) without a rate (decay) to multiply.
        """
        model = unwrapped(model)
        config = {'type': 'OptimWrapper', **self.optim_wrapper_cfg}
        optimizer = config.pop('optimizer')
        groups = []
        for group in parameter_groups(model, self.custom_keys):
            factors = dict(lr=group['lr_mult'], weight_decay=group['decay_mult'])
            own = {name: _times(optimizer, name, factor) for name, factor in factors.items() if factor != 1.0}
            groups.append({'params': group['params'], **own})
        wrapper = OPTIM_WRAPPERS.build({**config, 'optimizer': OPTIMIZERS.build({**optimizer, 'params': groups})})
        # for groups with rates of their own MMEngine logs a base rate, too; it would ignore `auto_scale_lr`
        wrapper.base_param_settings = None
        return wrapper


def parameter_groups(model: nn.Module, custom_keys: Mapping[str, Mapping[str, float]] | None = None) -> list[dict]:
    """The parameters that train, ``dict(params, lr_mult, decay_mult)`` for each pair of factors that occurs.

    Those without decay have the factor 0; groups are in the order in which their first parameters come.

    Args:
        model: network.
        custom_keys: see :class:`MultiTaskOptimWrapperConstructor`.
    """
    custom_keys = custom_keys or {}
    longest_first = sorted(custom_keys, key=len, reverse=True)
    exempt = {id(parameter) for parameter in _declared_exempt(model)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    unused = set(custom_keys)
    for name, parameter in model.named_parameters():
        matching = [key for key in longest_first if key in name]
        unused -= set(matching)
        if parameter.requires_grad:
            factors = custom_keys[matching[0]] if matching else {}
            decay = 0.0 if parameter.ndim <= 1 or id(parameter) in exempt else factors.get('decay_mult', 1.0)
            groups.setdefault((factors.get('lr_mult', 1.0), decay), []).append(parameter)
    if not groups:
        raise ValueError('No parameter of the model trains: look at model.backbone.trainable in the config.')
    if unused:
        parts = dict.fromkeys(name.split('.')[0] for name, _ in model.named_parameters())
        raise ValueError(
            f'custom_keys: no parameter has {", ".join(map(repr, sorted(unused)))} in its name. Names begin '
            f'with {", ".join(parts)}.'
        )
    return [dict(params=some, lr_mult=lr, decay_mult=decay) for (lr, decay), some in groups.items()]


def _times(optimizer: Mapping, name: str, factor: float) -> float:
    if factor == 0.0:
        return 0.0
    if name not in optimizer:
        raise ValueError(f'custom_keys multiplies {name}, but optim_wrapper.optimizer gives none: {dict(optimizer)}.')
    return optimizer[name] * factor


def _declared_exempt(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        names = getattr(module, 'no_weight_decay', set)()
        for name, parameter in module.named_parameters():
            if name in names:
                yield parameter
