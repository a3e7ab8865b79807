# MTLoRA's recipe: 300 epochs, 20 of them warm-up, cosine. Learning rates are those of a total batch of 512 and are
# multiplied by (total batch) / 512: start 5e-7, peak 5e-4, end 5e-6.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MultiTaskOptimWrapperConstructor',  # no decay on biases, norms and relative position tables
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(enable=True, base_batch_size=512)

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        begin=20,
        end=300,
        T_max=280,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
