"""Predictions and pictures of every task, from a checkpoint alone."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log

from mtl.apis.inputs import Input, InputError, Picture, Pictures
from mtl.apis.outputs import PanelWriter, write_maps
from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task, select_tasks
from mtl.tasks.base import as_numpy
from mtl.tasks.classes import recoloured
from mtl.visualization import draw_predictions

if TYPE_CHECKING:  # networks come with what trains them, which takes seconds: imported when the first one is loaded
    from mtl.apis.widths import Width


@dataclass(frozen=True)
class Result:
    """What became of one input.

    Args:
        name: names its files.
        source: path, ``'<path> frame <number>'``, or ``'array <number>'``.
        predictions: ``{task: map}`` at the size of the input, as :class:`MultiTaskInferencer` says.
        sample: the same as ``pred_<task>`` tensors on the CPU; ``None`` where the input is broken.
        panel: picture of all predictions, ``[H, W, 3]`` uint8 RGB, where it was asked for.
        fault: why there is no sample.
    """

    name: str
    source: str
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    sample: MultiTaskDataSample | None = None
    panel: np.ndarray | None = None
    fault: str = ''


class MultiTaskInferencer:
    """One map per task for images, folders, patterns, videos and arrays.

    In the shape of mmsegmentation's ``MMSegInferencer``. A checkpoint of a run, or a published one, is all it needs:
    tasks, classes, palette and preprocessing are in it. Of a checkpoint that holds adapters only, the frozen base must
    be at hand as well (``pretrained``).

    >>> inferencer = MultiTaskInferencer()
    >>> maps = inferencer('photograph.jpg')['predictions']
    >>> maps['depth'].shape, maps['normals'].shape

    Threads may share one: calls are right, one after the other on the network.

    Predictions are numpy arrays at the size of the input: class ids ``[H, W]`` uint8 (semantic and part segmentation);
    probabilities ``[H, W]`` (saliency, boundary); metres ``[H, W]`` (depth); unit vectors ``[3, H, W]``, x right, y
    down, z towards the camera (normals).

    Args:
        weights: checkpoint, a file or an address. Files are read weights-only, see :mod:`mtl.checkpoints.io`.
            By default the network that comes with the package (``checkpoints/README.md`` says what it knows).
        model: config (file or object) where the checkpoint holds none, or another one.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; by default a GPU where there is one.
        palette: colours of the classes, for all tasks: see :func:`mtl.tasks.classes.recoloured`, e.g.
            ``'colour_blind_safe'``.
        pretrained: the frozen base of an adapter-only checkpoint; by default what its config says.
        keep_ratio: images keep their shape: their short side gets the shorter side of the test pipeline's size. With
            ``False`` they are resized exactly as in a test.
        show_progress: how far folders and videos are: a bar on a terminal, lines in a log.

    Attributes:
        results: what the checkpoint says of the network's quality, ``{width: {'<task>/<metric>': value}}``; empty
            where it says nothing.

    Raises:
        InputError: a checkpoint, a config or a device that cannot be used, in a sentence.
    """

    # options by the step that takes them
    preprocess_kwargs = frozenset({'channel_order'})
    forward_kwargs = frozenset({'tasks', 'width'})
    visualize_kwargs = frozenset({'return_vis', 'show', 'wait_time', 'img_out_dir', 'map_out_dir', 'opacity'})
    postprocess_kwargs = frozenset({'pred_out_dir'})

    def __init__(
        self,
        weights: str | Path | None = None,
        model: str | Path | Config | None = None,
        device: str | None = None,
        palette: str | Sequence | None = None,
        pretrained: str | None = None,
        keep_ratio: bool = True,
        show_progress: bool = True,
    ) -> None:
        from mmengine.dataset import pseudo_collate
        from mmengine.device import get_device

        from mtl.apis.loading import checked_device, inference_pipeline, load_network, network_in_the_box

        if isinstance(model, (str, Path)) and not Path(model).is_file():
            raise InputError(f'There is no config {model}.')
        self.show_progress = show_progress
        self._naming = Lock()
        self._arrays = 0  # named by their number over all calls, so that no file is overwritten
        self._visualizer = None
        try:
            device = checked_device(device) or get_device()
            config = Config.fromfile(model) if isinstance(model, (str, Path)) else copy.deepcopy(model)
            network, self.cfg, meta = load_network(str(weights or network_in_the_box()), config, pretrained)
            self.results = meta.get('results') or {}
            self.model = network.to(device)
            self.pipeline, self.collate_fn = inference_pipeline(self.cfg, keep_ratio), pseudo_collate
            for task in self.tasks.values():
                if palette is not None and hasattr(task, 'classes'):
                    task.classes = recoloured(task.classes, palette)
        except (FileNotFoundError, ValueError) as error:
            raise InputError(str(error)) from error

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks of the network, with their classes and palettes."""
        return self.model.tasks

    @property
    def visualizer(self):
        """Opens the windows; made when the first is wanted."""
        if self._visualizer is None:
            from mtl.visualization import MultiTaskVisualizer

            self._visualizer = MultiTaskVisualizer(name=f'inferencer {id(self)}')
        return self._visualizer

    # ---- calls ----------------------------------------------------------------------------------------------------

    def __call__(
        self,
        inputs: Input | Sequence[Input],
        return_datasamples: bool = False,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
        out_dir: str | Path = '',
        img_out_dir: str = 'vis',
        pred_out_dir: str = 'pred',
        map_out_dir: str = '',
        **kwargs,
    ) -> dict:
        """Predict all inputs, and keep the predictions. For many or large ones take :meth:`stream`.

        Args:
            inputs: see :class:`mtl.apis.inputs.Pictures`.
            return_datasamples: ``predictions`` are :class:`MultiTaskDataSample` instead of dicts of arrays.
            batch_size: images the network sees at once.
            return_vis: keep the panels.
            show: open each panel in a window.
            wait_time: seconds a window stays; 0 until a key is pressed.
            out_dir: folder for panels, ``<img_out_dir>/<name>.png`` (of a video: ``<name>.mp4``), and predictions,
                ``<pred_out_dir>/<task>/<name>.png`` or ``.npy`` (see :mod:`mtl.evaluation.prediction_files`), and
                pictures of single tasks at the size of the image, ``<map_out_dir>/<task>/<name>.png``.
            img_out_dir, pred_out_dir, map_out_dir: folders below ``out_dir``; empty for none.
            kwargs: ``tasks`` (compute these only); ``width`` (of a slimmable network: a ratio for all its parts,
                ``'full'``, ``'small'``, a JSON file, or a :class:`mtl.models.slimmable.WidthConfig`); ``opacity`` (0
                to 1, of maps that lie over the image); ``channel_order`` (of arrays, ``'bgr'`` or ``'rgb'``).

        Returns:
            ``predictions`` and ``visualization``, each a list in the order of the inputs, or, for one image or array,
            its element; ``names``, the list of names; ``skipped``, a sentence for each input that is broken, by source.

        Raises:
            InputError: nothing could be read, or an option does not fit the network.
        """
        below = {
            'img_out_dir': Path(out_dir, img_out_dir) if out_dir and img_out_dir else None,
            'pred_out_dir': Path(out_dir, pred_out_dir) if out_dir and pred_out_dir else None,
            'map_out_dir': Path(out_dir, map_out_dir) if out_dir and map_out_dir else None,
        }
        options = dict(return_vis=return_vis, show=show, wait_time=wait_time, **below, **kwargs)
        results: dict = dict(predictions=[], visualization=[], names=[], skipped={})
        pictures = self._pictures(inputs, kwargs.get('channel_order', 'bgr'))
        for result in self.stream(pictures, batch_size, **options):
            if result.fault:
                results['skipped'][result.source] = result.fault
                continue
            results['names'].append(result.name)
            results['predictions'].append(result.sample if return_datasamples else result.predictions)
            if return_vis:
                results['visualization'].append(result.panel)
        if pictures.single:
            for key in ('predictions', 'visualization'):
                results[key] = results[key][0] if results[key] else None
        return results

    def stream(self, inputs: Input | Sequence[Input] | Pictures, batch_size: int = 1, **kwargs) -> Iterator[Result]:
        """The results one after the other; memory does not grow with the number of inputs.

        Args:
            inputs, batch_size, kwargs: see :meth:`__call__`; ``img_out_dir``, ``pred_out_dir`` and ``map_out_dir`` are
                whole paths.

        Raises:
            InputError: the only image is broken, or all of several are.
        """
        preprocess_options, forward_options, visualize_options, postprocess_options = self._by_step(kwargs)
        self._check(**forward_options)
        pictures = self._pictures(inputs, **preprocess_options)
        done = 0
        with PanelWriter(visualize_options.pop('img_out_dir', None)) as writer:
            for batch, broken in self.preprocess(pictures, batch_size):
                for picture in broken:
                    if pictures.single:
                        raise InputError(picture.fault)
                    print_log(f'{picture.fault} Skipped.', 'current', logging.WARNING)
                    yield Result(picture.name, picture.source, fault=picture.fault)
                if batch:
                    samples = self.forward(self.packed(batch), **forward_options)
                    panels = self.visualize(batch, samples, writer=writer, **visualize_options)
                    yield from self.postprocess(batch, samples, panels, **postprocess_options)
                    done += len(batch)
        if not done:
            raise InputError('None of the inputs could be read.')

    def _by_step(self, options: dict) -> list[dict]:
        """The options of each step."""
        steps = self.preprocess_kwargs, self.forward_kwargs, self.visualize_kwargs, self.postprocess_kwargs
        if unknown := set(options).difference(*steps):
            known = ', '.join(sorted(frozenset().union(*steps)))
            raise ValueError(f'Unknown: {", ".join(sorted(unknown))}. Options are {known}.')
        return [{name: value for name, value in options.items() if name in step} for step in steps]

    def _pictures(self, inputs: Input | Sequence[Input] | Pictures, channel_order: str = 'bgr') -> Pictures:
        if isinstance(inputs, Pictures):
            return inputs
        with self._naming:
            pictures = Pictures(inputs, channel_order, self._arrays)
            self._arrays += pictures.arrays
        return pictures

    # ---- steps ----------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Pictures, batch_size: int = 1) -> Iterator[tuple[list[Picture], list[Picture]]]:
        """Batches of pictures, each with the broken ones that came before its end."""
        steps = iter(inputs)
        if self.show_progress and not inputs.single:
            from mtl.progress import report_progress

            steps = report_progress(steps, len(inputs), 'inference')
        batch, broken = [], []
        for picture in steps:
            (broken if picture.fault else batch).append(picture)
            if len(batch) == batch_size:
                yield batch, broken
                batch, broken = [], []
        if batch or broken:
            yield batch, broken

    def packed(self, pictures: Sequence[Picture]) -> dict:
        """What the network's data preprocessor takes: the pictures through the pipeline, ``[3, H, W]`` each."""
        return self.collate_fn([self.pipeline(_fields(picture)) for picture in pictures])

    @torch.no_grad()
    def forward(
        self, inputs: dict, tasks: Sequence[str] | None = None, width: Width | None = None
    ) -> list[MultiTaskDataSample]:
        """Samples with predictions, on the CPU."""
        from mtl.apis.widths import resolved_width, running_at

        width = resolved_width(self.model, width)
        if width is not None and tasks is None:
            tasks = tuple(width.decoder)
        samples: list = [None] * len(inputs['inputs'])
        with running_at(self.model, width):
            # an image that is padded to the shape of another would get other maps
            for alike in _of_one_shape(inputs['inputs']):
                part = {key: [values[index] for index in alike] for key, values in inputs.items()}
                data = self.model.data_preprocessor(part, False)
                predicted = self.model.predict(data['inputs'], data['data_samples'], tasks)
                for index, sample in zip(alike, predicted, strict=True):
                    samples[index] = sample.cpu()
        return samples

    def visualize(
        self,
        inputs: list[Picture],
        preds: list[MultiTaskDataSample],
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0.0,
        opacity: float = 0.6,
        writer: PanelWriter | None = None,
        map_out_dir: Path | None = None,
    ) -> list[np.ndarray] | None:
        """Panels, see :func:`mtl.visualization.draw_predictions`; ``None`` where nobody wants them."""
        if map_out_dir is not None:
            for picture, sample in zip(inputs, preds, strict=True):
                write_maps(map_out_dir, picture, sample, self.tasks, opacity)
        writes = writer is not None and writer.folder is not None
        if not (return_vis or show or writes):
            return None
        panels = []
        for picture, sample in zip(inputs, preds, strict=True):
            panel = draw_predictions(picture.image, sample, self.tasks, opacity)
            if writes:
                writer.write(picture, panel)
            if show:
                self.visualizer.show(panel, win_name=picture.name, wait_time=wait_time)
            panels.append(panel)
        return panels

    def postprocess(
        self,
        inputs: list[Picture],
        preds: list[MultiTaskDataSample],
        visualization: list[np.ndarray] | None,
        pred_out_dir: Path | None = None,
    ) -> list[Result]:
        """Results, after writing the predictions where a folder for them is given."""
        from mtl.evaluation.prediction_files import write_predictions

        results = []
        for index, (picture, sample) in enumerate(zip(inputs, preds, strict=True)):
            if pred_out_dir is not None:
                write_predictions(sample, pred_out_dir, self.tasks)
            panel = None if visualization is None else visualization[index]
            maps = {name: as_numpy(sample.prediction(name)) for name in self.tasks if f'pred_{name}' in sample}
            results.append(Result(picture.name, picture.source, maps, sample, panel))
        return results

    def _check(self, tasks: Sequence[str] | None = None, width: Width | None = None) -> None:
        """Options that do not fit stop the call before it begins."""
        from mtl.apis.widths import resolved_width

        try:
            wanted = select_tasks(self.tasks, tasks)
            width = resolved_width(self.model, width)
            if width is not None and tasks is not None:
                width.for_tasks(wanted)
        except ValueError as error:
            raise InputError(str(error)) from error


def _of_one_shape(images: Sequence[torch.Tensor]) -> list[list[int]]:
    """Indices of the images of each shape."""
    groups: dict = {}
    for index, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(index)
    return list(groups.values())


def _fields(picture: Picture) -> dict:
    """What the transforms read of a picture: as after ``LoadImage`` and, there being no labels, ``LoadLabels``."""
    size = picture.image.shape[:2]
    return dict(
        img=np.ascontiguousarray(picture.image[..., ::-1]),
        sample_id=picture.name,
        img_path=picture.source,
        ori_shape=size,
        img_shape=size,
        tasks={},
    )
