"""What is computed from weights alone, kept from one forward pass to the next while the weights are at rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar('T')

MOST_BYTES = 2**29  # images of many sizes, or weights that are new in every pass, would fill the memory
_of_thread = threading.local()


class KeptProducts:
    """While it is entered, :func:`kept` computes once what depends on weights alone; a context manager.

    A small network on a small image spends much of its time on such things: it gathers position biases, scales and
    stacks the factors of adapters, folds a BatchNorm into a convolution, packs matrices for oneDNN.

    A change of a weight that PyTorch counts (an optimizer's step, ``load_state_dict``, another tensor in its place) is
    noticed. Writes through ``weight.data`` are not counted, so whoever enters this says that there are none.

    What is kept takes about as much memory as the weights, and again for each image size; beyond :data:`MOST_BYTES` all
    of it is dropped and made anew. It goes with this object, which may be entered in several threads, and again within
    itself.
    """

    def __init__(self) -> None:
        self.entries: dict[Hashable, tuple[tuple[Tensor | None, ...], Any]] = {}
        self.bytes = 0

    def keep(self, key: Hashable, sources: tuple[Tensor | None, ...], result: Any) -> None:
        """Keep ``result``. The sources are held, or another tensor might get their address."""
        size = sum(_bytes(each) for each in (result if isinstance(result, tuple) else (result,)))
        if self.bytes + size > MOST_BYTES:
            self.entries.clear()
            self.bytes = 0
        self.entries[key] = sources, result
        self.bytes += size

    def __enter__(self) -> KeptProducts:
        self._stack().append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack().pop()

    @staticmethod
    def _stack() -> list[KeptProducts]:
        if not hasattr(_of_thread, 'stack'):
            _of_thread.stack = []
        return _of_thread.stack


def kept(name: Hashable, compute: Callable[[], T], *sources: Tensor | None) -> T:
    """``compute()``, or what it gave before, inside of :class:`KeptProducts`. The result must not be written to.

    Always computed with gradients, under autocast and in a tracer.

    Args:
        name: what it is; together with ``sources`` it says all that the result depends on.
        compute: gives a tensor, or a tuple of them.
        sources: weights, or what was kept of them.
    """
    stack = getattr(_of_thread, 'stack', None)
    if not stack or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return compute()
    if any(torch.is_autocast_enabled(kind) for kind in {each.device.type for each in sources if each is not None}):
        return compute()
    key = (name, *map(_state, sources))
    found = stack[-1].entries.get(key)  # another thread may drop it at any time
    if found is not None:
        return found[1]
    result = compute()
    stack[-1].keep(key, sources, result)
    return result


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _state(tensor: Tensor | None) -> Hashable:
    """Another one for another tensor, or after a change that PyTorch counts; a tensor of inference mode counts none."""
    if tensor is None:
        return None
    return id(tensor), tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version
