# python tools/train.py configs/comparisons/task_expert_no_memory_ccp.py --cfg-options randomness.seed=0
# Decoders compared, small and short (docs/results.md): TaskExpert without memory.
_base_ = 'task_expert_ccp.py'

model = dict(decoder=dict(memory=False))
