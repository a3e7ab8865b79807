# python tools/train.py configs/comparisons/task_expert_miniscenes.py
# python tools/train.py configs/comparisons/controllable_miniscenes.py
# A network of all widths, small and short (docs/results.md): MTLoRA and TaskExpert, with CI-KD. The first command
# trains what the second starts from.
_base_ = [
    '../_base_/models/mtlora_task_expert_swin_micro.py',
    '../_base_/datasets/miniscenes.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='SlimmableMultiTaskModel',
    tasks=_base_.tasks,
    slimming=dict(
        encoder=(0.25, 0.5, 0.75, 1.0), decoder=(0.25, 0.5, 0.75, 1.0), samples=1, distillation_weight=1.0, multiple=8
    ),
)

input_size = (128, 128)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomScaleCrop', size=input_size, scale=(0.6, 1.2)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=input_size),
    dict(type='LoadLabels'),  # after Resize: labels keep their own resolution
    dict(type='Pack'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1), panels=dict(count=2))
# 180 steps of three widths each, from a network whose decoders were trained on the frozen backbone
load_from = 'work_dirs/task_expert_miniscenes/epoch_13.pth'
train_cfg = dict(max_epochs=3, val_interval=3)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min_ratio=1e-2, begin=20, end=180, T_max=160, by_epoch=False),
]
