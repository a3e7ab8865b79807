"""The network itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mtl.apis.backends.base import BaseBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from mtl.apis.backends.base import Run
    from mtl.models.slimmable import WidthConfig


class Backend(BaseBackend):
    """PyTorch, on a CPU or a GPU. Images of any shape run at any width at once: there is nothing to prepare."""

    title = 'PyTorch'

    @classmethod
    def chosen_device(cls, device: str | None = None) -> str:
        """See :class:`BaseBackend`; by default a GPU where there is one."""
        from mmengine.device import get_device

        from mtl.apis.loading import checked_device

        return checked_device(device) or get_device()

    def prepared(self, shape: Sequence[int], tasks: Sequence[str], width: WidthConfig | None = None) -> Run:
        """See :class:`BaseBackend`."""
        from mtl.apis.widths import running_at

        @torch.no_grad()
        def run(inputs: Tensor) -> dict[str, Tensor]:
            with running_at(self.model, width):
                return self.model.logits(inputs, tasks)

        return run
