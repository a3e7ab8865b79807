# python tools/train.py configs/task_expert/swin_tiny_pascal.py --amp
# TaskExpert on Swin-T, PASCAL-Context, five tasks, 512 x 512; 6 images on one GPU.
_base_ = 'swin_large_pascal.py'

model = dict(backbone=dict(model='swin_tiny_patch4_window7_224'))
