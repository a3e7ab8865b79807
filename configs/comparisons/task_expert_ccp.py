# python tools/train.py configs/comparisons/task_expert_ccp.py --cfg-options randomness.seed=0
# Decoders compared on a frozen backbone, small and short (docs/results.md): TaskExpert.
_base_ = [
    '../_base_/models/mtlora_task_expert_swin_micro.py',
    '../_base_/datasets/ccp.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, backbone=dict(adapters=None, trainable=[]))

img_size = (192, 128)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomRotateScale', max_angle=10.0, scale=(0.75, 1.25)),
    dict(type='Resize', size=img_size),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=img_size),
    dict(type='LoadLabels'),  # after the resize: labels keep their own resolution
    dict(type='Pack'),
]
batch_size = 4
train_dataloader = dict(batch_size=batch_size, num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1), panels=dict(count=2))
train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=3,
        T_max=2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
