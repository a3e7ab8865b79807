"""The page itself, of gradio's parts."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import shutil
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

# read when gradio is imported: it would call home, and fetch fonts
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
# uploads and results lie in a folder of this process, which goes when it ends
os.environ['GRADIO_TEMP_DIR'] = tempfile.mkdtemp(prefix='mtl-page-')

import gradio as gr
import numpy as np
from PIL import Image

from mtl.demo.answers import Answers
from mtl.demo.views import maps_view, numbers_view
from mtl.files import read_picture
from mtl.search.width_search import options_of

atexit.register(shutil.rmtree, os.environ['GRADIO_TEMP_DIR'], ignore_errors=True)

TITLE = 'mtl: one photograph, all its maps'
EXAMPLES = tuple(Path(__file__).parent / 'examples' / f'{name}.jpg' for name in ('alley', 'bedroom', 'crossing'))
CSS = Path(__file__).with_name('page.css')
SHOW_LARGE = """element.addEventListener('click', event => {
    const figure = event.target.closest('figure');
    if (figure) document.fullscreenElement ? document.exitFullscreen() : figure.requestFullscreen();
});"""
MAX_FILE = '20mb'
MAX_PIXELS = 40_000_000
KEPT_SECONDS = 3600  # results and uploads lie in a temporary folder for so long
THEME = gr.themes.Default(
    font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'], text_size=gr.themes.sizes.text_md
)


def complains_in_sentences(component: gr.Image) -> gr.Image:
    """``component``, which answers files that are not images, and very large ones, by a sentence on the page."""
    read = component.preprocess

    def preprocess(payload) -> np.ndarray | None:
        path = getattr(payload, 'path', None)
        try:
            if path is None:
                return read(payload)
            with Image.open(path) as picture:  # its header only
                width, height = picture.size
            if width * height <= MAX_PIXELS:
                return read_picture(Path(path))
        except Exception as error:  # Pillow raises kinds of its own for broken files
            raise gr.Error('This file is not an image that can be read. JPEG, PNG, WebP and BMP work.') from error
        raise gr.Error(
            f'The image has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are taken. '
            'Make it smaller.'
        )

    component.preprocess = preprocess  # not a subclass: gradio takes those for components with a frontend of their own
    return component


def build_page(answers: Answers, network: str, examples: Sequence[Path] = ()) -> gr.Blocks:
    """The page.

    Args:
        answers: the network.
        network: what it is called.
        examples: photographs to choose from; the page opens with the maps of the first.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.HTML(
            f'<h1>One photograph, all its maps</h1><p>Network: {escape(network)}. Nothing leaves this machine. '
            '<a href="#photograph">Another photograph ↓</a></p>',
            elem_id='head',
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                maps = gr.HTML(elem_id='maps', js_on_load=SHOW_LARGE, apply_default_css=False)
                download = gr.DownloadButton('Download maps (ZIP)', visible=False, size='md', elem_id='download')
            with gr.Column(scale=1, min_width=300):
                image = complains_in_sentences(
                    gr.Image(
                        str(examples[0]) if examples else None,
                        label='Photograph',
                        sources=['upload', 'clipboard'],
                        type='numpy',
                        height=220,
                        elem_id='photograph',
                    )
                )
                if examples:
                    gr.Examples([[str(path)] for path in examples], [image], label='Examples', elem_id='examples')
                tasks = gr.CheckboxGroup(list(answers.tasks), value=list(answers.tasks), label='Tasks')
                knobs = _width() if answers.slimmable else []
                numbers = gr.HTML(elem_id='numbers', apply_default_css=False)
                knobs += _importance(answers, tasks) if answers.slimmable else []

        def respond(image, tasks, share=None, *levels):
            """Maps, numbers and the file of an image, for the positions of all controls."""
            # none chosen: every task, rather than an empty page; else the boxes stay, they may have been clicked since
            boxes = gr.skip() if tasks else list(answers.tasks)
            tasks = tasks or list(answers.tasks)
            if image is None:
                return '', '', gr.DownloadButton(visible=False), boxes
            try:
                answer = answers.answer(image, tasks, *_asked(answers, tasks, share, levels))
                folder = Path(tempfile.mkdtemp(prefix='mtl-', dir=page.GRADIO_CACHE))
                answer.save(folder / 'maps.zip')
                shown = maps_view(answer), numbers_view(answers, answer)
            except Exception as error:  # the page would show nothing but "Error"
                raise gr.Error(f'{error} ({type(error).__name__})') from error
            del answer, image
            _give_memory_back()
            return (*shown, gr.DownloadButton(value=folder / 'maps.zip', visible=True), boxes)

        inputs, outputs = [image, tasks, *knobs], [maps, numbers, download, tasks]
        events = [image.change, tasks.input, *(knob.input for knob in knobs), *([page.load] if examples else [])]
        gr.on(events, respond, inputs, outputs, concurrency_limit=1, trigger_mode='always_last', show_progress_on=maps)
    return page


def _give_memory_back() -> None:
    """What a large picture took goes back to the system, where its C library can do that."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def _width() -> list[gr.Slider]:
    """From the smallest to the full width of the tasks that are chosen: every position can be had."""
    return [gr.Slider(0, 100, value=100, step=1, label='Width of the network', buttons=[], elem_id='budget')]


def _importance(answers: Answers, tasks: gr.CheckboxGroup) -> list[gr.Slider]:
    """How much each of the chosen tasks matters, in as many levels as decoders have widths."""
    levels = len(options_of(answers.model.space.decoder))
    if levels == 1 or len(answers.tasks) == 1:
        return []
    with gr.Accordion('Importance of each task', open=False, elem_id='importance') as importance:
        sliders = [
            gr.Slider(1, levels, value=levels, step=1, label=task, buttons=[], elem_id=f'preference-{task}')
            for task in answers.tasks
        ]

    def offered(chosen):
        """Importance is relative: there is none of a task that does not run, nor of one alone."""
        chosen = chosen or answers.tasks
        return [gr.Accordion(visible=len(chosen) > 1), *(gr.Slider(visible=task in chosen) for task in answers.tasks)]

    tasks.input(offered, tasks, [importance, *sliders], show_progress='hidden')
    return sliders


def _asked(
    answers: Answers, tasks: Sequence[str], share: float | None, levels: Sequence[float]
) -> tuple[float | None, dict[str, float] | None]:
    """Budget and preference of :meth:`Answers.answer` that the positions of the sliders mean.

    Args:
        answers: the network.
        tasks: that run.
        share: 0 for the smallest width, 100 for the largest at that preference.
        levels: importance of each task of the network, from 1 on.
    """
    if share is None:
        return None, None
    preference = {task: level - 1 for task, level in zip(answers.tasks, levels, strict=True)} if levels else None
    low, high = answers.range_of(tasks, preference)
    return low + share / 100 * (high - low), preference


def serve(page: gr.Blocks, host: str, port: int | None, block: bool = True) -> str:
    """Start the server; its address.

    Args:
        page: what it serves.
        host, port: where it listens; the first free port from 7860 on by default.
        block: wait until the server is stopped.
    """
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        max_file_size=MAX_FILE,
        theme=THEME,
        css_paths=CSS,
        footer_links=[],
        ssr_mode=False,
        prevent_thread_lock=not block,
        quiet=not block,
        enable_monitoring=False,
    )
    return address
