import weakref

import pytest
import torch

from mtl.protocols import adapter_layers, adapter_parameters
from mtl.structures import MultiTaskDataSample

ADAPTERS = dict(rank=3, task_rank=2)


def labels(size=(40, 36), tasks=('semseg', 'normals')):
    sample = MultiTaskDataSample(metainfo=dict(ori_shape=size, img_shape=size))
    if 'semseg' in tasks:
        sample.gt_semseg = torch.randint(0, 3, size, dtype=torch.uint8)
    if 'normals' in tasks:
        sample.gt_normals = torch.nn.functional.normalize(torch.randn(3, *size), dim=0)
    return sample


def test_any_input_size(micro_model):
    model = micro_model(adapters=ADAPTERS).eval()
    for size in ((56, 56), (40, 36), (57, 91)):
        logits = model(torch.randn(2, 3, *size))
        assert {name: tuple(value.shape) for name, value in logits.items()} == {
            'semseg': (2, 3, *size),
            'normals': (2, 3, *size),
        }


def test_padding_is_cropped_back(micro_model):
    model = micro_model(adapters=ADAPTERS).eval()
    image = torch.randn(1, 3, 40, 36)
    padded = torch.nn.functional.pad(image, (0, 4))
    torch.testing.assert_close(model(image)['semseg'], model(padded)['semseg'][..., :36])


def test_tasks_at_run_time(micro_model):
    model = micro_model(adapters=ADAPTERS).eval()
    image = torch.randn(1, 3, 40, 40)
    calls = []
    model.heads['semseg'].register_forward_hook(lambda *_: calls.append('head'))
    model.decoder.decoders['semseg'].register_forward_hook(lambda *_: calls.append('decoder'))
    only = model(image, tasks=('normals',))
    assert list(only) == ['normals']
    assert not calls
    torch.testing.assert_close(only['normals'], model(image)['normals'])
    with pytest.raises(ValueError, match=r'among semseg, normals; found .depth.'):
        model(image, tasks=('depth',))


def test_a_map_is_gone_before_the_next_is_made(micro_model):
    model, made = micro_model(adapters=ADAPTERS).eval(), []

    def before(*_):
        assert all(earlier() is None for earlier in made)

    for part in model.decoder.decoders.values():
        part.register_forward_pre_hook(before)
        part.register_forward_hook(lambda part, inputs, values: made.append(weakref.ref(values)))
    with torch.no_grad():
        model(torch.randn(1, 3, 40, 40))
    assert len(made) == 2


def test_logits_lie_in_memory_as_is_quickest_for_what_follows(micro_model):
    tasks = dict(human_parts=dict(type='PartSegmentation'), normals=dict(type='SurfaceNormals'))
    model, image = micro_model(tasks=tasks).eval(), torch.randn(2, 3, 64, 32)
    for_losses = model(image)
    assert all(logits.is_contiguous() for logits in for_losses.values())
    with torch.no_grad():
        for_predictions = model(image)
    assert for_predictions['human_parts'].is_contiguous(memory_format=torch.channels_last)
    assert for_predictions['normals'].is_contiguous()
    torch.testing.assert_close(for_predictions, {task: logits.detach() for task, logits in for_losses.items()})


def test_predictions_at_original_size(micro_model):
    model = micro_model(adapters=ADAPTERS).eval()
    sample = MultiTaskDataSample(metainfo=dict(ori_shape=(80, 60), img_shape=(40, 30)))
    (predicted,) = model(torch.randn(1, 3, 40, 40), [sample], mode='predict')
    assert predicted.pred_semseg.shape == (80, 60)
    assert predicted.pred_semseg.dtype == torch.uint8
    assert predicted.pred_normals.shape == (3, 80, 60)
    torch.testing.assert_close(predicted.pred_normals.norm(dim=0), torch.ones(80, 60))


def test_missing_labels_leave_the_other_numbers_alone(micro_model):
    model = micro_model(adapters=ADAPTERS).eval()
    images = torch.randn(2, 3, 40, 36)
    full = [labels(), labels()]
    partial = [full[0].clone(), full[1].clone()]
    del partial[1].gt_normals
    everything = model(images, full, mode='loss')
    some = model(images, partial, mode='loss')
    torch.testing.assert_close(some['loss/semseg'], everything['loss/semseg'])
    first_only = model(images[:1], full[:1], mode='loss')
    torch.testing.assert_close(some['loss/normals'], first_only['loss/normals'])


@pytest.mark.parametrize(('there', 'absent'), [('semseg', 'normals'), ('normals', 'semseg')])
def test_an_unlabelled_task_is_an_exact_zero_with_a_graph(micro_model, there, absent):
    model = micro_model(adapters=ADAPTERS).train()
    losses = model(torch.randn(2, 3, 40, 36), [labels(tasks=(there,)) for _ in range(2)], mode='loss')
    assert set(losses) == {f'loss/{there}', f'unlabelled/{absent}'}
    assert losses[f'unlabelled/{absent}'].item() == 0.0
    total, log = model.parse_losses(losses)
    assert set(log) == {'loss', f'loss/{there}'}
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    assert not any(p.grad.any() for p in model.decoder.decoders[absent].parameters())


def test_no_parameter_without_a_gradient(micro_model):
    """The shared update of the last fc2 is read by nobody: it does not train, but counts as an adapter."""
    model = micro_model(adapters=ADAPTERS)
    last = model.backbone.swin.layers[-1].blocks[-1].block.mlp.fc2
    assert not any(parameter.requires_grad for parameter in last.shared.parameters())
    assert {id(p) for p in last.shared.parameters()} <= {id(p) for p in adapter_parameters(model)}
    losses = model(torch.randn(2, 3, 40, 36), [labels(), labels()], mode='loss')
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_a_path_that_carries_nothing_is_no_path(micro_model):
    """With their own base input, the tasks of the last block read the shared stream no more after its projection."""
    model = micro_model(adapters=dict(**ADAPTERS, base_input='task'))
    block = model.backbone.swin.layers[-1].blocks[-1]
    for layer in (block.proj, block.block.mlp.fc1, block.block.mlp.fc2):
        assert not any(parameter.requires_grad for parameter in layer.shared.parameters())
    first = model.backbone.swin.layers[0].blocks[-1]
    assert all(parameter.requires_grad for parameter in first.proj.shared.parameters())
    losses = model(torch.randn(2, 3, 40, 36), [labels(), labels()], mode='loss')
    sum(losses.values()).backward()
    for _, layer in adapter_layers(model):
        for update in (layer.shared, *layer.tasks.values()):
            if update is not None and update.B.requires_grad:
                assert update.B.grad.any()


def test_uncertainty_weighting_starts_as_fixed_and_learns(micro_model):
    model = micro_model(adapters=ADAPTERS)
    from mtl.losses import UncertaintyWeighting

    batch = torch.randn(2, 3, 40, 36), [labels(), labels(tasks=('semseg',))]
    model.eval()
    fixed = model(*batch, mode='loss')
    model.loss_weighting = UncertaintyWeighting(model.tasks)
    learned = model(*batch, mode='loss')
    for name in fixed:
        torch.testing.assert_close(learned[name], fixed[name])
    sum(learned.values()).backward()
    for name, weight in {'semseg': 1.0, 'normals': 10.0}.items():
        gradient = model.loss_weighting.log_variance[name].grad
        # d/ds of w (exp(-s) L + s) at s = 0
        torch.testing.assert_close(gradient, weight - fixed[f'loss/{name}'].detach())


def test_unknown_mode(micro_model):
    with pytest.raises(ValueError, match="'loss', 'predict' or 'tensor'"):
        micro_model()(torch.randn(1, 3, 40, 40), mode='test')


def test_large_images_are_predicted_in_strips(micro_model, monkeypatch):
    model = micro_model(adapters=ADAPTERS).eval()
    image = torch.randn(1, 3, 40, 36)
    for size in ((173, 201), (20, 17), (1, 300), (300, 1)):
        sample = MultiTaskDataSample(metainfo=dict(ori_shape=size, img_shape=(40, 36)))
        (whole,) = model.predict(image, [sample.clone()])
        with monkeypatch.context() as patched:
            patched.setattr('mtl.ops.upsample.MOST_NUMBERS', 3 * size[1] * 7)
            (strips,) = model.predict(image, [sample.clone()])
        torch.testing.assert_close(strips.pred_normals, whole.pred_normals, rtol=1e-4, atol=1e-4)
        assert (strips.pred_semseg == whole.pred_semseg).float().mean() > 0.999
        assert strips.pred_semseg.shape == whole.pred_semseg.shape == size
