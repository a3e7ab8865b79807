# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_slim_sum_decoder.py
# The quick start with a decoder of any width that the package does not know.
_base_ = ['with_sum_decoder.py']
custom_imports = dict(imports=['slim_sum_decoder'])

model = dict(decoder=dict(type='SlimSumDecoder'), slimming=dict(decoder=(0.25, 0.5, 0.75, 1.0)))
