"""Adapters in networks of timm, by the commands: train, count, keep adapters alone, test, merge, export."""

import re

import pytest
import timm
import torch

from mtl.checkpoints import load_weights_only

pytestmark = pytest.mark.slow

NETWORKS = dict(
    dinov2=dict(model='vit_small_patch14_reg4_dinov2', embed_dim=32, depth=4, num_heads=2, img_size=56, norm=True),
    swin_v2=dict(
        model='swinv2_tiny_window8_256', img_size=64, embed_dim=16, depths=(1, 1), num_heads=(1, 2), window_size=4
    ),
    convnext=dict(model='convnext_atto', dims=(8, 16, 24, 32), depths=(1, 1, 1, 1)),
)
ADAPTERS = dict(
    dinov2=dict(rank=3, task_rank=2),
    swin_v2=dict(rank=3, task_rank=2),
    convnext=dict(rank=3, task_rank=0, targets=('fc1', 'fc2')),
)
LEVELS = dict(dinov2=(4, 4, 4, 4), swin_v2=(4, 6), convnext=(2, 4, 6, 8))
MORE = """
model['backbone'] = dict(
    _delete_=True, type='TimmBackbone', pretrained={base!r}, trainable=[], adapters={adapters}, **{network}
)
model['decoder'].update(level_channels={levels})
train_cfg.update(max_epochs=1)
"""
TASKS = ('semseg', 'human_parts', 'saliency', 'normals', 'edge')


@pytest.mark.parametrize('kind', NETWORKS)
def test_from_training_to_a_file(kind, tmp_path, write_config, run_tool, scalars):
    def run(*command):
        result = run_tool(*command)
        assert result.returncode == 0, result.stderr[-3000:]
        return result.stdout

    torch.manual_seed(0)
    options = {key: value for key, value in NETWORKS[kind].items() if key != 'norm'}
    base = timm.create_model(options.pop('model'), num_classes=0, **options).state_dict()
    for value in base.values():
        if value.ndim == 1:  # the norms of Swin v2 begin at 0, behind which nothing learns
            value.add_(0.2 * torch.randn_like(value))
    torch.save(base, tmp_path / 'base.pth')  # the frozen base, as a file that was downloaded
    more = MORE.format(
        base=str(tmp_path / 'base.pth'),
        adapters=dict(base_input='task', dropout=0.0, **ADAPTERS[kind]),
        network=NETWORKS[kind],
        levels=LEVELS[kind],
    )
    config, checkpoint = write_config(tmp_path / 'tiny.py', more), tmp_path / 'run/epoch_1.pth'

    run('train.py', config, '--work-dir', tmp_path / 'run')
    assert all(row['loss'] > 0 for row in scalars(tmp_path / 'run') if 'loss' in row)
    trained = load_weights_only(checkpoint)['state_dict']
    of_base = {f'backbone.network.{name}': value for name, value in base.items()}
    kept = set(of_base) & set(trained)
    assert len(kept) >= len(of_base) - 2, 'all but the last norm, where no level passes it'
    assert all(torch.equal(trained[name], of_base[name]) for name in kept)
    moved = [name for name, value in trained.items() if name.endswith('.B') and value.any()]
    assert moved, 'updates begin with B = 0'

    assert re.search(r'semseg\s*│\s*\d', run('analysis/get_flops.py', config, '--shape', '56', '56'))

    run('misc/publish_checkpoint.py', checkpoint, tmp_path / 'adapters.pth', '--adapters-only')
    (adapters,) = tmp_path.glob('adapters*.pth')
    assert not set(of_base) & set(load_weights_only(adapters)['state_dict'])
    assert adapters.stat().st_size < checkpoint.stat().st_size
    whole, alone = (
        results(run('test.py', config, file, '--work-dir', tmp_path / 'tested')) for file in (checkpoint, adapters)
    )
    assert list(whole) == list(TASKS)
    assert whole == alone

    merged = run('deploy/merge_adapters.py', config, checkpoint, tmp_path / 'semseg.pth', '--task', 'semseg')
    assert float(re.search(r'Largest difference of a logit: ([\d.e+-]+)\.', merged)[1]) < 1e-4
    assert not [name for name in load_weights_only(tmp_path / 'semseg.pth')['state_dict'] if name.endswith('.B')]

    run('deploy/export.py', config, checkpoint, tmp_path / 'model.onnx')  # compares the file with the network


def results(output):
    """``{task: the other words of its row}`` of the table that a test ends with."""
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) > 2 and row[0] in TASKS}
