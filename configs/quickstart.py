# python tools/train.py configs/quickstart.py
# Adapts a small network that comes with the package to generated scenes of a style that it has not seen: MTLoRA on a
# micro Swin, five tasks, all widths at once, on two cores in minutes.
_base_ = [
    '_base_/models/mtlora_swin_micro.py',
    '_base_/datasets/miniscenes.py',
    '_base_/schedules/short.py',
    '_base_/slimming.py',
    '_base_/default_runtime.py',
]

batch_size = 4  # smaller than the data set's own: more steps in the same minutes
train_dataloader = dict(batch_size=batch_size)

model = dict(
    tasks=_base_.tasks,
    # backbone, decoder and heads have been trained at all widths: no order of the units is better than theirs
    slimming={**_base_.slimming, 'samples': 1, 'sort': False},
    decoder=dict(
        type='HRNetDecoder', level_channels=(16, 32, 64, 96), out_channels=96, norm_cfg=dict(type='BN', momentum=0.05)
    ),
    init_cfg=dict(type='FromCheckpoint', checkpoint='checkpoints/quickstart.safetensors'),
)
default_hooks = dict(logger=dict(interval=10))
train_cfg = dict(max_epochs=4, val_interval=4)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=4,
        T_max=3,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
