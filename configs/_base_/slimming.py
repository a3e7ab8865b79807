# Widths a slimmable network is trained for (docs/controllable.md). A config that uses it gives `slimming` to the model.
slimming = dict(
    encoder=(0.25, 0.5, 0.75, 1.0),  # attention heads and MLP units of a stage; or one number: any ratio from there on
    decoder=(0.25, 0.5, 0.75, 1.0),  # channels of a task
    samples=2,  # random widths per step, besides the full and the smallest
    distillation_weight=10.0,  # CI-KD; at 1 its gradient is a twentieth of the tasks'
    multiple=8,  # MLP units and channels are multiples of it
)
