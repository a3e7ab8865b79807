# python tools/train.py configs/baselines/full_finetune_swin_ccp.py
# All of the micro Swin trained on Clothing Co-Parsing, three tasks on one backbone, without adapters.
_base_ = [
    '../_base_/models/mtlora_swin_micro.py',
    '../_base_/datasets/ccp.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, backbone=dict(adapters=None, trainable='all'))
