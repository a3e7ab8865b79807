# python tools/train.py configs/comparisons/task_expert_static_gates_ccp.py --cfg-options randomness.seed=0
# Decoders compared on a frozen backbone, small and short (docs/results.md): TaskExpert with gates that do not depend
# on the image.
_base_ = 'task_expert_ccp.py'

model = dict(decoder=dict(gates='static'))
