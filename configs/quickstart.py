# python tools/train.py configs/quickstart.py
# MTLoRA on a micro Swin, five tasks, MiniScenes: from the embedded weights, on two cores in minutes.
_base_ = [
    '_base_/models/mtlora_swin_micro.py',
    '_base_/datasets/miniscenes.py',
    '_base_/schedules/short.py',
    '_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)
default_hooks = dict(logger=dict(interval=10))
