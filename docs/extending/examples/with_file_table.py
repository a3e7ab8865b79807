# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_file_table.py
# The quick start's network on two tasks of a data set that the package does not know.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['file_table'], allow_failed_imports=False)

saliency, normals = dict(type='Saliency', loss_weight=5.0), dict(type='SurfaceNormals', loss_weight=10.0)
tasks = dict(_delete_=True, saliency=saliency, normals=normals)
model = dict(tasks=tasks)
table = dict(_delete_=True, type='FileTable', data_root='data/own', tasks=dict(saliency=saliency, normals=normals))
train_dataloader = dict(dataset=dict(**table, split='train', pipeline=_base_.train_pipeline))
val_dataloader = test_dataloader = dict(
    dataset=dict(**table, split='val', pipeline=_base_.test_pipeline, test_mode=True)
)
val_evaluator = test_evaluator = dict(tasks=tasks)
