"""What the page shows of an answer, as HTML: maps with their legends, costs, and how good the network is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

import cv2
import numpy as np
import torch

from mtl.demo.answers import Answer, Answers
from mtl.tasks import Task
from mtl.tasks.legends import ClassLegend, Legend, PictureLegend, ScaleLegend
from mtl.visualization.canvas import fit

LONGEST = 640  # pixels of a tile's longer side
CLASSES = 9  # that a legend lists; the others are counted
WIDTHS = {'full': 'full width', 'small': 'smallest'}


def maps_view(answer: Answer) -> str:
    """The image and one tile per task."""
    height, width = answer.image.shape[:2]
    tiles = [_tile('photograph', answer.image, '')]
    tiles += [_tile(task, picture, _legend(answer.legends[task])) for task, picture in answer.pictures.items()]
    # wide images get wide tiles, so that all tiles have about the same area
    return f'<div class="tiles" style="--tile: {round(190 * (width / height) ** 0.5)}px">{"".join(tiles)}</div>'


def numbers_view(answers: Answers, answer: Answer) -> str:
    """What the answer took, beside the full network with all tasks; times and quality at both ends of the width."""
    full = answers.cost()
    text = (
        f'<p><b>{answer.milliseconds:.0f} ms</b> measured'
        f' · <b>{answer.cost.macs / 1e9:.3g} GMACs</b> ({answer.cost.macs / full.macs:.0%} of all tasks at full width)'
        f' · <b>{answer.cost.parameters / 1e6:.3g} M parameters</b> ({answer.cost.parameters / full.parameters:.0%})'
        '</p>'
    )
    if answer.width is not None:
        decoders = answer.width.decoder
        alike = f'decoders {max(decoders.values()):.0%}' if len(set(decoders.values())) == 1 else None
        each = ', '.join(f'{escape(task)} {ratio:.0%}' for task, ratio in decoders.items())
        text += f'<p>Widths: encoder {answer.width.encoder[0]:.0%}, {alike or each}</p>'
    return text + _table(answers, tuple(answer.maps))


def _table(answers: Answers, tasks: tuple[str, ...]) -> str:
    times = answers.times(tasks)
    results = answers.inferencer.results
    head = ''.join(f'<th scope="col">{WIDTHS[width]}</th>' for width in times)
    rows = ['<tr><th scope="row">time</th>' + ''.join(f'<td>{each:.0f} ms</td>' for each in times.values()) + '</tr>']
    height, width = answers.size
    notes = f'Time: one image of {width} x {height} pixels on this machine ({device_name(answers.model)}).'
    if any(_measured(answers.inferencer.tasks[task], results) for task in tasks):
        rows += [_quality(answers.inferencer.tasks[task], results, tuple(times)) for task in tasks]
        notes += f' Quality: on {data_of(answers.inferencer.cfg)}; ↑ higher is better, ↓ lower is better.'
    else:
        rows.append(_not_measured('quality', len(times)))
    return f'<table><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table><small>{notes}</small>'


def _quality(task: Task, results: Mapping[str, Mapping[str, float]], widths: tuple[str, ...]) -> str:
    metric = _measured(task, results)
    name = escape(task.name)
    if metric is None:
        return _not_measured(name, len(widths))
    values = [results.get(width, {}).get(f'{task.name}/{metric}') for width in widths]
    unit = '°' if task.unit == 'deg' else f' {task.unit}'
    cells = ''.join('<td></td>' if value is None else f'<td>{value:.3g}{escape(unit)}</td>' for value in values)
    arrow = '↓' if task.lower_is_better else '↑'
    return f'<tr><th scope="row">{name} <small>{escape(metric)} {arrow}</small></th>{cells}</tr>'


def _not_measured(name: str, widths: int) -> str:
    return f'<tr><th scope="row">{name}</th><td colspan="{widths}" class="absent">not measured</td></tr>'


def _measured(task: Task, results: Mapping[str, Mapping[str, float]]) -> str | None:
    """The metric that stands for the task: its headline, or else the first that was measured."""
    prefix = f'{task.name}/'
    found = [key.removeprefix(prefix) for key in results.get('full', {}) if key.startswith(prefix)]
    return task.headline if task.headline in found else next(iter(found), None)


def device_name(model: torch.nn.Module) -> str:
    """Where ``model`` runs, for people."""
    device = next(model.parameters()).device
    if device.type == 'cuda':
        return escape(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f'{device.type.upper()}, {threads} thread{"s" * (threads > 1)}'


def data_of(config: Mapping) -> str:
    """Name of the validation set of a config, as far as it says."""
    dataset = config.get('val_dataloader', {}).get('dataset', {})
    root, split = str(dataset.get('data_root', '')).rstrip('/').split('/')[-1], str(dataset.get('split', ''))
    return escape(f'{root} ({split})' if root and split else root or 'validation set of its training')


# ---- tiles ----------------------------------------------------------------------------------------------------------


def _tile(name: str, picture: np.ndarray, legend: str) -> str:
    name = escape(name)
    shrink = min(1.0, LONGEST / max(picture.shape[:2]))
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    source = _embedded(fit(picture, (height, width)), '.webp', [cv2.IMWRITE_WEBP_QUALITY, 88])
    return (
        f'<figure><button type="button" title="Show large, and back"><img src="{source}" alt="{name}" '
        f'width="{width}" height="{height}"></button><figcaption><b>{name}</b>{legend}</figcaption></figure>'
    )


def _legend(legend: Legend | None) -> str:
    if isinstance(legend, ClassLegend):
        names = [escape(name) for name in legend.names]
        entries = [
            f'<li><i style="background: {_css(c)}"></i>{n}</li>' for n, c in zip(names, legend.colours, strict=True)
        ]
        if len(entries) > CLASSES:
            rest = f'<li title="{", ".join(names[CLASSES:])}">and {len(entries) - CLASSES} more</li>'
            entries = [*entries[:CLASSES], rest]
        return f'<ul>{"".join(entries)}</ul>'
    if isinstance(legend, ScaleLegend):
        stops = legend.colours[np.linspace(0, len(legend.colours) - 1, 16).round().astype(int)]
        high = f'{legend.high:g}{"+" * legend.beyond} {escape(legend.unit)}'.strip()
        bar = f'<i style="background: linear-gradient(to right, {", ".join(map(_css, stops))})"></i>'
        return f'<div class="scale"><span>{legend.low:g}</span>{bar}<span>{high}</span></div>'
    if isinstance(legend, PictureLegend):
        source = _embedded(legend.picture, '.png')
        return f'<div class="ball"><img src="{source}" alt=""><span>{escape(" ".join(legend.lines))}</span></div>'
    return ''


def _css(colour: np.ndarray) -> str:
    return f'rgb({", ".join(str(int(value)) for value in colour)})'


def _embedded(picture: np.ndarray, kind: str, options: list[int] | None = None) -> str:
    """A picture inside the page: nothing lies in a folder for it."""
    data = cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options or [])[1].tobytes()
    return f'data:image/{kind[1:]};base64,{base64.b64encode(data).decode()}'
