"""What each process of `test_sandwich_processes.py` does; a module of its own so that it can be started anew."""

import torch
from mmengine.optim import OptimWrapper

from mtl.engine import MultiTaskDistributedDataParallel
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample

SIZE = (32, 32)


def batch():
    draw = torch.Generator().manual_seed(0)
    samples = [
        MultiTaskDataSample(
            gt_semseg=torch.randint(0, 3, SIZE, generator=draw).byte(),
            gt_saliency=torch.randint(0, 2, SIZE, generator=draw).byte(),
        )
        for _ in range(4)
    ]
    return torch.randn(4, 3, *SIZE, generator=draw), samples


def after_two_steps(decoder, rank=None):
    """Parameters and widths of one process with the whole batch, or of process ``rank`` of two with its half."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=dict(
                semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
                saliency=dict(type='Saliency'),
            ),
            backbone=dict(
                type='SwinBackbone', img_size=SIZE, embed_dim=8, depths=(1, 1), num_heads=(2, 4), window_size=4,
                drop_path_rate=0.0, pretrained=None, allow_random_init=True,
                adapters=dict(rank=2, task_rank=2, dropout=0.0),
                trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
            ),
            decoder=decoder,
            slimming=dict(encoder=0.25, decoder=0.25, samples=1, multiple=2),
        )
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if name.endswith('.B'):  # starts at 0, which would leave A without a gradient
            torch.nn.init.normal_(parameter, std=0.3)
    inputs, samples = batch()
    network = model
    if rank is not None:
        inputs, samples = inputs[2 * rank : 2 * rank + 2], samples[2 * rank : 2 * rank + 2]
        network = MultiTaskDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    trains = [parameter for parameter in model.parameters() if parameter.requires_grad]
    wrapper = OptimWrapper(torch.optim.SGD(trains, lr=0.01))
    widths = []
    for _ in range(2):
        widths += [str(width) for _, width in model.policy.widths(model)]
        network.train_step(dict(inputs=inputs, data_samples=samples), wrapper)
    return dict(model.named_parameters()), widths


DECODERS = dict(
    hrnet=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=8, norm_cfg=dict(type='GN', num_groups=2)),
    task_expert=dict(type='TaskExpertDecoder', channels=8, experts=2),
)


def process(rank, folder):
    """One of two processes: save what it has after two steps."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    found = {name: after_two_steps(decoder, rank) for name, decoder in DECODERS.items()}
    torch.save(found, f'{folder}/rank_{rank}.pth')
    torch.distributed.destroy_process_group()
