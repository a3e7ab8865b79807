# python tools/train.py configs/mtlora_swin_pascal.py --amp
# The flagship: frozen Swin-T, MTLoRA of rank 64 shared and 4 a task, TaskExpert decoder. PASCAL-Context, four tasks; 32
# images on one GPU. The MTLoRA paper's own decoder: mtlora/mtlora_swin_hrnet_pascal.py.
_base_ = [
    '_base_/models/mtlora_task_expert_swin_tiny.py',
    '_base_/datasets/pascal.py',
    '_base_/schedules/mtlora_300e.py',
    '_base_/slimming.py',
    '_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, slimming=_base_.slimming)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
