# python tools/train.py configs/ecmt/swin_ccp.py
# python tools/train.py configs/ecmt/swin_ccp.py --cfg-options data_root=FOLDER
# One network for any budget and preference, on 600 real street photographs (Clothing Co-Parsing): micro Swin, MTLoRA,
# TaskExpert, three tasks.
_base_ = [
    '../_base_/models/mtlora_task_expert_swin_micro.py',
    '../_base_/datasets/ccp.py',
    '../_base_/schedules/short.py',
    '../_base_/slimming.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, slimming=_base_.slimming)
default_hooks = dict(logger=dict(interval=10))
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
