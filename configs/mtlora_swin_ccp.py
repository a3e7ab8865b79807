# python tools/train.py configs/mtlora_swin_ccp.py
# python tools/train.py configs/mtlora_swin_ccp.py --cfg-options data_root=FOLDER
# The flagship's architecture on the micro Swin, from the embedded weights: 600 real street photographs, three tasks, on
# two cores in about a quarter of an hour. For Swin-T replace mtlora_task_expert_swin_micro.py by ..._tiny.py.
_base_ = [
    '_base_/models/mtlora_task_expert_swin_micro.py',
    '_base_/datasets/ccp.py',
    '_base_/schedules/short.py',
    '_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, decoder=dict(resolution='level', entries='levels'))
default_hooks = dict(logger=dict(interval=10))
