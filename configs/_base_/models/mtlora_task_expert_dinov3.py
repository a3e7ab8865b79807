# MTLoRA on a frozen DINOv3 ViT-B/16, as on DINOv2. The config that uses it adds `tasks`. Another size:
# model.backbone.model=vit_small_patch16_dinov3.lvd1689m.
_base_ = 'mtlora_task_expert_dinov2.py'

model = dict(backbone=dict(model='vit_base_patch16_dinov3.lvd1689m'))
