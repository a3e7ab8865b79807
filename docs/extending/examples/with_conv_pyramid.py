# PYTHONPATH=docs/extending/examples python tools/train.py docs/extending/examples/with_conv_pyramid.py
# The quick start with a backbone that the package does not know. The backbone has one width, the decoder several.
_base_ = ['../../../configs/quickstart.py']
custom_imports = dict(imports=['conv_pyramid'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvPyramid',
        adapters=dict(type='MTLoRA', targets=['conv'], rank=4, task_rank=0),
        allow_random_init=True,  # for the example; else pretrained='weights.pth', with the names of its parameters
    ),
    slimming=dict(encoder=(1.0,)),
)
