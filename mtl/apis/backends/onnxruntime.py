"""ONNX Runtime, on graphs that are exported when they are first needed."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.logging import print_log

from mtl.apis.backends.base import BaseBackend
from mtl.apis.inputs import InputError
from mtl.errors import ExplainedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime
    from torch import Tensor

    from mtl.apis.backends.base import Run
    from mtl.models.slimmable import WidthConfig

NEEDED = ('onnxruntime', 'onnx', 'onnxscript')
KEPT = 16  # graphs in memory; the one that was not used for longest goes first
ANY = None  # the shape of a graph that takes any


class Backend(BaseBackend):
    """ONNX Runtime on the CPU, with as many threads as PyTorch has.

    A graph is that of one width and some tasks. The first is of the shape of the images that asked for it, which is
    exported in seconds. Where images of a second shape follow, one of any size and number of images is exported, which
    takes longer, once. Each is compared with the network before it is used, see :func:`mtl.deploy.export`.
    """

    title = 'ONNX Runtime'

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self._sessions: OrderedDict[tuple, onnxruntime.InferenceSession] = OrderedDict()
        self._takes_any = True  # until a network turns out to be of one size only
        self._making = RLock()

    @classmethod
    def chosen_device(cls, device: str | None = None) -> str:
        """See :class:`BaseBackend`; always the CPU."""
        for name in NEEDED:
            try:
                import_module(name)
            except ImportError as error:
                raise InputError(
                    f'The backend onnxruntime needs the packages {", ".join(NEEDED)}, and {name} cannot be imported '
                    f"({error}). They are the extra `export`: pip install 'mtl[export]'. Or take the backend pytorch."
                ) from error
        if device not in (None, 'cpu'):
            raise InputError(
                f'The backend onnxruntime runs on the CPU; found the device {device}. Leave the device out, or take '
                'the backend pytorch.'
            )
        return 'cpu'

    def prepared(self, shape: Sequence[int], tasks: Sequence[str], width: WidthConfig | None = None) -> Run:
        """See :class:`BaseBackend`; exports a graph where there is none yet."""
        session = self._session(tuple(shape), tuple(tasks), width)

        def run(inputs: Tensor) -> dict[str, Tensor]:
            outputs = session.run(None, {'image': np.ascontiguousarray(inputs.numpy())})
            return dict(zip(tasks, map(torch.from_numpy, outputs), strict=True))

        return run

    def _session(
        self, shape: tuple[int, ...], tasks: tuple[str, ...], width: WidthConfig | None
    ) -> onnxruntime.InferenceSession:
        with self._making:
            for known in (shape, ANY):
                if (tasks, width, known) in self._sessions:
                    self._sessions.move_to_end((tasks, width, known))
                    return self._sessions[tasks, width, known]
            start = time.monotonic()
            of_any = self._takes_any and any(key[:2] == (tasks, width) for key in self._sessions)
            try:
                session = self._exported(shape, tasks, width, of_any)
            except Exception as error:  # torch.export raises errors of many kinds for what it cannot trace
                if not of_any or isinstance(error, ExplainedError):
                    raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                print_log(
                    f'One graph for each size of image: the network has none of all ({reason}).',
                    'current',
                    logging.WARNING,
                )
                self._takes_any = of_any = False
                session = self._exported(shape, tasks, width, of_any)
            self._sessions[tasks, width, ANY if of_any else shape] = session
            if len(self._sessions) > KEPT:
                self._sessions.popitem(last=False)
            self.preparation += time.monotonic() - start
            return session

    def _exported(
        self, shape: tuple[int, ...], tasks: tuple[str, ...], width: WidthConfig | None, of_any: bool
    ) -> onnxruntime.InferenceSession:
        """The graph for images of ``shape``, or of any."""
        import onnxruntime

        from mtl.apis.widths import running_at
        from mtl.deploy import export

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        with TemporaryDirectory() as folder, running_at(self.model, None):
            path = Path(folder, 'network.onnx')
            export(
                self.model,
                self.config,
                path,
                tasks=tasks,
                width=width,
                merge=True,
                size=(shape[2], shape[3]),
                dynamic_batch=of_any or shape[0] > 1,
                dynamic_size=of_any,
                show_progress=self.show_progress,
            )
            return onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
