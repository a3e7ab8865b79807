import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from mtl.models import MultiTaskModel
from mtl.models.backbones import TimmBackbone

VIT = dict(model='vit_tiny_patch16_224', embed_dim=24, depth=6, num_heads=2, img_size=64)
CONVNEXT = dict(model='convnext_atto', dims=(8, 16, 24, 32), depths=(1, 1, 2, 1))
RESNET = dict(model='resnet18', layers=(1, 1, 1, 1), channels=(8, 16, 24, 32))
NETWORKS = dict(vit=VIT, convnext=CONVNEXT, resnet=RESNET)
EXPECTED = dict(  # channels, strides
    vit=((24,) * 4, (16,) * 4),
    convnext=((8, 16, 24, 32), (4, 8, 16, 32)),
    resnet=((8, 16, 24, 32), (4, 8, 16, 32)),
)


def build(kind, **options):
    torch.manual_seed(0)
    return TimmBackbone(**{**NETWORKS[kind], 'pretrained': None, 'allow_random_init': True, **options})


@pytest.mark.parametrize('kind', NETWORKS)
def test_attributes_say_what_comes_out(kind):
    backbone = build(kind).eval()
    assert (backbone.channels, backbone.strides) == EXPECTED[kind]
    assert backbone.size_divisor == max(backbone.strides)
    height, width = 2 * backbone.size_divisor, 5 * backbone.size_divisor
    features = backbone(torch.randn(2, 3, height, width))
    assert features.strides == backbone.strides
    for level, channels, stride in zip(features.levels, backbone.channels, backbone.strides, strict=True):
        assert level.streams == ('shared',)
        assert level.features.shape == (1, 2, channels, height // stride, width // stride)
    assert features.of('any task')[0].data_ptr() == features.levels[0].features.data_ptr()


@pytest.mark.parametrize('kind', NETWORKS)
def test_levels_are_those_of_timm(kind, tmp_path):
    """The oracle is timm's whole network, classifier and all, whose file the backbone reads."""
    options = {key: value for key, value in NETWORKS[kind].items() if key != 'model'}
    whole = timm.create_model(NETWORKS[kind]['model'], num_classes=5, **options).eval()
    save_file(whole.state_dict(), tmp_path / 'weights.safetensors')
    backbone = build(kind, pretrained=str(tmp_path / 'weights.safetensors'), allow_random_init=False).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        every = whole.forward_intermediates(image, intermediates_only=True)
        found = [level.features[0] for level in backbone(image).levels]
    wanted = [every[i] for i in (1, 2, 4, 5)] if kind == 'vit' else every[-4:]
    torch.testing.assert_close(found, wanted)


def test_chosen_depths_and_final_norm():
    backbone = build('vit', out_indices=(0, 3)).eval()
    assert len(backbone.network.blocks) == 4  # the fifth and sixth are of no use
    normed = build('vit', out_indices=(0, 3), norm=True).eval()
    nn.init.normal_(normed.network.norm.weight)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        for bare, level in zip(backbone(image).levels, normed(image).levels, strict=True):
            expected = normed.network.norm(bare.features[0].movedim(1, -1)).movedim(-1, 1)
            torch.testing.assert_close(level.features[0], expected)


def test_position_embedding_fits_another_grid(tmp_path):
    other = {**VIT, 'img_size': 96}
    whole = timm.create_model(other.pop('model'), num_classes=0, **other).eval()
    save_file(whole.state_dict(), tmp_path / 'vit.safetensors')
    backbone = build('vit', pretrained=str(tmp_path / 'vit.safetensors')).eval()
    assert backbone.network.pos_embed.shape == (1, 1 + 16, 24)
    torch.testing.assert_close(backbone.network.pos_embed[:, 0], whole.pos_embed[:, 0])


def test_files_that_do_not_fit(tmp_path):
    whole = timm.create_model('resnet18', num_classes=5)
    torch.save(whole.state_dict(), tmp_path / 'resnet.pth')
    with pytest.raises(RuntimeError, match=r'do not fit the backbone.*missing.*unexpected'):
        build('convnext', pretrained=str(tmp_path / 'resnet.pth'))
    with pytest.raises(RuntimeError, match='has no pretrained weights'):
        build('resnet', allow_random_init=False)


def test_a_file_without_batch_counters(tmp_path):
    state = {k: v + 1 if v.is_floating_point() else v for k, v in build('resnet').network.state_dict().items()}
    torch.save({k: v for k, v in state.items() if 'num_batches' not in k}, tmp_path / 'resnet.pth')
    loaded = build('resnet', pretrained=str(tmp_path / 'resnet.pth'), allow_random_init=False)
    torch.testing.assert_close(dict(loaded.network.state_dict()), state)


@pytest.mark.parametrize('kind', NETWORKS)
def test_what_trains(kind):
    assert all(p.requires_grad for p in build(kind).parameters())
    assert not any(p.requires_grad for p in build(kind, trainable=[]).parameters())
    backbone = build(kind, trainable=['norms', 'biases'])
    norms = [m for m in backbone.modules() if isinstance(m, (nn.LayerNorm, nn.BatchNorm2d))]
    wanted = {id(p) for norm in norms for p in norm.parameters()}
    wanted |= {id(p) for name, p in backbone.named_parameters() if name.endswith('.bias')}
    assert {id(p) for p in backbone.parameters() if p.requires_grad} == wanted
    with pytest.raises(ValueError, match='norms, biases'):
        build(kind, trainable=['adapters'])


def test_a_frozen_batch_norm_keeps_its_statistics():
    frozen, trained = build('resnet', trainable=[]).train(), build('resnet').train()
    before = frozen.network.bn1.running_mean.clone()
    for backbone in (frozen, trained):
        backbone(torch.randn(2, 3, 64, 64) + 3)
    assert torch.equal(frozen.network.bn1.running_mean, before)
    assert not torch.equal(trained.network.bn1.running_mean, before)


@pytest.mark.parametrize('kind', NETWORKS)
def test_checkpointing_changes_no_gradient(kind):
    image = torch.randn(2, 3, 64, 64)
    gradients = []
    for checkpoint_blocks in (False, True):
        backbone = build(kind, checkpoint_blocks=checkpoint_blocks).train()
        sum(level.features.square().mean() for level in backbone(image).levels).backward()
        gradients.append({name: p.grad for name, p in backbone.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*gradients)


def test_wrong_sizes_and_networks_of_one_size():
    with pytest.raises(ValueError, match='multiples of 16'):
        build('vit')(torch.zeros(1, 3, 40, 48))
    with pytest.raises(ValueError, match='one size only'):
        TimmBackbone('beit_base_patch16_224', embed_dim=24, depth=4, num_heads=2, pretrained='checkpoint')


@pytest.mark.parametrize('kind', NETWORKS)
def test_in_a_model(kind):
    """Any image size, and every parameter that the model leaves trainable gets a gradient."""
    model = MultiTaskModel(
        tasks=dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals')),
        backbone=dict(type='TimmBackbone', pretrained=None, allow_random_init=True, **NETWORKS[kind]),
        decoder=dict(type='HRNetDecoder', level_channels=(4, 4, 4, 4), out_channels=8),
    )
    logits = model(torch.randn(2, 3, 50, 70))
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        'saliency': (2, 1, 50, 70),
        'normals': (2, 3, 50, 70),
    }
    sum(values.square().mean() for values in logits.values()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
