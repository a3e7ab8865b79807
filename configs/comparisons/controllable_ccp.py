# python tools/train.py configs/comparisons/task_expert_ccp.py
# python tools/train.py configs/comparisons/controllable_ccp.py
# A network of all widths, small and short (docs/results.md): MTLoRA and TaskExpert. The first command trains what the
# second starts from. Without CI-KD: --cfg-options model.slimming.distillation_weight=0
_base_ = 'task_expert_ccp.py'

model = dict(
    backbone=dict(
        adapters=dict(_delete_=True, type='MTLoRA', rank=16, task_rank=4, scale=4.0, task_scale=4.0, dropout=0.05),
        trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
    ),
    slimming=dict(
        encoder=(0.25, 0.5, 0.75, 1.0), decoder=(0.25, 0.5, 0.75, 1.0), samples=1, distillation_weight=10.0, multiple=8
    ),
)

# 150 steps of three widths each, from a network whose decoders were trained on the frozen backbone
load_from = 'work_dirs/task_expert_ccp/epoch_3.pth'
train_cfg = dict(max_epochs=1, val_interval=1)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
optim_wrapper = dict(optimizer=dict(lr=5e-4), paramwise_cfg=dict(_delete_=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min_ratio=1e-2, begin=20, end=150, T_max=130, by_epoch=False),
]
