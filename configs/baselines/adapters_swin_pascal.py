# python tools/train.py configs/baselines/adapters_swin_pascal.py --amp
# Bottleneck adapters shared by all tasks, with norms trained (VL-Adapter, Sung et al., CVPR 2022). PASCAL-Context.
_base_ = '../mtlora/mtlora_swin_hrnet_pascal.py'

model = dict(backbone=dict(adapters=dict(_delete_=True, type='Bottleneck', reduction=8), trainable=['norms']))
