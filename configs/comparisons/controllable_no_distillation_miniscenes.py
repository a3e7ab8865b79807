# python tools/train.py configs/comparisons/controllable_no_distillation_miniscenes.py --cfg-options randomness.seed=0
# A network of all widths, small and short (docs/results.md): the same without CI-KD.
_base_ = 'controllable_miniscenes.py'

model = dict(slimming=dict(distillation_weight=0.0))
