"""Shared fixtures. Tests run with one torch thread each, so that several can run side by side."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[2] / 'shared'


@pytest.fixture
def shared_folder():
    """The folder with check data beside the repository; tests that want it are skipped where it is not."""
    if not SHARED.is_dir():
        pytest.skip('no ../shared folder beside the repository')
    return SHARED
