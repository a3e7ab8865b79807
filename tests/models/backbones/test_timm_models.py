"""Whole models on networks of timm: steps of training, counts, files of adapters alone, folding, export."""

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from tiny_timm import NETWORKS, SHARED_ONLY, WITH_STREAMS, adapters_of, image_for
from torch import nn

from mtl.checkpoints.adapters_only import leave_out_base, put_back_base
from mtl.deploy import export
from mtl.models.accounting import count_macs, count_parameters
from mtl.models.adapters import fold_adapters
from mtl.protocols import adapter_layers, adapter_parameters
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample

TASKS = dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals'))
PLAIN = dict(base_input='task')  # of the adapters: updates per task that can be folded


@pytest.fixture
def build(tmp_path):
    """``build(kind, adapters)``: a model on the base of a file, in which no norm, bias or update is zero."""

    def make(kind, adapters):
        torch.manual_seed(0)
        name, options = NETWORKS[kind]['model'], {k: v for k, v in NETWORKS[kind].items() if k != 'model'}
        base = timm.create_model(name, num_classes=0, **options).state_dict()
        for value in base.values():
            if value.ndim == 1:  # the norms of Swin v2 begin at 0
                value.add_(0.2 * torch.randn_like(value))
        torch.save(base, tmp_path / 'base.pth')
        model = MODELS.build(
            dict(
                type='MultiTaskModel',
                tasks=TASKS,
                data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
                backbone=dict(
                    type='TimmBackbone',
                    pretrained=str(tmp_path / 'base.pth'),
                    adapters=adapters,
                    trainable=[],
                    **NETWORKS[kind],
                ),
                decoder=dict(
                    type='HRNetDecoder', level_channels=(4,) * (2 if kind == 'swin_v2' else 4), out_channels=8
                ),
            )
        )
        for parameter in adapter_parameters(model):
            nn.init.normal_(parameter, std=0.1)
        return model.eval()

    return make


def logits(model):
    with torch.no_grad():
        return model.logits(image_for(model.backbone, images=2))


def assert_close(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for task, values in expected.items():
        assert (found[task] - values).abs().max() <= tolerance * values.abs().max(), task


def batch_for(model):
    inputs = 255 * torch.rand(2, 3, *image_for(model.backbone).shape[-2:])
    samples = []
    for _ in inputs:
        sample = MultiTaskDataSample(metainfo=dict(ori_shape=inputs.shape[-2:], img_shape=inputs.shape[-2:]))
        sample.gt_saliency = torch.randint(0, 2, inputs.shape[-2:], dtype=torch.uint8)
        sample.gt_normals = nn.functional.normalize(torch.randn(3, *inputs.shape[-2:]), dim=0)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize('kind', NETWORKS)
def test_steps_of_training(kind, build):
    """They move what trains, all of it, and nothing else; the loss of a batch falls."""
    model = build(kind, adapters_of(kind)).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    wrapper = OptimWrapper(torch.optim.Adam(trained.values(), lr=1e-3))
    data = batch_for(model)
    losses = [model.train_step(data, wrapper)['loss'].item() for _ in range(5)]
    assert losses[-1] < losses[0]
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {*trained}
    adapters = {id(parameter) for parameter in adapter_parameters(model)}
    of_backbone = [parameter for name, parameter in trained.items() if name.startswith('backbone.')]
    assert of_backbone
    assert {id(parameter) for parameter in of_backbone} <= adapters


@pytest.mark.parametrize('kind', NETWORKS)
def test_counts(kind, build):
    """Parameters by hand; operations of a folded network are those of one without adapters."""
    bare, model = (build(kind, adapters) for adapters in (None, SHARED_ONLY))
    by_hand = 0
    for _, layer in adapter_layers(model):
        height, width = layer.kernel_size if isinstance(layer, nn.Conv2d) else (1, 1)
        out, into = layer.weight.shape[:2]
        by_hand += SHARED_ONLY['rank'] * (into * height * width + out)
    counts = count_parameters(model)
    assert counts['adapters'] == by_hand
    assert counts['frozen'] == sum(parameter.numel() for parameter in bare.backbone.parameters())
    assert counts['total'] == counts['frozen'] + by_hand + sum(
        parameter.numel() for part in (model.decoder, model.heads) for parameter in part.parameters()
    )
    size = image_for(model.backbone).shape[-2:]
    adapted, expected = logits(model), count_macs(bare, *size)
    assert count_macs(model, *size) > expected
    assert fold_adapters(model.backbone, tuple(TASKS)) == {}
    assert not list(adapter_layers(model))
    assert count_macs(model, *size) == expected
    assert_close(logits(model), adapted)


@pytest.mark.parametrize('kind', NETWORKS)
def test_a_file_of_adapters_alone(kind, build, tmp_path):
    model = build(kind, adapters_of(kind))
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    leave_out_base(model, checkpoint)
    of_base = {name for name, _ in build(kind, None).named_parameters() if name.startswith('backbone.')}
    assert of_base.isdisjoint(checkpoint['state_dict'])
    torch.save(checkpoint, tmp_path / 'adapters.pth')
    read, fresh = torch.load(tmp_path / 'adapters.pth', weights_only=True), build(kind, adapters_of(kind))
    with torch.no_grad():
        for parameter in [*adapter_parameters(fresh), *fresh.decoder.parameters(), *fresh.heads.parameters()]:
            parameter.zero_()
    put_back_base(fresh, read)
    fresh.load_state_dict(read['state_dict'])
    for task, values in logits(model).items():
        assert torch.equal(logits(fresh)[task], values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('kind', 'merge'),
    [
        *((kind, False) for kind in ('dinov2_gated', 'dinov3_gated', 'eva02', 'eva02_apart', 'resnet')),
        *((kind, True) for kind in ('dinov2', 'dinov3_gated', 'eva02', 'swin_v2', 'convnext')),
    ],
)
def test_export(kind, merge, build, tmp_path):
    """:func:`export` compares the file with the network, and raises where they differ."""
    model = build(kind, adapters_of(kind, **(PLAIN if kind in WITH_STREAMS else {})))
    config = Config(dict(model=dict(backbone=dict(img_size=image_for(model.backbone).shape[-2:]))))
    exported = export(model, config, tmp_path / 'model.onnx', merge=merge)
    assert {difference.task for difference in exported.differences} == {*TASKS}
    assert not exported.kept_adapters
    assert (tmp_path / 'model.onnx').stat().st_size > 0
