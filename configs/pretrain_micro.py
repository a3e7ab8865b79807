# Trains the micro Swin that lies in checkpoints/swin_micro.safetensors, from the one of MiniScenes alone:
#   python tools/train.py configs/pretrain_micro.py
# Its features learn to predict those of EfficientNet-Lite0 (ImageNet) at every level, on photographs with and without
# labels, and to solve the tasks of NYUD-v2, Clothing Co-Parsing and MiniScenes. checkpoints/README.md says where the
# photographs come from, how long it took and what came of it.
_base_ = ['_base_/slimming.py', '_base_/default_runtime.py']

input_size = (224, 224)  # one window at the last stage: nothing is padded
classes = dict(type='SemanticSegmentation', loss_weight=1.0)
tasks = dict(
    rooms={**classes, 'classes': 'nyud_40', 'loss_weight': 2.0},
    clothes={**classes, 'classes': 'ccp_10'},
    semseg={**classes, 'classes': 'pascal_voc'},
    human_parts=dict(type='PartSegmentation', loss_weight=1.0),
    saliency=dict(type='Saliency', loss_weight=2.0),
    normals=dict(type='SurfaceNormals', loss_weight=5.0),
    edge=dict(type='Boundary', pos_weight=0.95, loss_weight=15.0),
    depth=dict(type='Depth', loss_weight=1.0),
)


def pipeline(low, high, reference=1.0):
    """Strong augmentation, with a zoom that suits the size of the data set's images.

    At the zoom ``reference`` an image has the size of the tests; there, depth is as labelled.
    """
    return [
        dict(type='LoadImage'),
        dict(type='LoadLabels'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomScaleCrop', size=input_size, scale=(low, high), reference=reference),
        dict(type='mmseg.PhotoMetricDistortion', hue_delta=12),
        dict(type='Pack'),
    ]


def of(*names):
    return {name: tasks[name] for name in names}


rooms = dict(
    type='FolderDataset',
    data_root='data/nyud',
    files=dict(
        image='images/{id}.jpg',
        rooms=dict(path='segmentation/{id}.png', values={0: 255, **{k: k - 1 for k in range(1, 41)}}),
        depth=dict(path='depth/{id}.png', scale=0.001),
        normals='normals/{id}.png',
        edge=dict(path='edge/{id}.png', values={255: 1}),
    ),
    splits=dict(train='gt_sets/train.txt', val='gt_sets/val.txt'),
    tasks=of('rooms', 'depth', 'normals', 'edge'),
)
street = dict(
    type='ClothingCoParsing',
    data_root='data/ccp',
    tasks=of('clothes', 'saliency', 'edge'),
    labels=dict(clothes='semseg'),
)
scenes = dict(
    type='MiniScenes',
    data_root='data/mini_scenes_pretraining',
    num_train=1000,
    num_val=100,
    size=(192, 192),
    seed=7,
    style='dusk',
    tasks=of('semseg', 'human_parts', 'saliency', 'normals', 'edge', 'depth'),
)


def photographs(pattern, low, high):
    """Photographs without labels."""
    return dict(
        type='FolderDataset',
        data_root='data/photos',
        files=dict(image=pattern),
        tasks=dict(),
        split='*',
        pipeline=pipeline(low, high),
    )


batch_size = 16
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=False,
    worker_init_fn=dict(type='seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            # twice: these labels say most about photographs
            dict(**rooms, split='train', pipeline=pipeline(0.4, 0.9, reference=224 / 480)),
            dict(**rooms, split='train', pipeline=pipeline(0.4, 0.9, reference=224 / 480)),
            dict(**street, split='train', pipeline=pipeline(0.3, 0.9)),
            dict(**scenes, split='train', pipeline=pipeline(1.0, 1.8, reference=224 / 192)),
            photographs('CamVid/train/{id}.png', 0.5, 1.2),
            photographs('CamVid/val/{id}.png', 0.5, 1.2),
            photographs('CamVid/test/{id}.png', 0.5, 1.2),
            photographs('BSDS500/data/images/train/{id}.jpg', 0.5, 1.2),
            photographs('BSDS500/data/images/val/{id}.jpg', 0.5, 1.2),
        ],
    ),
)
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=(224, 288)),
    dict(type='LoadLabels'),  # after Resize: labels keep their own resolution
    dict(type='Pack'),
]
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),  # no sample is counted twice
    dataset=dict(**rooms, split='val', pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='MultiTaskEvaluator', tasks=rooms['tasks'], metrics=dict())
test_evaluator = val_evaluator

epochs = 30
steps = 262  # of an epoch

model = dict(
    type='DistilledMultiTaskModel',
    slimming={**_base_.slimming, 'samples': 1, 'begin': 22 * steps},  # the full width first, then all widths
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', bgr_to_rgb=True),
    backbone=dict(
        type='SwinBackbone',
        model='swin_tiny_patch4_window7_224',
        img_size=input_size,
        embed_dim=32,
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 8, 16),
        window_size=7,
        pretrained='checkpoints/swin_micro_miniscenes.safetensors',
        adapters=None,
        trainable='all',
    ),
    decoder=dict(
        type='HRNetDecoder', level_channels=(16, 32, 64, 96), out_channels=96, norm_cfg=dict(type='BN', momentum=0.05)
    ),
    teacher=dict(
        type='TimmBackbone',
        model='tf_efficientnet_lite0',
        out_indices=(2, 3, 4),  # strides 8, 16, 32
        pretrained='checkpoints/tf_efficientnet_lite0.safetensors',
        trainable=[],
    ),
    pairs=((0, 0), (1, 1), (2, 1), (3, 2)),
    teacher_weight=5.0,
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=5)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small'))
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    autocast='bfloat16',
    constructor='MultiTaskOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1.5e-3, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=20.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=epochs,
        T_max=epochs - 1,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=20), panels=dict(_delete_=True, type='PanelHook', count=2))
