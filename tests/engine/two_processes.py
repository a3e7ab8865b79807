"""What each process of `test_two_processes.py` does; a module of its own so that it can be started anew."""

import torch
from mmengine.model import MMDistributedDataParallel

from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    depth=dict(type='Depth'),
    edge=dict(type='Boundary'),
)
SIZE = (32, 32)
# which samples of the batch of four have which label; the rest of the tasks are labelled everywhere
CASES = {
    'all labels': {},
    'some samples': dict(semseg=(0, 1, 3), normals=(2,)),
    'one process has none': dict(semseg=(0, 1), saliency=(2, 3), depth=(3,)),
    'nobody has any': dict(semseg=(), normals=(), edge=()),
    'balanced experts': dict(semseg=(0, 1, 3)),
}
HRNET = dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=8, norm_cfg=dict(type='GN', num_groups=2))
EXPERTS = dict(type='TaskExpertDecoder', channels=8, experts=3, expert_ratio=0.5, balance_weight=0.5)


def batch(case):
    """Four images whose labels have different shares of unknown pixels."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, 3, *SIZE, generator=generator)
    samples = []
    for index in range(4):
        unknown = torch.rand(SIZE, generator=generator) < 0.2 * index
        labels = dict(
            semseg=torch.randint(0, 3, SIZE, generator=generator).masked_fill(unknown, 255).byte(),
            saliency=torch.randint(0, 2, SIZE, generator=generator).masked_fill(unknown, 255).byte(),
            normals=torch.nn.functional.normalize(torch.randn(3, *SIZE, generator=generator), dim=0) * ~unknown,
            depth=torch.rand(SIZE, generator=generator) * ~unknown,
            edge=torch.randint(0, 2, SIZE, generator=generator).masked_fill(unknown, 255).byte(),
        )
        have = [name for name in labels if index in CASES[case].get(name, range(4))]
        samples.append(MultiTaskDataSample(**{f'gt_{name}': labels[name] for name in have}))
    return inputs, samples


def gradients(case, rank=None):
    """Gradients of one process with the whole batch, or of process ``rank`` of two with its half."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone=dict(
                type='SwinBackbone', img_size=SIZE, embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=4,
                drop_path_rate=0.0, pretrained=None, allow_random_init=True,
                adapters=dict(rank=2, task_rank=2, dropout=0.0),
                trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
            ),
            decoder=EXPERTS if case == 'balanced experts' else HRNET,
        )
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if name.endswith('.B'):  # starts at 0, which would leave A without a gradient
            torch.nn.init.normal_(parameter, std=0.3)
    inputs, samples = batch(case)
    network = model
    if rank is not None:
        inputs, samples = inputs[2 * rank : 2 * rank + 2], samples[2 * rank : 2 * rank + 2]
        network = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    total, log = model.parse_losses(network(inputs, samples, mode='loss'))
    total.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    return found, {name: float(value) for name, value in log.items()}


def process(rank, folder):
    """One of two processes: save its gradients of every case."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    torch.save({case: gradients(case, rank) for case in CASES}, f'{folder}/rank_{rank}.pth')
    torch.distributed.destroy_process_group()
