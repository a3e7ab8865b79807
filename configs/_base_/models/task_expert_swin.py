# TaskExpert (ICCV 2023) on a Swin that trains in full. The config that uses it adds `tasks`.
model = dict(
    type='MultiTaskModel',
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),
    backbone=dict(
        type='SwinBackbone',
        model='swin_tiny_patch4_window7_224',
        img_size=(448, 448),
        pretrained=True,  # timm's weights of that name; or the path of a file
        allow_random_init=False,
        drop_path_rate=0.2,
        adapters=None,
        trainable='all',
    ),
    decoder=dict(
        type='TaskExpertDecoder',
        channels=256,
        experts=5,
        expert_ratio=1.0,
        gates='pixel',
        memory=True,
        balance_weight=0.01,
        deep_supervision=0.4,
        checkpoint_experts=True,
    ),
    loss_weighting=dict(type='FixedWeighting'),  # each task's own weight
)
