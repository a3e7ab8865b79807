# NYUD-v2 (either edition), four tasks, augmented as in the InvPT / TaskExpert line of work: zoom of 0.5 to 2, crop,
# flip, colours.
data_root = 'data/NYUD_MT'
batch_size = 4
img_size = (448, 576)
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes='nyud_40', loss_weight=1.0),
    depth=dict(type='Depth', loss_weight=1.0),
    normals=dict(type='SurfaceNormals', loss_weight=10.0),
    edge=dict(type='Boundary', pos_weight=0.95, loss_weight=50.0),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomScaleCrop', size=img_size, scale=(0.5, 2.0)),
    dict(type='RandomFlip', prob=0.5),
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
    persistent_workers=False,  # workers are seeded anew, see SeedHook
    sampler=dict(type='InfiniteSampler', shuffle=True),
    worker_init_fn=dict(type='seed_worker'),
    dataset=dict(type='NYUDv2', data_root=data_root, split='train', tasks=tasks, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),  # no image counts twice
    dataset=dict(type='NYUDv2', data_root=data_root, split='val', tasks=tasks, pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict(edge=dict(max_dist=0.011)))
test_evaluator = val_evaluator
