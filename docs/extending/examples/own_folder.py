# python tools/train.py docs/extending/examples/own_folder.py
# Two tasks from a folder of photographs, masks (PNG) and depth (NPY). What stands for yours here is a folder that
#     python tools/make_mini_scenes.py pascal data/own --num-train 8 --num-val 4
# writes: change `data_root`, `files`, `tasks`, and the sizes.
_base_ = [
    '../../../configs/_base_/models/mtlora_swin_micro.py',
    '../../../configs/_base_/schedules/short.py',
    '../../../configs/_base_/default_runtime.py',
]

data_root = 'data/own'
files = dict(
    image='JPEGImages/{id}.jpg',
    # of the 21 classes in these masks, 15 is a person: two classes remain, and 255 stays unknown
    semseg=dict(path='semseg/VOC12/{id}.png', values={**dict.fromkeys(range(21), 0), 15: 1}),
    depth='depth/{id}.npy',  # float metres; for a PNG of millimetres dict(path='depth/{id}.png', scale=0.001)
)
splits = dict(train='ImageSets/Context/train.txt', val='ImageSets/Context/val.txt')  # an id a line
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes=['other', 'person']),
    depth=dict(type='Depth', max_depth=20.0),
)
model = dict(tasks=tasks)

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

folder = dict(type='FolderDataset', data_root=data_root, files=files, splits=splits, tasks=tasks)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,  # workers of each epoch are seeded anew
    worker_init_fn=dict(type='seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**folder, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),  # no sample is counted twice
    dataset=dict(**folder, split='val', pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

val_evaluator = test_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())
