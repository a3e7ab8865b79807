"""The printed config is the one that runs."""

from pathlib import Path

from mmengine.config import Config

QUICKSTART = Path(__file__).resolve().parents[3] / 'configs/quickstart.py'


def test_the_whole_config(run_tool):
    status, output, _ = run_tool('analysis/print_config', QUICKSTART)
    assert status == 0
    assert Config.fromstring(output, '.py').to_dict() == Config.fromfile(QUICKSTART).to_dict()


def test_options_reach_everything_and_a_part_can_be_asked_for(run_tool):
    options = ('--cfg-options', 'data_root=/somewhere', '--key')
    status, output, _ = run_tool('analysis/print_config', QUICKSTART, *options, 'train_dataloader.dataset.data_root')
    assert (status, output.strip()) == (0, "'/somewhere'")
    status, output, _ = run_tool('analysis/print_config', QUICKSTART, '--key', 'train_pipeline.0')
    assert output.strip() == "type = 'LoadImage'"


def test_a_checkpoint(run_tool, trained_run):
    config, checkpoint, _ = trained_run()
    status, output, _ = run_tool('analysis/print_config', checkpoint)
    assert status == 0
    assert Config.fromstring(output, '.py').to_dict() == Config.fromfile(config).to_dict()


def test_wrong_inputs_are_sentences(run_tool, trained_run):
    trained_run()
    for arguments, words in (
        (('nowhere.py',), 'no config nowhere.py'),
        (('nowhere.pth',), 'no checkpoint nowhere.pth'),
        (('base.pth',), 'holds no config'),
        ((QUICKSTART, '--key', 'model.neck'), "'neck' is missing. There is type, data_preprocessor"),
        ((QUICKSTART, '--key', 'train_pipeline.77'), "'77' is missing"),
        ((QUICKSTART, '--key', 'data_root.x'), "'x' is missing"),
    ):
        status, _, error = run_tool('analysis/print_config', *arguments)
        assert status == 2
        assert words in error
