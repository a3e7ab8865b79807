# python tools/train.py configs/ecmt/swin_miniscenes.py
# One network for any budget and preference, on MiniScenes: the quick start with two random widths per step instead of
# one, and three times as many epochs.
_base_ = [
    '../_base_/models/mtlora_task_expert_swin_micro.py',
    '../_base_/datasets/miniscenes.py',
    '../_base_/schedules/short.py',
    '../_base_/slimming.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, slimming=_base_.slimming)
default_hooks = dict(logger=dict(interval=10))
train_cfg = dict(max_epochs=18, val_interval=9)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=18,
        T_max=17,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
