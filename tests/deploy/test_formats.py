"""The file formats, on networks of one layer."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from torch import nn

from mtl.deploy.formats import FORMATS, read_onnx, write_onnx
from mtl.deploy.graph import Logits, capture
from mtl.deploy.known_operations import in_known_operations
from mtl.registry import MODELS


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


class ManyKinds(nn.Module):
    """Operations that the exporter knows, and some that it must take apart."""

    def __init__(self, unknown):
        super().__init__()
        self.unknown = unknown
        self.weight = nn.Parameter(torch.randn(4, 3))

    def forward(self, image):
        mask = (torch.arange(image.shape[-1]) >= 2).to(image.dtype)
        mapped = (image.permute(0, 2, 3, 1) @ self.weight.T).square() * mask[:, None]
        return (self.unknown(mapped.double().to(torch.float32)), mask.to(torch.float32)[None, None, None])


@pytest.mark.parametrize(
    ('unknown', 'is_known'),
    [(torch.tanh, True), (torch.logit, True), (torch.special.log_ndtr, True), (lambda x: F.relu_(x + 1) * x, False)],
)
def test_onnx_of_operations_that_the_exporter_takes_apart_or_not(unknown, is_known, tmp_path):
    """The numbers are the same on both ways, and where the first is closed."""
    torch.manual_seed(0)
    network, image = ManyKinds(unknown).requires_grad_(False), torch.rand(1, 3, 5, 6)
    program = torch.export.export(network, (image,))
    nodes = [str(node) for node in program.graph.nodes]
    assert (in_known_operations(program) is not None) == is_known
    write_onnx(program, tmp_path / 'file.onnx', ('one', 'two'), {})
    assert [str(node) for node in program.graph.nodes] == nodes  # what is exported is left as it is
    for found, expected in zip(read_onnx(tmp_path / 'file.onnx')(image), network(image), strict=True):
        torch.testing.assert_close(found, expected, equal_nan=True)


def test_networks_are_traced_in_operations_that_the_exporter_knows(tmp_path, monkeypatch):
    """Those with streams of tasks, too; else an export takes twice as long."""
    refused = []
    export = torch.onnx.export

    def watched(program, **options):
        try:
            return export(program, **options)
        except torch.onnx.errors.OnnxExporterError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(torch.onnx, 'export', watched)
    init_default_scope('mtl')
    tasks = dict(semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall']), depth=dict(type='Depth'))
    backbone = dict(
        type='SwinBackbone', img_size=(56, 56), embed_dim=12, depths=(2, 2), num_heads=(2, 4), pretrained=None,
        allow_random_init=True, drop_path_rate=0.0, adapters=dict(rank=3, task_rank=2), trainable=(),
    )  # fmt: skip
    decoder = dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16)
    model = MODELS.build(dict(type='MultiTaskModel', tasks=tasks, backbone=backbone, decoder=decoder)).eval()
    for dynamic in (False, True):
        program = capture(Logits(model, tuple(tasks), dynamic_size=dynamic), (56, 56), dynamic_batch=dynamic)
        assert in_known_operations(program) is not None
        write_onnx(program, tmp_path / 'file.onnx', tuple(tasks), {})
    assert not refused
