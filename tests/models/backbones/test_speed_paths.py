"""Every shorter way through the backbone gives the numbers of the long one."""

import pytest
import torch

from mtl.models.backbones.swin.task_stream_block import TaskStreamBlock

ADAPTERS = dict(rank=3, task_rank=2, dropout=0.0)


def outputs_and_gradients(backbone, image, seed=1):
    torch.manual_seed(seed)
    features = [level.features for level in backbone(image).levels]
    parameters = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    total = sum((value * torch.linspace(-1, 1, value.numel()).view(value.shape)).sum() for value in features)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    return features, [gradient for gradient in gradients if gradient is not None]


@pytest.mark.parametrize('mode', ['matrix', 'matrixv2'])
@pytest.mark.parametrize('drop_path', [0.0, 0.5])
def test_low_rank_streams_equal_layer_by_layer(micro_backbone, monkeypatch, mode, drop_path):
    backbone = micro_backbone(adapters={**ADAPTERS, 'mode': mode}, drop_path_rate=drop_path).double()
    backbone.train()
    block = backbone.swin.layers[0].blocks[-1]
    x = torch.randn(2, 14, 14, 12, dtype=torch.double)

    def run():
        torch.manual_seed(0)
        shared, own = block(x, backbone.tasks)
        own = own.dense()
        return (
            shared,
            own,
            *torch.autograd.grad(
                (shared.sin().sum() + own.cos().sum()), [p for p in block.parameters() if p.requires_grad]
            ),
        )

    fast = run()
    monkeypatch.setattr(TaskStreamBlock, 'differs_by_low_rank', lambda self, tasks: False)
    for ours, expected in zip(fast, run(), strict=True):
        torch.testing.assert_close(ours, expected)


def test_hidden_activations_run_some_rows_at_a_time_without_gradients_too(micro_backbone, monkeypatch):
    backbone, image = micro_backbone(adapters=ADAPTERS).double(), torch.randn(2, 3, 64, 48).double()
    expected = [level.features for level in backbone(image).levels]
    from mtl.ops import low_rank_streams

    monkeypatch.setitem(low_rank_streams.CHUNK, 'cpu', 500)
    with torch.no_grad():
        found = [level.features for level in backbone(image).levels]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('dropout', [0.0, 0.2])
def test_checkpointing_changes_no_gradient(micro_backbone, dropout):
    options = dict(adapters={**ADAPTERS, 'dropout': dropout}, drop_path_rate=0.2)
    plain, frugal = micro_backbone(**options).train(), micro_backbone(**options, checkpoint_blocks=True).train()
    image = torch.randn(2, 3, 56, 56)
    torch.testing.assert_close(outputs_and_gradients(frugal, image), outputs_and_gradients(plain, image))

    def saved(backbone):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            backbone(image)
        return sum(kept)

    assert saved(frugal) < saved(plain) / 3


def test_autocast(micro_backbone, monkeypatch):
    """As far from single precision as the layers one by one are."""
    backbone, image = micro_backbone(adapters=ADAPTERS).train(), torch.randn(1, 3, 56, 56)
    exact = [level.features for level in backbone(image).levels]

    def errors():
        with torch.autocast('cpu', torch.bfloat16):
            low = [level.features for level in backbone(image).levels]
        sum(value.float().sum() for value in low).backward()
        assert all(p.grad.isfinite().all() for p in backbone.parameters() if p.grad is not None)
        return [((a.float() - b).norm() / b.norm()).item() for a, b in zip(low, exact, strict=True)]

    fast = errors()
    monkeypatch.setattr(TaskStreamBlock, 'differs_by_low_rank', lambda self, tasks: False)
    for ours, layer_by_layer in zip(fast, errors(), strict=True):
        assert ours < max(0.02, 1.5 * layer_by_layer)


@pytest.mark.slow
def test_compiled_model(micro_model):
    model, image = micro_model(adapters=ADAPTERS).double().train(), torch.randn(2, 3, 56, 56).double()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def run(network):
        logits = network(image)
        return logits, torch.autograd.grad(sum(value.sin().sum() for value in logits.values()), parameters)

    torch.testing.assert_close(run(torch.compile(model, backend='aot_eager')), run(model))
