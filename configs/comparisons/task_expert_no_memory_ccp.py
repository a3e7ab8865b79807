# python tools/train.py configs/comparisons/task_expert_no_memory_ccp.py --cfg-options randomness.seed=0
# Decoders compared on a frozen backbone, small and short (docs/results.md): TaskExpert without memory; more hidden
# units instead.
_base_ = 'task_expert_ccp.py'

model = dict(decoder=dict(memory=False, expert_ratio=0.85))
