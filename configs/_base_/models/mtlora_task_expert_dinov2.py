# MTLoRA on a frozen DINOv2 ViT-B/14: rank 64 shared, rank 4 per task, with the TaskExpert decoder. The config that
# uses it adds `tasks`. Another size: model.backbone.model=vit_small_patch14_reg4_dinov2.lvd142m.
model = dict(
    type='MultiTaskModel',
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),  # mean and std are those of the weights
    backbone=dict(
        type='TimmBackbone',
        model='vit_base_patch14_reg4_dinov2.lvd142m',
        norm=True,  # the levels pass the network's last norm, as in the dense heads of its authors
        pretrained=True,  # timm's weights of that name; or the path of a file
        allow_random_init=False,
        adapters=dict(type='MTLoRA', rank=64, task_rank=4, scale=4.0, task_scale=4.0, dropout=0.05),
        trainable=[],  # besides the adapters
    ),
    decoder=dict(
        type='TaskExpertDecoder',
        channels=80,
        resolution='level',  # each level at its own; 'finest': all upsampled first
        entries='levels',  # every level enters the memory of each task directly; 'first': the finest alone
        experts=5,
        expert_ratio=0.5,
        gates='pixel',
        memory=True,
        balance_weight=0.01,
        upsampling=2,  # from stride 14 to 7 (DINOv3: 16 to 8)
    ),
    loss_weighting=dict(type='FixedWeighting'),  # each task's own weight
)
