# python tools/train.py docs/extending/examples/two_data_sets.py
# One network for the labels of two data sets: VOC's classes and saliency from PASCAL-Context, NYUD's classes and depth
# from NYUD-v2, normals from both.
_base_ = ['own_folder.py']

tasks = dict(
    _delete_=True,
    objects=dict(type='SemanticSegmentation', classes='pascal_voc'),
    saliency=dict(type='Saliency'),
    rooms=dict(type='SemanticSegmentation', classes='nyud_40'),
    depth=dict(type='Depth'),
    normals=dict(type='SurfaceNormals'),
)
model = dict(tasks=tasks)

pascal = dict(
    type='PASCALContext',
    data_root='data/PASCAL_MT',
    tasks={name: tasks[name] for name in ('objects', 'saliency', 'normals')},
    labels=dict(objects='semseg'),  # the label that the task `objects` learns from
)
nyud = dict(
    type='NYUDv2',
    data_root='data/NYUD_MT',
    tasks={name: tasks[name] for name in ('rooms', 'depth', 'normals')},
    labels=dict(rooms='semseg'),
)
train = dict(split='train', pipeline=_base_.train_pipeline)
val = dict(split='val', pipeline=_base_.test_pipeline, test_mode=True)
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[{**pascal, **train}, {**nyud, **train}])
)
val_dataloader = test_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[{**pascal, **val}, {**nyud, **val}])
)
val_evaluator = test_evaluator = dict(tasks=tasks)
