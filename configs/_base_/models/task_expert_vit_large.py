# TaskExpert (ICCV 2023) on ViT-L/16, the paper's larger backbone. The config that uses it adds `tasks`.
model = dict(
    type='MultiTaskModel',
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),
    backbone=dict(
        type='TimmBackbone',
        model='vit_large_patch16_224.augreg_in21k_ft_in1k',
        pretrained=True,  # timm's weights of that name; or the path of a file
        allow_random_init=False,
        drop_path_rate=0.15,
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
        upsampling=2,  # from stride 16 to 8
    ),
    loss_weighting=dict(type='FixedWeighting'),  # each task's own weight
)
