# python tools/train.py configs/task_expert/vit_large_pascal.py --amp
# TaskExpert on ViT-L, PASCAL-Context, five tasks, 512 x 512: the paper's setting; 6 images on one GPU.
_base_ = [
    '../_base_/models/task_expert_vit_large.py',
    '../_base_/datasets/pascal_512.py',
    '../_base_/schedules/task_expert_40k.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)

# counted in iterations, not epochs
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4000))
log_processor = dict(by_epoch=False)
