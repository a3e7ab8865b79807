"""The page itself, of gradio's parts."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import shutil
import tempfile
from pathlib import Path

# read when gradio is imported: it would call home, and fetch fonts
os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
# uploads and results lie in a folder of this process, which goes when it ends
os.environ['GRADIO_TEMP_DIR'] = tempfile.mkdtemp(prefix='mtl-page-')

import gradio as gr
import numpy as np
from PIL import Image

from mtl.demo.answers import Answer, Answers, Cost
from mtl.files import read_picture

atexit.register(shutil.rmtree, os.environ['GRADIO_TEMP_DIR'], ignore_errors=True)

MAX_FILE = '20mb'
MAX_PIXELS = 40_000_000
KEPT_SECONDS = 3600  # results and uploads lie in a temporary folder for so long
THEME = gr.themes.Default(
    font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'], text_size=gr.themes.sizes.text_md
)


def complains_in_sentences(component: gr.Image) -> gr.Image:
    """``component``, which answers files that are no images, and very large ones, by a sentence on the page."""
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
            raise gr.Error('This file is no image that can be read. JPEG, PNG, WebP and BMP work.') from error
        raise gr.Error(
            f'The image has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are taken. '
            'Make it smaller.'
        )

    component.preprocess = preprocess  # not a subclass: gradio takes those for components with a frontend of their own
    return component


def build_page(answers: Answers, title: str) -> gr.Blocks:
    """The page.

    Args:
        answers: the network.
        title: of the page.
    """
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as page:
        gr.Markdown(f'## {title}\nDrop a photograph: the maps of every task follow. Nothing leaves this machine.')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                image = complains_in_sentences(
                    gr.Image(label='Image', sources=['upload', 'clipboard'], type='numpy', height=260)
                )
                tasks = gr.CheckboxGroup(list(answers.tasks), value=list(answers.tasks), label='Tasks')
                knobs = _knobs(answers) if answers.slimmable else []
                run = gr.Button('Run', variant='primary')
            with gr.Column(scale=3):
                numbers = gr.Markdown(elem_id='numbers')
                panel = gr.Image(
                    label='Maps',
                    show_label=False,
                    interactive=False,
                    format='png',
                    buttons=['fullscreen'],  # none that shares
                    elem_id='maps',
                )
                download = gr.DownloadButton('Download maps (ZIP)', visible=False, elem_id='download')

        def respond(image, tasks, *values):
            if image is None:
                return '', None, gr.DownloadButton(visible=False)
            if not tasks:
                raise gr.Error('Choose at least one task.')
            budget, preference = (values[0] * 1e9, dict(zip(answers.tasks, values[1:]))) if values else (None, None)  # noqa: B905
            try:
                answer = answers.answer(image, tasks, budget, preference)
                folder = Path(tempfile.mkdtemp(prefix='mtl-', dir=page.GRADIO_CACHE))
                answer.save(folder / 'maps.zip')
            except Exception as error:  # the page would show nothing but "Error"
                raise gr.Error(f'{error} ({type(error).__name__})') from error
            shown = (_numbers(answer, answers.cost()), answer.panel)
            del answer, image
            _give_memory_back()
            return (*shown, gr.DownloadButton(value=folder / 'maps.zip', visible=True))

        inputs, outputs = [image, tasks, *knobs], [numbers, panel, download]
        events = [run.click, image.upload, *(knob.release for knob in knobs)]
        gr.on(events, respond, inputs, outputs, concurrency_limit=1, trigger_mode='always_last')
    return page


def _give_memory_back() -> None:
    """What a large picture took goes back to the system, where its C library can do that."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)


def _knobs(answers: Answers) -> list[gr.Slider]:
    """The budget, and a preference a task."""
    low, high = (macs / 1e9 for macs in answers.range_of())
    digits = max(2, 3 - int(np.floor(np.log10(high))))
    low, high = np.floor(low * 10**digits) / 10**digits, np.ceil(high * 10**digits) / 10**digits
    with gr.Group():
        knobs = [
            gr.Slider(
                low, high, value=high, step=10**-digits, label='Budget, GMACs', elem_id='budget', precision=digits
            )
        ]
        knobs += [
            gr.Slider(0, 1, value=1, step=0.05, label=f'Preference: {task}', elem_id=f'preference-{task}')
            for task in answers.tasks
        ]
    return knobs


def _numbers(answer: Answer, full: Cost) -> str:
    """What the answer took, beside the full network with all tasks."""
    text = (
        f'**{answer.milliseconds:.0f} ms** measured'
        f' · **{answer.cost.macs / 1e9:.3g} GMACs** ({answer.cost.macs / full.macs:.0%} of all tasks at full width)'
        f' · **{answer.cost.parameters / 1e6:.3g} M parameters** ({answer.cost.parameters / full.parameters:.0%})'
    )
    if answer.width is None:
        return text
    tasks = ', '.join(f'{task} {ratio:.0%}' for task, ratio in answer.width.decoder.items())
    return f'{text}\n\nWidths: encoder {answer.width.encoder[0]:.0%}, {tasks}'


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
        footer_links=[],
        ssr_mode=False,
        prevent_thread_lock=not block,
        quiet=not block,
        enable_monitoring=False,
    )
    return address
