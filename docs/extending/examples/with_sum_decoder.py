# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_sum_decoder.py
# The quick start with a decoder that the package does not know. The decoder has one width, the backbone several.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['sum_decoder'], allow_failed_imports=False)

model = dict(
    decoder=dict(_delete_=True, type='SumDecoder', channels=32),
    slimming=dict(decoder=(1.0,)),
    init_cfg=None,  # the quick start's starting weights are of another decoder
)
