# What every run shares: hooks, logs, pictures, seed.
default_scope = 'mtl'

default_hooks = dict(
    seed=dict(type='SeedHook'),
    finite=dict(type='FiniteHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    panels=dict(type='PanelHook', count=4),
    gates=dict(type='GateHook', interval=50),  # of a mixture of experts; others are left alone
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

visualizer = dict(
    type='MultiTaskVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='MultiTaskTensorboardBackend')],
)
log_processor = dict(type='MultiTaskLogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'

randomness = dict(seed=0)
load_from = None
resume = False

tta_model = dict(type='MultiTaskTTAModel', scales=(1.0,), flip=True)
