# python tools/train.py configs/quickstart.py
# MTLoRA and TaskExpert on a micro Swin, five tasks, MiniScenes, trained for all widths at once: from the embedded
# weights, on two cores in minutes.
_base_ = [
    '_base_/models/mtlora_task_expert_swin_micro.py',
    '_base_/datasets/miniscenes.py',
    '_base_/schedules/short.py',
    '_base_/slimming.py',
    '_base_/default_runtime.py',
]

# smaller crops and batches than the data set's own: more steps in the same minutes
input_size = (160, 160)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomScaleCrop', size=input_size, scale=(0.75, 1.5)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=input_size),
    dict(type='LoadLabels'),  # after Resize: labels keep their own resolution
    dict(type='Pack'),
]
batch_size = 4
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    type='SlimmableMultiTaskModel',
    tasks=_base_.tasks,
    slimming={**_base_.slimming, 'samples': 1, 'begin': 300},  # five epochs of the full width, then all widths
)
default_hooks = dict(logger=dict(interval=10))
train_cfg = dict(max_epochs=8, val_interval=8)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=8,
        T_max=7,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
