# python tools/train.py configs/comparisons/hrnet_ccp.py --cfg-options randomness.seed=0
# Decoders compared on a frozen backbone, small and short (docs/results.md): HRNet decoders. As many trained
# parameters as TaskExpert (within 10 %).
_base_ = 'task_expert_ccp.py'

model = dict(
    decoder=dict(
        _delete_=True,
        type='HRNetDecoder',
        level_channels=(16, 24, 32, 48),
        out_channels=300,
        norm_cfg=dict(type='BN', momentum=0.1),
    )
)
