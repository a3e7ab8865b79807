"""torch's containers, with the type of the modules they hold."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

Held = TypeVar('Held', bound=nn.Module, covariant=True)


class ModuleDict(nn.ModuleDict, Generic[Held]):
    """``nn.ModuleDict`` of modules of one type."""

    if TYPE_CHECKING:

        def __init__(self, modules: Mapping[str, Held]) -> None: ...
        def __getitem__(self, key: str) -> Held: ...
        def items(self) -> ItemsView[str, Held]: ...
        def values(self) -> ValuesView[Held]: ...


class ModuleList(nn.ModuleList, Generic[Held]):
    """``nn.ModuleList`` of modules of one type."""

    if TYPE_CHECKING:

        def __init__(self, modules: Iterable[Held]) -> None: ...
        def __getitem__(self, index: int) -> Held: ...  # type: ignore[override]  # slices are not asked for
        def __iter__(self) -> Iterator[Held]: ...
