# python tools/train.py configs/task_expert/swin_large_nyud.py --amp
# TaskExpert on Swin-L, NYUD-v2 (either edition), four tasks, 448 x 576; 4 images on one GPU.
_base_ = [
    '../_base_/models/task_expert_swin.py',
    '../_base_/datasets/nyud_448.py',
    '../_base_/schedules/task_expert_40k.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks, backbone=dict(model='swin_large_patch4_window7_224', img_size=_base_.img_size))

# counted in iterations, not epochs
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=4000))
log_processor = dict(by_epoch=False)
