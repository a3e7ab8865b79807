"""Predictions from a checkpoint alone: the maps of the network, at the size of the image, in the units of the task."""

import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mtl.apis import InputError, MultiTaskInferencer
from mtl.apis.inputs import Pictures
from mtl.checkpoints.adapters_only import leave_out_base
from mtl.checkpoints.publishing import published
from mtl.checkpoints.restoring import build_for_checkpoint, restore_model, stored_config
from mtl.evaluation.prediction_files import read_prediction
from mtl.models.slimmable import WidthConfig
from mtl.structures import MultiTaskDataSample
from mtl.tasks.colour_blind import colour_blind_safe_palette

TASKS = ('semseg', 'saliency', 'normals', 'edge', 'depth')


@pytest.fixture(scope='module')
def inferencer(run):
    return MultiTaskInferencer(run / 'epoch_3.pth', show_progress=False)


@pytest.fixture(scope='module')
def oracle(run):
    """``oracle(image)``: the maps of one RGB image, step by step, without pipeline, preprocessor or inferencer."""
    checkpoint = torch.load(run / 'epoch_3.pth', weights_only=True)
    model = build_for_checkpoint(Config.fromfile(run / 'run.py'))
    model.load_state_dict(checkpoint['state_dict'])

    def predict(image, size=(56, 72)):
        """``size``: the short side as in the config, the long one in proportion."""
        small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
        inputs = torch.from_numpy((small - mean) / std).float().permute(2, 0, 1)[None]
        with torch.no_grad():
            logits = model.logits(inputs)
        large = {
            name: torch.nn.functional.interpolate(values, size=image.shape[:2], mode='bilinear', align_corners=False)[0]
            for name, values in logits.items()
        }
        return dict(
            semseg=large['semseg'].argmax(0).numpy(),
            saliency=torch.sigmoid(large['saliency'][0]).numpy(),
            normals=(large['normals'] / large['normals'].norm(dim=0)).numpy(),
            edge=torch.sigmoid(large['edge'][0]).numpy(),
            depth=large['depth'][0].clamp(min=0).numpy(),
        )

    return predict


def test_one_image_file(inferencer, oracle, folder, picture):
    result = inferencer(folder / '1.png')
    maps = result['predictions']
    assert tuple(maps) == TASKS
    assert result['names'] == ['1']
    assert result['skipped'] == {}
    for name, expected in oracle(picture(0)).items():
        assert maps[name].shape == expected.shape
        if name == 'semseg':
            assert maps[name].dtype == np.uint8
            assert (maps[name] == expected).mean() > 0.999
        else:
            np.testing.assert_allclose(maps[name], expected, rtol=1e-4, atol=1e-4)


def test_as_in_a_test(run, oracle, folder, picture):
    """Resized to what the test pipeline says, whatever the image's shape."""
    maps = MultiTaskInferencer(run / 'epoch_3.pth', keep_ratio=False)(folder / '1.png')['predictions']
    np.testing.assert_allclose(maps['depth'], oracle(picture(0), (56, 56))['depth'], rtol=1e-4, atol=1e-4)


def test_a_strip_does_not_become_a_giant(inferencer, picture):
    inputs = inferencer.packed(list(Pictures(picture(0, (8, 400)))))['inputs'][0]
    assert tuple(inputs.shape) == (3, 4, 224)  # four times as long as the short side of a test


def test_images_of_several_shapes_in_one_batch(inferencer, picture):
    """Each as it would be alone: none is padded to the shape of another."""
    images = [picture(0, (70, 90)), picture(1, (90, 70)), picture(2, (50, 90)), picture(3, (70, 90))]
    together = inferencer(images, batch_size=4)['predictions']
    for image, maps in zip(images, together, strict=True):
        alone = inferencer(image)['predictions']
        for name in TASKS[1:]:
            np.testing.assert_allclose(maps[name], alone[name], rtol=1e-4, atol=1e-5)


def test_arrays_are_bgr_unless_said_otherwise(inferencer, folder, picture):
    from_file = inferencer(folder / '1.png')['predictions']
    for image, order in ((picture(0)[..., ::-1], 'bgr'), (picture(0), 'rgb')):
        maps = inferencer(image, channel_order=order)['predictions']
        assert all(np.array_equal(maps[name], from_file[name]) for name in TASKS)


def test_a_broken_image_among_many_is_reported_and_skipped(inferencer, folder, monkeypatch):
    logged = []
    monkeypatch.setattr('mtl.apis.inferencer.print_log', lambda text, *_: logged.append(text))
    result = inferencer(folder, batch_size=2, tasks=['edge'])
    assert result['names'] == ['1', '2', '10']
    assert list(result['skipped']) == [str(folder / '3.jpg')]
    assert len(result['predictions']) == 3
    (line,) = logged
    assert '3.jpg' in line
    assert line.endswith('Skipped.')


def test_batches_change_nothing(inferencer, folder):
    one, three = (inferencer(folder, batch_size=size)['predictions'] for size in (1, 3))
    for alone, together in zip(one, three, strict=True):
        for name in TASKS[1:]:
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-4, atol=1e-5)


def test_broken_and_missing_images_alone_are_errors(inferencer, folder):
    for inputs in (folder / '3.jpg', [folder / '3.jpg', folder / 'missing.png'], folder / 'missing.png'):
        with pytest.raises(InputError, match=r'cannot be read|None of the inputs|There is no file'):
            inferencer(inputs)
    with pytest.raises(InputError, match='uint8'):
        inferencer(np.zeros((4, 4, 3)))


def test_some_tasks_only_and_unknown_ones(inferencer, folder, monkeypatch):
    maps = inferencer(folder / '1.png', tasks=['depth', 'semseg'])['predictions']
    assert tuple(maps) == ('semseg', 'depth')
    assert tuple(inferencer(folder / '1.png', tasks='edge')['predictions']) == ('edge',)
    with pytest.raises(InputError, match="semseg, saliency, normals, edge, depth; found 'colour'"):
        inferencer(folder / '1.png', tasks=['colour'])


def test_a_network_of_one_width_says_so(inferencer, folder):
    with pytest.raises(InputError, match='one width only'):
        inferencer(folder / '1.png', width='small')


def test_widths(slimmable, folder, tmp_path):
    inferencer = MultiTaskInferencer(slimmable, show_progress=False)
    image, model = folder / '1.png', inferencer.model

    def expected(width, tasks=None):
        """By the network itself."""
        batch = model.data_preprocessor(inferencer.packed(list(Pictures(image))), False)
        with torch.no_grad(), model.at_width(width):
            (sample,) = model.predict(batch['inputs'], batch['data_samples'], tasks)
        return sample.pred_depth.numpy()

    half = WidthConfig.uniform(0.5, model.space.stages, model.space.tasks)
    half.save(tmp_path / 'half.json')
    full = inferencer(image)['predictions']['depth']
    for width in (0.5, '0.5', half, half.to_dict(), str(tmp_path / 'half.json')):
        found = inferencer(image, width=width)['predictions']
        assert tuple(found) == TASKS
        assert np.array_equal(found['depth'], expected(half))
        assert not np.array_equal(found['depth'], full)
    assert np.array_equal(inferencer(image, width='small')['predictions']['depth'], expected('small'))
    assert np.array_equal(inferencer(image, width='full')['predictions']['depth'], full)
    assert np.array_equal(inferencer(image)['predictions']['depth'], full)  # nothing of a width remains
    some = half.for_tasks(['depth', 'edge'])
    assert tuple(inferencer(image, width=some)['predictions']) == ('edge', 'depth')
    for width, words in (
        (0.7, 'among the decoder ratios'),
        ('nowhere.json', 'no width file'),
        (0.1, 'among the encoder ratios'),
    ):
        with pytest.raises(InputError, match=words):
            inferencer(image, width=width)
    with pytest.raises(InputError, match='no ratio for semseg'):
        inferencer(image, width=some, tasks=['semseg'])


def test_threads_with_different_widths(slimmable, picture):
    """Each call gets the maps of its own width, whatever the others do."""
    inferencer = MultiTaskInferencer(slimmable, show_progress=False)
    images = [picture(seed) for seed in range(3)]
    cases = [(image, width) for image in range(3) for width in (None, 'full', 0.5, 'small')]
    expected = {case: inferencer(images[case[0]], width=case[1])['predictions'] for case in cases}
    assert not np.array_equal(expected[0, None]['depth'], expected[0, 'small']['depth'])
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda case: inferencer(images[case[0]], width=case[1]), cases * 4))
    finally:
        sys.setswitchinterval(interval)
    assert len({result['names'][0] for result in found}) == len(found)  # no file would be overwritten
    for case, result in zip(cases * 4, found, strict=True):
        for name, values in expected[case].items():
            assert np.array_equal(result['predictions'][name], values), (case, name)


def test_an_unknown_option(inferencer, folder):
    with pytest.raises(ValueError, match='alpha'):
        inferencer(folder / '1.png', alpha=0.3)


def test_samples_and_panels(inferencer, folder, picture):
    result = inferencer(folder / '1.png', return_datasamples=True, return_vis=True, opacity=0.0)
    sample = result['predictions']
    assert isinstance(sample, MultiTaskDataSample)
    assert sample.pred_normals.shape == (3, 70, 90)
    assert sample.ori_shape == (70, 90)
    assert result['visualization'].dtype == np.uint8
    assert inferencer(folder / '1.png')['visualization'] is None
    many = inferencer([folder / '1.png', picture(1)], return_vis=True)
    assert len(many['visualization']) == 2


def test_files_are_written(inferencer, folder, picture, tmp_path):
    result = inferencer([folder / '1.png', picture(1), folder / '10.jpg'], out_dir=tmp_path / 'out', return_vis=True)
    for name, maps, panel in zip(result['names'], result['predictions'], result['visualization'], strict=True):
        assert np.array_equal(cv2.imread(str(tmp_path / 'out/vis' / f'{name}.png'))[..., ::-1], panel)
        for task in TASKS:
            read = read_prediction(tmp_path / 'out/pred', task, inferencer.tasks[task], name)
            assert np.array_equal(read.numpy(), maps[task])
    again = inferencer(picture(2), out_dir=tmp_path / 'out', pred_out_dir='')
    assert set(again['names']).isdisjoint(result['names'])  # nothing is overwritten
    assert not (tmp_path / 'out/pred/edge' / f'{again["names"][0]}.npy').exists()


def test_a_video_becomes_a_video(inferencer, video, tmp_path):
    result = inferencer(video, out_dir=tmp_path, batch_size=2, tasks=['edge', 'depth'])
    assert result['names'] == [f'street_{number:06d}' for number in range(5)]
    assert len(list((tmp_path / 'pred/depth').iterdir())) == 5
    written = cv2.VideoCapture(str(tmp_path / 'vis/street.mp4'))
    assert int(written.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    assert written.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    assert written.read()[0]


def test_a_stream_holds_one_batch_at_a_time(inferencer, folder, monkeypatch):
    opened = []
    original = inferencer.forward
    monkeypatch.setattr(inferencer, 'forward', lambda data, **options: opened.append(1) or original(data, **options))
    stream = inferencer.stream([folder / '1.png', folder / '2.png'])
    first = next(stream)
    assert (first.name, len(opened)) == ('1', 1)
    assert [result.name for result in stream] == ['2']


def test_progress_of_folders(run, folder, monkeypatch):
    lines = []
    monkeypatch.setattr('mtl.progress.print_log', lambda text, *_: lines.append(text))
    shown = MultiTaskInferencer(run / 'epoch_3.pth')
    shown(folder)
    assert lines[-1].startswith('inference: 4 of 4')
    lines.clear()
    shown(folder / '1.png')
    assert not lines


def test_published_checkpoints_are_enough(run, inferencer, folder, tmp_path, monkeypatch):
    """Nothing of the run is at hand: neither its config nor its pretrained weights."""
    monkeypatch.chdir(tmp_path)
    stored = torch.load(run / 'epoch_3.pth', weights_only=True)
    torch.save(published(stored['state_dict'], stored_config(stored), stored['meta']), 'published.pth')
    again = MultiTaskInferencer('published.pth', show_progress=False)
    assert again.tasks['semseg'].classes.names == ('background', 'wall', 'box', 'person')
    expected, found = (one(folder / '1.png')['predictions'] for one in (inferencer, again))
    assert list(found) == list(expected)
    assert all(np.array_equal(found[name], expected[name]) for name in TASKS)


def test_adapters_only(run, inferencer, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = torch.load(run / 'epoch_3.pth', weights_only=True)
    config = stored_config(stored)
    result = published(stored['state_dict'], config, stored['meta'])
    leave_out_base(restore_model(stored, config), result)
    torch.save(result, 'adapters.pth')
    with pytest.raises(InputError, match=r'holds adapters only.*pretrained=FILE.*base\.pth'):
        MultiTaskInferencer('adapters.pth')
    again = MultiTaskInferencer('adapters.pth', pretrained=str(run / 'base.pth'), show_progress=False)
    expected, found = (one(folder / '1.png')['predictions'] for one in (inferencer, again))
    assert all(np.array_equal(found[name], expected[name]) for name in TASKS)


def test_another_palette(run):
    safe = MultiTaskInferencer(run / 'epoch_3.pth', palette='colour_blind_safe')
    assert np.array_equal(safe.tasks['semseg'].classes.palette, colour_blind_safe_palette(4))
    with pytest.raises(InputError, match='Known: voc'):
        MultiTaskInferencer(run / 'epoch_3.pth', palette='rainbow')


def test_what_cannot_be_loaded(run, tmp_path):
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'bare.pth')
    torch.save(dict(torch.load(run / 'epoch_3.pth', weights_only=True), state_dict={}), tmp_path / 'empty.pth')
    (tmp_path / 'cut.pth').write_bytes((run / 'epoch_3.pth').read_bytes()[:5000])
    for arguments, words in (
        (('nowhere.pth',), 'no checkpoint nowhere.pth'),
        ((tmp_path / 'cut.pth',), 'cut.pth cannot be read as a checkpoint'),
        ((tmp_path / 'bare.pth',), 'bare.pth: it holds no config'),
        ((tmp_path / 'empty.pth',), 'do not fit the config'),
        ((run / 'epoch_3.pth', 'nowhere.py'), 'no config nowhere.py'),
        ((run / 'epoch_3.pth', None, 'tpux'), "Unknown device 'tpux'"),
    ):
        with pytest.raises(InputError, match=words):
            MultiTaskInferencer(*arguments)
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match='finds no GPU'):
            MultiTaskInferencer(run / 'epoch_3.pth', device='cuda')


def test_a_config_for_a_checkpoint_without_one(run, inferencer, folder, tmp_path):
    stored = torch.load(run / 'epoch_3.pth', weights_only=True)
    torch.save(dict(state_dict=stored['state_dict']), tmp_path / 'bare.pth')
    again = MultiTaskInferencer(tmp_path / 'bare.pth', run / 'run.py', show_progress=False)
    expected, found = (one(folder / '1.png')['predictions'] for one in (inferencer, again))
    assert all(np.array_equal(found[name], expected[name]) for name in TASKS)


def test_a_resize_with_its_scope_keeps_the_shape_too():
    from mtl.apis.loading import inference_pipeline

    for kind in ('Resize', 'mtl.Resize'):
        steps = [dict(type='LoadImage'), dict(type=kind, size=(56, 80)), dict(type='Pack')]
        config = Config(dict(test_dataloader=dict(dataset=dict(pipeline=steps))))
        assert type(inference_pipeline(config).transforms[0]).__name__ == 'ResizeShortSide'
        assert type(inference_pipeline(config, keep_ratio=False).transforms[0]).__name__ == 'Resize'


def test_an_option_that_no_step_takes(inferencer, picture):
    with pytest.raises(ValueError, match=r'Unknown: opaqueness. Options are channel_order, .*opacity'):
        inferencer(picture(), opaqueness=0.5)
