# python tools/train.py configs/comparisons/task_expert_shared_input_miniscenes.py --cfg-options randomness.seed=0
# Decoders compared, small and short (docs/results.md): TaskExpert whose experts read the shared stream, once for all tasks.
_base_ = 'task_expert_miniscenes.py'

model = dict(decoder=dict(expert_input='shared'))
