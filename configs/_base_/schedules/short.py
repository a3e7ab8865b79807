# A few epochs, for small runs: AdamW, warm-up over the first epoch, cosine to a hundredth. The pretrained backbone and
# its adapters train at a quarter of the rate: at the whole one they lose in so few steps what the backbone knew.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MultiTaskOptimWrapperConstructor',  # no decay on biases, norms and relative position tables
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.25)}),
    clip_grad=dict(max_norm=5.0),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=1,
        end=8,
        T_max=7,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
