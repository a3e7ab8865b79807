"""What the page takes, and what it leaves."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

gr = pytest.importorskip('gradio')


def test_sizes_are_read_from_headers(tmp_path, monkeypatch):
    from mtl.demo import page

    monkeypatch.setattr(page, 'MAX_PIXELS', 1000)
    component = page.complains_in_sentences(gr.Image(type='numpy'))
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / 'large.png')
    Image.fromarray(np.full((5, 6), 7, np.uint16)).save(tmp_path / 'small.png')
    (tmp_path / 'text.png').write_text('no image')
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    with pytest.raises(gr.Error, match='50 x 40 pixels; at most'):
        component.preprocess(SimpleNamespace(path=str(tmp_path / 'large.png')))
    monkeypatch.undo()
    with pytest.raises(gr.Error, match='not an image that can be read'):
        component.preprocess(SimpleNamespace(path=str(tmp_path / 'text.png')))
    assert component.preprocess(SimpleNamespace(path=str(tmp_path / 'small.png'))).shape == (5, 6, 3)
    assert component.preprocess(None) is None


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_uploads_go_when_the_page_stops(tmp_path, how):
    program = (
        'import signal, sys, os, time\n'
        'signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n'
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'  # background jobs of a shell ignore it
        'import mtl.demo.page\n'
        "folder = os.environ['GRADIO_TEMP_DIR']\n"
        "open(f'{folder}/upload', 'w').close()\n"
        'print(folder, flush=True)\n'
        'time.sleep(60)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    folder = process.stdout.readline().strip()
    assert os.path.isdir(folder)
    process.send_signal(how)
    process.wait(30)
    for _ in range(100):
        if not os.path.exists(folder):
            break
        time.sleep(0.05)
    assert not os.path.exists(folder)
