"""Multiplications and parameters by task."""

import torch
from mmengine.config import Config

from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.models.accounting import count_macs, count_parameters, parameters_read
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.materialize import materialize
from mtl.registry import MODELS


def rows(output):
    """``{task: [numbers]}`` of the printed table."""
    cells = [[cell.strip() for cell in line.split('│')[1:-1]] for line in output.splitlines() if line.startswith('│')]
    return {row[0]: [float(cell) for cell in row[1:]] for row in cells}


def test_the_table(run_tool, trained_run):
    config, _, model = trained_run()
    status, output, error = run_tool('analysis/get_flops', config, '--shape', 112, 56)
    assert status == 0, error
    assert 'one image of 112 x 56' in output
    found = rows(output)
    assert list(found) == ['all', 'semseg', 'normals']
    assert found['all'][0] == round(count_macs(model, 112, 56) / 1e9, 3)
    counts = count_parameters(model, parameters_read(model))
    assert found['all'][1:] == [round(value / 1e6, 3) for value in counts.values()]
    assert found['semseg'][-1] < found['all'][-1]


def test_what_a_task_reads_is_what_changes_it(trained_run):
    """Oracle: disturb each parameter in turn; the task's logits change if and only if it is counted."""
    _, _, model = trained_run()
    model.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    model.active_tasks = ('normals',)
    read = parameters_read(model)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == trained
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        before = model.logits(image)['normals']
        for name, parameter in model.named_parameters():
            kept = parameter.clone()
            parameter.add_(torch.randn_like(parameter))
            changed = not torch.equal(model.logits(image)['normals'], before)
            parameter.copy_(kept)
            assert changed == (name in read), name


def test_at_a_width(run_tool, trained_run):
    """Oracle: the smaller network made of that width."""
    path, _, _ = trained_run()
    config = Config.fromfile(path)
    config.model.update(slimming=dict(encoder=0.25, decoder=(0.5, 1.0), multiple=2))
    config.dump(path)
    status, output, error = run_tool('analysis/get_flops', path, '--shape', 56, 56, '--width', '0.5')
    assert status == 0, error
    model = build_for_checkpoint(config)
    width = WidthConfig.uniform(0.5, 2, model.tasks)
    options, _ = materialize(model, {**config.model, 'backbone': {**config.model.backbone, 'pretrained': None}}, width)
    small = MODELS.build(options)
    counts = count_parameters(small, parameters_read(small))
    found = rows(output)['all']
    assert found[0] == round(count_macs(small, 56, 56) / 1e9, 3)
    assert found[-1] == round(counts['total'] / 1e6, 3)
    assert found[2] == round(counts['adapters'] / 1e6, 3)
    assert run_tool('analysis/get_flops', path, '--width', '0.1')[0] == 2


def test_wrong_inputs(run_tool, trained_run):
    config, _, _ = trained_run()
    assert run_tool('analysis/get_flops', 'nowhere.py')[0] == 2
    assert run_tool('analysis/get_flops', config, '--width', 'small')[0] == 2
    assert run_tool('analysis/get_flops', config, '--shape', 0, 5)[0] == 2
