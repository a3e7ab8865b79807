# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_ia3.py
# The quick start with adapters of a kind that the package does not know.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['ia3'], allow_failed_imports=False)

model = dict(backbone=dict(adapters=dict(_delete_=True, type='IA3')))
