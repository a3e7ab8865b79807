import numpy as np
import pytest
import torch

from mtl.structures import Affine
from mtl.tasks import CLASS_SETS, Boundary, Depth, Saliency, SemanticSegmentation, SurfaceNormals, build_tasks

ALL = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    human_parts=dict(type='PartSegmentation'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
    depth=dict(type='Depth'),
)


def test_the_six_tasks_and_their_weights():
    tasks = build_tasks(ALL)
    weights = {name: task.loss_weight for name, task in tasks.items()}
    assert weights == dict(semseg=1, human_parts=2, saliency=5, normals=10, edge=50, depth=1)
    assert [task.out_channels for task in tasks.values()] == [21, 7, 1, 3, 1, 1]
    assert [task.headline for task in tasks.values()] == ['mIoU', 'mIoU', 'maxF', 'mErr', 'odsF', 'rmse']
    assert {name for name, task in tasks.items() if task.lower_is_better} == {'normals', 'depth'}
    assert all(task.name == name for name, task in tasks.items())
    assert tasks['edge'].pos_weight == 0.95


def test_unknown_type_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'pose' has the unknown type 'Keypoints'.*Boundary, Depth, PartSeg"):
        build_tasks(dict(pose=dict(type='Keypoints')))
    with pytest.raises(ValueError, match='At least one task'):
        build_tasks({})
    with pytest.raises(ValueError, match='Known: pascal_voc'):
        SemanticSegmentation(classes='cityscapes')


def test_class_sets():
    assert [len(CLASS_SETS[name].names) for name in ('pascal_voc', 'pascal_parts', 'nyud_40', 'ccp_10')] == [
        21,
        7,
        40,
        10,
    ]
    voc = CLASS_SETS['pascal_voc'].palette
    assert voc[1].tolist() == [128, 0, 0]  # aeroplane
    assert voc[15].tolist() == [192, 128, 128]  # person
    for classes in CLASS_SETS.values():
        assert len(np.unique(classes.palette, axis=0)) == len(classes.names)


def test_predictions():
    logits = torch.randn(2, 3, 4, 5) * 3
    classes = SemanticSegmentation(classes=['a', 'b', 'c']).predict(logits)
    assert classes.dtype == torch.uint8
    for b, i, j in np.ndindex(2, 4, 5):
        assert classes[b, i, j] == max(range(3), key=lambda c: logits[b, c, i, j])
    torch.testing.assert_close(SurfaceNormals().predict(logits).norm(dim=1), torch.ones(2, 4, 5))
    probabilities = Saliency().predict(logits[:, :1])
    torch.testing.assert_close(probabilities, 1 / (1 + torch.exp(-logits[:, 0])))
    assert (Depth().predict(logits[:, :1]) > 0).all()


def test_unflip_undoes_what_a_flip_does():
    """Logits of the flipped image, turned back, are the logits of the image for a network that follows the flip."""
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 4, 5), dim=1)
    flip = Affine(np.array([[-1.0, 0, 4], [0, 1, 0]]), (4, 5))
    flipped = SurfaceNormals().transform_target(normals[0].permute(1, 2, 0).numpy(), flip)
    back = SurfaceNormals().unflip_logits(torch.from_numpy(flipped).permute(2, 0, 1)[None])
    torch.testing.assert_close(back, normals)
    edge = torch.randn(1, 1, 4, 5)
    torch.testing.assert_close(Boundary().unflip_logits(edge.flip(-1)), edge)


def test_validity():
    assert SemanticSegmentation(classes=['a', 'b']).valid(torch.tensor([0, 255])).tolist() == [True, False]
    assert SurfaceNormals().valid(torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 0.0]]])).tolist() == [[False, True]]
    assert Depth().valid(torch.tensor([0.0, 2.0, torch.inf, torch.nan])).tolist() == [False, True, False, False]


@pytest.mark.parametrize('name', list(ALL))
def test_pictures(name):
    task = build_tasks(ALL)[name]
    unknown = torch.full((3, 4, 5) if name == 'normals' else (4, 5), task.ignore_value)
    picture = task.draw(unknown)
    assert picture.shape == (4, 5, 3)
    assert picture.dtype == np.uint8
    assert not picture.any()
    assert task.draw(torch.ones_like(unknown)).any()


def test_near_is_bright_in_depth_pictures():
    near, far = Depth(max_depth=10).draw(torch.tensor([[1.0, 9.0]]))[0].astype(int).sum(-1)
    assert near > far


def test_rotation_is_the_direction_of_a_move():
    angle = np.deg2rad(30)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    affine = Affine(np.hstack([1.7 * turn, [[3.0], [4.0]]]), (8, 8))
    np.testing.assert_allclose(affine.rotation, turn, atol=1e-12)
    stretch = Affine(np.array([[2.0, 0, 0], [0, 0.5, 0]]), (8, 8))
    np.testing.assert_allclose(stretch.rotation, np.eye(2), atol=1e-12)
