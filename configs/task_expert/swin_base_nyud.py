# python tools/train.py configs/task_expert/swin_base_nyud.py --amp
# TaskExpert on Swin-B, NYUD-v2 (either edition), four tasks, 448 x 576; 4 images on one GPU.
_base_ = 'swin_large_nyud.py'

model = dict(backbone=dict(model='swin_base_patch4_window7_224'))
