# python tools/train.py configs/mtlora/mtlora_swin_hrnet_ccp.py
# python tools/train.py configs/mtlora/mtlora_swin_hrnet_ccp.py --cfg-options data_root=FOLDER
# MTLoRA with HRNet decoders on the micro Swin from the embedded weights, 600 real street photographs, three tasks: on
# two cores in about a quarter of an hour. For Swin-T replace mtlora_swin_micro.py by mtlora_swin_tiny.py.
_base_ = [
    '../_base_/models/mtlora_swin_micro.py',
    '../_base_/datasets/ccp.py',
    '../_base_/schedules/short.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)
default_hooks = dict(logger=dict(interval=10))
