# python tools/train.py configs/task_expert/swin_large_pascal.py --amp
# TaskExpert on Swin-L, PASCAL-Context, five tasks, 512 x 512; 6 images on one GPU.
_base_ = [
    '../_base_/models/task_expert_swin.py',
    '../_base_/datasets/pascal_512.py',
    '../_base_/schedules/task_expert_40k.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, backbone=dict(model='swin_large_patch4_window7_224', img_size=_base_.img_size))

# counted in iterations, not epochs
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4000))
log_processor = dict(by_epoch=False)
