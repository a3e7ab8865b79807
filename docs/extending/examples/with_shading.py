# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_shading.py
# The quick start with a sixth task, which the package does not know.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['shading'], allow_failed_imports=False)

tasks = dict(shading=dict(type='Shading', loss_weight=10.0))  # added to the five of the quick start
model = dict(tasks=tasks)
train_dataloader = dict(dataset=dict(tasks=tasks))
val_dataloader = test_dataloader = dict(dataset=dict(tasks=tasks))
val_evaluator = test_evaluator = dict(tasks=tasks)
