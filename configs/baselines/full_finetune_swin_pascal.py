# python tools/train.py configs/baselines/full_finetune_swin_pascal.py --amp
# All of Swin-T trained on PASCAL-Context, four tasks on one backbone, without adapters.
_base_ = [
    '../_base_/models/swin_tiny.py',
    '../_base_/datasets/pascal.py',
    '../_base_/schedules/mtlora_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)
