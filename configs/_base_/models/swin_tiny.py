# Swin-T without adapters, trained in full. The config that uses it adds `tasks`.
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
        type='HRNetDecoder',
        level_channels=(18, 36, 72, 144),
        out_channels=1080,
        norm_cfg=dict(type='BN', momentum=0.1),
    ),
    loss_weighting=dict(type='FixedWeighting'),  # each task's own weight
)
