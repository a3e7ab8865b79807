# Trains a micro Swin whole, from random weights, on MiniScenes of another seed and style than the quick start's:
#   python tools/train.py configs/pretrain_micro_miniscenes.py
# Its backbone lies in checkpoints/swin_micro_miniscenes.safetensors (see checkpoints/README.md), so that a
# machine without a hub starts from a pretrained backbone, and freezing it means something.
_base_ = ['_base_/datasets/miniscenes.py', '_base_/default_runtime.py']

data_root = 'data/mini_scenes_pretraining'
scenes = dict(
    type='MiniScenes',
    data_root=data_root,
    num_train=2000,
    num_val=100,
    size=(192, 192),
    seed=7,
    style='dusk',
)
tasks = dict(**_base_.tasks, depth=dict(type='Depth', loss_weight=1.0))
input_size = (160, 160)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomScaleCrop', size=input_size, scale=(0.6, 1.5)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
batch_size = 8
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(_delete_=True, **scenes, split='train', tasks=tasks, pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(_delete_=True, **scenes, split='val', tasks=tasks, pipeline=_base_.test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())
test_evaluator = val_evaluator

model = dict(
    type='MultiTaskModel',
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),
    backbone=dict(
        type='SwinBackbone',
        model='swin_tiny_patch4_window7_224',
        img_size=(224, 224),  # the last stage is one window: no shift there; other sizes run with the same weights
        embed_dim=32,
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 8, 16),
        pretrained=None,
        allow_random_init=True,
        drop_path_rate=0.05,
        adapters=None,
        trainable='all',
    ),
    decoder=dict(
        type='HRNetDecoder', level_channels=(16, 24, 32, 48), out_channels=96, norm_cfg=dict(type='BN', momentum=0.01)
    ),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MultiTaskOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=8,
        T_max=7,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
