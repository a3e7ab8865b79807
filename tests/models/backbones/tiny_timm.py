"""Tiny variants, at random weights, of networks of timm."""

import torch
from torch import nn

from mtl.models.backbones import TimmBackbone
from mtl.protocols import adapter_parameters

VIT = dict(embed_dim=32, depth=4, num_heads=2, img_size=64)
VIT_14 = {**VIT, 'img_size': 56}
WITH_STREAMS = dict(
    vit=dict(model='vit_tiny_patch16_224', **VIT),
    deit3=dict(model='deit3_small_patch16_224', **VIT),
    dinov2=dict(model='vit_small_patch14_reg4_dinov2', **VIT_14),
    dinov2_gated=dict(model='vit_giant_patch14_dinov2', **VIT_14),
    dinov3=dict(model='vit_small_patch16_dinov3', **VIT),
    dinov3_gated=dict(model='vit_small_plus_patch16_dinov3', **VIT),
    eva02=dict(model='eva02_tiny_patch14_224', **VIT_14),
    eva02_apart=dict(model='eva02_base_patch14_448', **VIT_14),
    siglip=dict(model='vit_base_patch16_siglip_224', **VIT),
    swin_v2=dict(
        model='swinv2_tiny_window8_256', img_size=64, embed_dim=16, depths=(2, 2), num_heads=(1, 2), window_size=4
    ),
)
CONVOLUTIONAL = dict(
    convnext=dict(model='convnext_atto', dims=(8, 16, 24, 32), depths=(1, 1, 2, 1)),
    resnet=dict(model='resnet50', layers=(1, 1, 1, 1), channels=(8, 16, 24, 32)),
)
QUICK = ('dinov2', 'dinov3_gated', 'swin_v2', 'convnext', 'resnet')  # each way through the code once
NETWORKS = {**WITH_STREAMS, **CONVOLUTIONAL}
TASKS = ('saliency', 'normals')
RANDOM = dict(pretrained=None, allow_random_init=True)
SHARED_ONLY = dict(rank=3, task_rank=0, scale=2.0, dropout=0.0, targets=('qkv', 'proj', 'fc1', 'fc2', 'conv'))


def adapters_of(kind, **options):
    """Shared updates, and those of single tasks where the network lets their streams begin."""
    streams = dict(rank=3, task_rank=2, scale=2.0, task_scale=3.0, dropout=0.0)
    return {**(streams if kind in WITH_STREAMS else SHARED_ONLY), **options}


def build(kind, adapters=None, seed=0, **options):
    """A backbone whose updates are not zero, whose LayerScales, biases and norms are not those of the start."""
    torch.manual_seed(seed)
    backbone = TimmBackbone(**{**NETWORKS[kind], **RANDOM, 'tasks': TASKS, 'adapters': adapters, **options})
    adapted = {id(parameter) for parameter in adapter_parameters(backbone)}
    draw = torch.Generator().manual_seed(seed)
    for parameter in backbone.parameters():  # the same of a network with adapters and of one without
        if id(parameter) not in adapted and parameter.ndim == 1:
            with torch.no_grad():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    for parameter in adapter_parameters(backbone):
        nn.init.normal_(parameter, std=0.1, generator=draw)
    return backbone.eval()


def image_for(backbone, images=1):
    """An image that is not a square."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, 3, backbone.size_divisor * 2, backbone.size_divisor * 3, generator=generator)
