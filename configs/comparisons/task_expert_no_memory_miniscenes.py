# python tools/train.py configs/comparisons/task_expert_no_memory_miniscenes.py --cfg-options randomness.seed=0
# Decoders compared, small and short (docs/results.md): TaskExpert without memory.
_base_ = 'task_expert_miniscenes.py'

model = dict(decoder=dict(memory=False))
