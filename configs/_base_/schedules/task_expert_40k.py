# The recipe of TaskExpert's siblings (InvPT, TaskPrompter): Adam, 40,000 iterations, polynomial decay.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MultiTaskOptimWrapperConstructor',
    optimizer=dict(type='Adam', lr=2e-5, weight_decay=1e-6),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=40000, by_epoch=False)]
