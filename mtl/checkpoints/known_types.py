"""Which classes a config out of a checkpoint may build: those that are registered, and no others.

MMEngine's registry resolves a ``type`` that nobody registered by importing it, so ``type='os.system'`` is called with
the arguments beside it. A config that a person names on the command line may do so; one that comes out of a file from
somebody else may not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

from mtl import registry as mtl_registry

SCOPES = ('mtl', 'mmengine', 'mmcv', 'mmseg')


def unknown_type(config: Mapping) -> str | None:
    """The first name in ``config`` that building it would look up outside the registries, as ``'<where>=<name>'``.

    Checked are every ``type``, at any depth, and every ``_scope_`` and ``default_scope``, which name a package to
    import.
    """
    for where, key, name in _names(config):
        known = name in SCOPES if key in ('_scope_', 'default_scope') else registered(name) is not None
        if not known:
            return f'{where}={name!r}'
    return None


def _names(node: object, where: str = '') -> Iterator[tuple[str, str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            here = f'{where}.{key}' if where else str(key)
            if key in ('type', '_scope_', 'default_scope') and isinstance(value, str):
                yield here, key, value
            else:
                yield from _names(value, here)
    elif isinstance(node, (list, tuple, set)):
        for index, value in enumerate(node):
            yield from _names(value, f'{where}.{index}')


def registered(name: str) -> Callable[..., object] | None:
    """The class or function of that name, from the registries of this package, MMEngine's or mmseg's; else ``None``."""
    scope, _, bare = name.rpartition('.')
    if scope not in ('', *SCOPES):
        return None
    registries = _of_mmseg() if scope == 'mmseg' else _registries()
    return next((registry.module_dict[bare] for registry in registries if bare in registry.module_dict), None)


def _registries() -> Iterator[Registry]:
    """Those of this package, with all that they find in their locations, and MMEngine's, where mmcv registers, too."""
    for module in (mtl_registry, mmengine_registry):
        for registry in vars(module).values():
            if isinstance(registry, Registry):
                if module is mtl_registry:
                    registry.import_from_location()
                yield registry


def _of_mmseg() -> Iterator[Registry]:
    """Its transforms, and only if the name is not among them its models, which take long to import."""
    with redirect_stdout(io.StringIO()):  # it prints which of its own extras are missing
        import mmseg.datasets.transforms
    from mmseg.registry import MODELS, TRANSFORMS

    yield TRANSFORMS
    import mmseg.models  # noqa: F401

    yield MODELS
