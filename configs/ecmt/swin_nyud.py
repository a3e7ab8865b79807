# python tools/train.py configs/ecmt/swin_nyud.py --amp
# The flagship on NYUD-v2 (Swin-T, MTLoRA, TaskExpert), trained for finer steps of width: a search then meets a budget
# more closely, but each width is trained less often.
_base_ = '../mtlora_swin_nyud.py'

ratios = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
model = dict(slimming=dict(encoder=ratios, decoder=ratios))
