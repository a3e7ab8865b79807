"""The file formats, on networks of one layer."""

import pytest
import torch
from torch import nn

from mtl.deploy.formats import FORMATS


class PerTaskProduct(nn.Module):
    """As many maps of the image as it has rows, each through its own matrix."""

    def __init__(self, tasks):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tasks, 4, 3))

    def forward(self, image):
        streams = torch.stack([image * (task + 1) for task in range(len(self.weight))])  # [T, B, 3, H, W]
        rows = streams.permute(0, 1, 3, 4, 2)
        mapped = (rows.flatten(1, 3) @ self.weight.mT).unflatten(1, rows.shape[1:4])
        return tuple(mapped.permute(0, 1, 4, 2, 3).unbind())


@pytest.mark.parametrize('kind', FORMATS)
def test_as_many_tasks_as_rows(kind, tmp_path):
    torch.manual_seed(0)
    network, image = PerTaskProduct(6).requires_grad_(False), torch.randn(1, 3, 6, 6)
    tasks = [f'task{index}' for index in range(6)]
    path = tmp_path / f'file{FORMATS[kind].suffix}'
    FORMATS[kind].write(torch.export.export(network, (image,)), path, tasks, {})
    for found, expected in zip(FORMATS[kind].read(path)(image), network(image), strict=True):
        torch.testing.assert_close(found, expected)
