# python tools/train.py configs/baselines/bitfit_swin_pascal.py --amp
# BitFit (Ben Zaken et al., ACL 2022): all biases of the backbone, and decoders and heads. PASCAL-Context, four tasks.
_base_ = 'full_finetune_swin_pascal.py'

model = dict(backbone=dict(trainable=['biases']))
