# python tools/train.py configs/task_expert/swin_base_pascal.py --amp
# TaskExpert on Swin-B, PASCAL-Context, five tasks, 512 x 512; 6 images on one GPU.
_base_ = 'swin_large_pascal.py'

model = dict(backbone=dict(model='swin_base_patch4_window7_224'))
