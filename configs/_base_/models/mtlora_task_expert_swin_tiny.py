# MTLoRA on Swin-T: rank 64 shared, rank 4 a task, with the TaskExpert decoder. The config that uses it adds `tasks`.
_base_ = 'mtlora_swin_tiny.py'

model = dict(
    decoder=dict(
        _delete_=True,
        type='TaskExpertDecoder',
        channels=96,
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
