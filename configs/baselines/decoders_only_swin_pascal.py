# python tools/train.py configs/baselines/decoders_only_swin_pascal.py --amp
# The backbone as it was pretrained, frozen; only decoders and heads are trained. PASCAL-Context, four tasks.
_base_ = 'full_finetune_swin_pascal.py'

model = dict(backbone=dict(trainable=[]))
