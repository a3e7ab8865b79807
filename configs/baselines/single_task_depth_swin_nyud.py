# python tools/train.py configs/baselines/single_task_depth_swin_nyud.py --amp
# depth alone: what delta_m compares the network of several tasks with.
_base_ = 'full_finetune_swin_nyud.py'

tasks = dict(_delete_=True, depth=_base_.tasks.depth)
model = dict(tasks=tasks)
train_dataloader = dict(dataset=dict(tasks=tasks))
val_dataloader = dict(dataset=dict(tasks=tasks))
test_dataloader = val_dataloader
val_evaluator = dict(tasks=tasks, metrics=dict(_delete_=True))
test_evaluator = val_evaluator
