# python tools/train.py configs/mtlora/mtlora_swin_hrnet_pascal.py --amp
# The MTLoRA paper: HRNet decoders on Swin-T, rank 64 shared and 4 a task, PASCAL-Context, the paper's four tasks; 32
# images on one GPU.
_base_ = [
    '../_base_/models/mtlora_swin_tiny.py',
    '../_base_/datasets/pascal.py',
    '../_base_/schedules/mtlora_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)
