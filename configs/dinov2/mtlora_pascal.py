# python tools/train.py configs/dinov2/mtlora_pascal.py --amp
# MTLoRA adapters and TaskExpert decoder on a frozen DINOv2 ViT-B: PASCAL-Context, four tasks, 448 x 448, 32
# images on one GPU.
_base_ = [
    '../_base_/models/mtlora_task_expert_dinov2.py',
    '../_base_/datasets/pascal.py',
    '../_base_/schedules/mtlora_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(tasks=_base_.tasks)
