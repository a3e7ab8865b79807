"""The arithmetic of the networks: functions of tensors, each with its equation in :mod:`mtl.ops.reference`.

Every choice of device, dtype, compiler, library and chunk size is made here, inside the function that it serves. So
layers, blocks and decoders read as their equations, and a faster kernel touches one file. Nothing here knows a layer, a
task or a config; nothing of :mod:`mtl` is imported.
"""
