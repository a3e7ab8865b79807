# python tools/train.py configs/mtlora_swin_nyud.py --amp
# The flagship on NYUD-v2 (either edition): frozen Swin-T, MTLoRA of rank 64 shared and 4 a task, TaskExpert decoder;
# four tasks, 32 images on one GPU.
_base_ = [
    '_base_/models/mtlora_task_expert_swin_tiny.py',
    '_base_/datasets/nyud.py',
    '_base_/schedules/mtlora_300e.py',
    '_base_/slimming.py',
    '_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, slimming=_base_.slimming)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
