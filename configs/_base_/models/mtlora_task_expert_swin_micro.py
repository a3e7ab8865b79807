# MTLoRA on a micro Swin of 3.1 million parameters, with the TaskExpert decoder. The config that uses it adds `tasks`.
_base_ = 'mtlora_swin_micro.py'

model = dict(
    decoder=dict(
        _delete_=True,
        type='TaskExpertDecoder',
        channels=64,
        experts=5,
        expert_ratio=0.5,  # hidden units of an expert a channel
        expert_input='task',  # or 'shared': one set of experts' outputs for all tasks
        gates='pixel',  # or 'image', 'static'
        memory=True,
        share_experts=False,
        balance_weight=0.01,
        deep_supervision=0.0,
    )
)
