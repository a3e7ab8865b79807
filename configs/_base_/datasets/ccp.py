# Clothing Co-Parsing, real street photographs (550 pixels wide, upright). All three labels come from one annotation.
data_root = 'data/ccp'
batch_size = 16
img_size = (288, 192)
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes='ccp_10', loss_weight=1.0),
    saliency=dict(type='Saliency', loss_weight=5.0),
    edge=dict(type='Boundary', pos_weight=0.95, loss_weight=50.0),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomRotateScale', max_angle=10.0, scale=(0.75, 1.25)),
    dict(type='Resize', size=img_size),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=img_size),
    dict(type='LoadLabels'),  # after the resize: labels keep their own resolution
    dict(type='Pack'),
]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=4,
    persistent_workers=False,  # workers are seeded anew every epoch, see SeedHook
    sampler=dict(type='DefaultSampler', shuffle=True),
    worker_init_fn=dict(type='seed_worker'),
    dataset=dict(type='ClothingCoParsing', data_root=data_root, split='train', tasks=tasks, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),  # no image counts twice
    dataset=dict(
        type='ClothingCoParsing', data_root=data_root, split='val', tasks=tasks, pipeline=test_pipeline, test_mode=True
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())
test_evaluator = val_evaluator
