# MTLoRA on Swin-T: rank 64 shared, rank 4 a task, with the TaskExpert decoder. The config that uses it adds `tasks`.
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
        adapters=dict(type='MTLoRA', rank=64, task_rank=4, scale=4.0, task_scale=4.0, dropout=0.05),
        trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
    ),
    decoder=dict(
        type='TaskExpertDecoder',
        channels=80,
        resolution='level',  # each level at its own; 'finest': all upsampled first
        entries='levels',  # every level enters the memory of each task directly; 'first': the finest alone
        experts=5,
        expert_ratio=0.5,  # hidden units of an expert a channel
        expert_input='task',  # or 'shared': one set of experts' outputs for all tasks
        gates='pixel',  # or 'image', 'static'
        memory=True,
        share_experts=False,
        balance_weight=0.01,
        deep_supervision=0.0,
    ),
    loss_weighting=dict(type='FixedWeighting'),  # each task's own weight
)
