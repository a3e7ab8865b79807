# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_auxiliary_weighting.py
# The quick start, its tasks weighed by a rule that the package does not know.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['auxiliary_weighting'], allow_failed_imports=False)

model = dict(loss_weighting=dict(type='AuxiliaryWeighting'))
