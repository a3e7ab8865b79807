# MiniScenes: generated street and room scenes with exact labels for all six tasks (docs/mini_scenes.md), made in
# `data_root` on first use. The five tasks of PASCAL-Context; a config that wants depth adds it.
data_root = 'data/mini_scenes'
batch_size = 8
num_train = 240
num_val = 48
scene_size = (192, 192)
scene_seed = 0
style = 'day'

# Runs on MiniScenes are short: segmentation weighs more, boundaries less than in the published recipes, or the class
# maps would not leave the background in that time.
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc', loss_weight=4.0),
    human_parts=dict(type='PartSegmentation', loss_weight=8.0),
    saliency=dict(type='Saliency', loss_weight=5.0),
    normals=dict(type='SurfaceNormals', loss_weight=10.0),
    edge=dict(type='Boundary', pos_weight=0.95, loss_weight=25.0),
)

input_size = (192, 192)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomScaleCrop', size=input_size, scale=(0.75, 1.5)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='Resize', size=input_size),
    dict(type='LoadLabels'),  # after Resize: labels keep their own resolution
    dict(type='Pack'),
]

scenes = dict(
    type='MiniScenes',
    data_root=data_root,
    num_train=num_train,
    num_val=num_val,
    size=scene_size,
    seed=scene_seed,
    style=style,
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=False,  # workers of each epoch are seeded anew
    worker_init_fn=dict(type='seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**scenes, split='train', tasks=tasks, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),  # no sample is counted twice
    dataset=dict(**scenes, split='val', tasks=tasks, pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())
test_evaluator = val_evaluator
