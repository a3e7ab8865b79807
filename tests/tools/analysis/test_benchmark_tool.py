"""The benchmark runs what it says."""

import re


def test_percentiles_and_memory(run_tool, trained_run):
    config, checkpoint, _ = trained_run()
    options = ('--shape', 56, 112, '--runs', 3, '--warm-up', 1, '--batch-size', 2, '--device', 'cpu')
    for arguments in ((config,), (config, checkpoint)):
        status, output, error = run_tool('analysis/benchmark', *arguments, *options)
        assert status == 0, error
        assert '2 x 56 x 112, semseg, normals; cpu' in output
        assert '3 runs' in output
        times = [float(re.search(rf'{name} +([\d.]+) ms', output)[1]) for name in ('p50', 'p90', 'p99')]
        assert 0 < times[0] <= times[1] <= times[2]
        assert re.search(r'memory +\d+ MiB', output)


def test_some_tasks_only(run_tool, trained_run):
    config, _, _ = trained_run()
    status, output, _ = run_tool('analysis/benchmark', config, '--tasks', 'normals', '--runs', 1, '--warm-up', 0)
    assert status == 0
    assert '1 x 56 x 56, normals;' in output


def test_wrong_inputs_are_sentences(run_tool, trained_run):
    config, _, _ = trained_run()
    for arguments, words in (
        (('nowhere.py',), 'nowhere.py'),
        ((config, 'nowhere.pth'), 'nowhere.pth'),
        ((config, 'base.pth'), 'do not fit'),
        ((config, '--tasks', 'depth'), 'semseg, normals'),
        ((config, '--device', 'tpux'), 'Unknown device'),
        ((config, '--runs', '0'), 'positive'),
        ((config, '--width', 'small'), 'one width only'),
    ):
        status, _, error = run_tool('analysis/benchmark', *arguments)
        assert status == 2
        assert words in error
