# MTLoRA on a micro Swin of 3.1 million parameters, with the TaskExpert decoder. The config that uses it adds `tasks`.
model = dict(
    type='MultiTaskModel',
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),
    backbone=dict(
        type='SwinBackbone',
        model='swin_tiny_patch4_window7_224',
        img_size=(224, 224),  # as in pretraining; the quick start runs it on 160 x 160
        embed_dim=32,
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 8, 16),
        window_size=7,
        pretrained='checkpoints/swin_micro.safetensors',
        allow_random_init=False,
        drop_path_rate=0.0,
        adapters=dict(type='MTLoRA', rank=16, task_rank=4, scale=4.0, task_scale=4.0, dropout=0.05),
        trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
    ),
    decoder=dict(
        type='TaskExpertDecoder',
        channels=64,
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
