# python tools/train.py configs/baselines/single_task_semseg_swin_nyud.py --amp
# semseg alone: what delta_m compares the network of several tasks with.
_base_ = 'full_finetune_swin_nyud.py'

tasks = dict(_delete_=True, semseg=_base_.tasks.semseg)
model = dict(tasks=tasks)
train_dataloader = dict(dataset=dict(tasks=tasks))
val_dataloader = dict(dataset=dict(tasks=tasks))
test_dataloader = val_dataloader
val_evaluator = dict(tasks=tasks, metrics=dict(_delete_=True))
test_evaluator = val_evaluator
