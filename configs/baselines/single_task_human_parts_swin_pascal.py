# python tools/train.py configs/baselines/single_task_human_parts_swin_pascal.py --amp
# human_parts alone: what delta_m compares the network of several tasks with.
_base_ = 'full_finetune_swin_pascal.py'

tasks = dict(_delete_=True, human_parts=_base_.tasks.human_parts)
model = dict(tasks=tasks)
train_dataloader = dict(dataset=dict(tasks=tasks))
val_dataloader = dict(dataset=dict(tasks=tasks))
test_dataloader = val_dataloader
val_evaluator = dict(tasks=tasks)
test_evaluator = val_evaluator
