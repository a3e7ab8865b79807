# python tools/train.py configs/baselines/lora_swin_pascal.py --amp
# LoRA (Hu et al., ICLR 2022): updates shared by all tasks, the rest of the backbone frozen. PASCAL-Context, four tasks.
_base_ = '../mtlora/mtlora_swin_hrnet_pascal.py'

model = dict(
    backbone=dict(
        adapters=dict(_delete_=True, type='MTLoRA', rank=16, task_rank=0, scale=4.0, dropout=0.05, mode='lora_only'),
        trainable=[],
    )
)
