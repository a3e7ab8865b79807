"""One model for one width and for several, and for the configs and files that called them by two names."""

import copy

import pytest
import torch
from mmengine.config import Config

from mtl.apis.loading import load_network, network_in_the_box
from mtl.checkpoints.adapters_only import leave_out_base, put_back_base
from mtl.checkpoints.publishing import without_training
from mtl.engine.optim import OptimWrapper
from mtl.models import MultiTaskModel
from mtl.models.accounting import count_macs
from mtl.models.slimmable import WidthError
from mtl.models.slimmable.materialize import materialize
from mtl.protocols import TrainPolicy
from mtl.registry import MODELS, TRAIN_POLICIES
from mtl.search.cost_table import CostTable
from tests.models.conftest import MICRO, TASKS, randomise
from tests.models.test_distilled_model import TEACHER
from tests.models.test_multi_task_model import labels

IMAGES = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(2))
SWIN = {**MICRO, 'adapters': dict(rank=3, task_rank=2, dropout=0.0), 'trainable': ('norms',)}
HRNET = dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16, norm_cfg=dict(type='GN', num_groups=2))
RESNET = dict(type='TimmBackbone', model='resnet10t', out_indices=(1, 2), pretrained=None, allow_random_init=True)
FCN = dict(type='MMSegDecoder', head=dict(type='mmseg.FCNHead', channels=8, num_convs=1, in_index=0))
SLIMMING = dict(encoder=0.25, decoder=(0.5, 1.0), samples=1, multiple=2)


def options_of(backbone=SWIN, decoder=HRNET, **options):
    return dict(type='MultiTaskModel', tasks=TASKS, backbone=backbone, decoder=decoder) | options


def build(options):
    torch.manual_seed(0)
    return randomise(MODELS.build(copy.deepcopy(options)))


def logits(model, width=None):
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        if width is None:
            return model.logits(IMAGES)
        with model.at_width(width):
            return model.logits(IMAGES)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for task, values in expected.items():
        assert torch.equal(found[task], values), task


@pytest.mark.parametrize('decoder', [HRNET, FCN], ids=lambda part: part['type'])
@pytest.mark.parametrize('backbone', [SWIN, RESNET], ids=lambda part: part['type'])
def test_one_width_by_default(backbone, decoder):
    """Whether its parts slim or not."""
    model = build(options_of(backbone, decoder))
    assert model.space.single
    assert not {'steps', 'unit_order'} & set(model.state_dict())
    assert_equal(logits(model, 'full'), logits(model))
    for width in ('small', dict(encoder=[1.0, 0.5], decoder=dict(semseg=1.0, normals=1.0))):
        with pytest.raises(WidthError, match='one width only'):
            model.at_width(width).__enter__()
    assert CostTable(model, (56, 56)).of(model.space.full)['macs'] == count_macs(model, 56, 56)


@pytest.mark.parametrize('part', [dict(backbone=RESNET), dict(decoder=FCN)], ids=lambda part: next(iter(part)))
def test_parts_that_do_not_slim_are_refused_by_name(part):
    ((name, options),) = part.items()
    why = {'TimmBackbone': 'has no units that slim here', 'MMSegDecoder': 'does not say what slims in it'}
    kind = options['type']
    with pytest.raises(WidthError, match=rf'{kind} {why[kind]}.*model\.{name}'):
        build(options_of(**part, slimming=SLIMMING))


def test_state_dicts_of_one_width_and_of_several():
    """``steps`` and ``unit_order`` are left where nobody asks for them, and stay as they are where they are missing."""
    one, several = build(options_of()), build(options_of(slimming=SLIMMING))
    several.steps += 3
    one.load_state_dict(several.state_dict())
    assert_equal(logits(one), logits(several))
    several.load_state_dict(one.state_dict())
    assert_equal(logits(several), logits(one))
    assert several.steps == 3


# ---- training -------------------------------------------------------------------------------------------------------


@TRAIN_POLICIES.register_module()
class SmallOnly(TrainPolicy):
    """A policy from outside of the package."""

    def step(self, model, data, optim_wrapper, network):
        data = model.data_preprocessor(data, True)
        with model.at_width('small'):
            loss, log = model.parse_losses(network(**data, mode='loss'))
            optim_wrapper.update_params(loss)
        return log


def test_a_policy_of_ones_own():
    options = {key: value for key, value in SLIMMING.items() if key != 'samples'}
    model = build(options_of(slimming=dict(options, type='SmallOnly'))).train()
    hidden = model.backbone.swin.layers[0].blocks[0].mlp.fc1.shared.B  # [hidden, rank]
    before = hidden.detach().clone()
    wrapper = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0))
    log = model.train_step(dict(inputs=IMAGES, data_samples=[labels((56, 56)), labels((56, 56))]), wrapper)
    assert {'loss', 'loss/semseg', 'loss/normals'} == set(log)
    changed = (hidden != before).any(1)
    assert changed[: len(changed) // 4].all()
    assert not changed[len(changed) // 4 :].any()


# ---- the former names -----------------------------------------------------------------------------------------------


def test_the_former_name_builds_the_same_network():
    former, model = (
        build(options_of(type='SlimmableMultiTaskModel', slimming=SLIMMING)),
        build(options_of(slimming=SLIMMING)),
    )
    assert former.state_dict().keys() == model.state_dict().keys()
    for width in ('full', 'small'):
        assert_equal(logits(former, width), logits(model, width))


def test_the_former_name_without_slimming_sorts_its_units():
    """Its files of adapters only hold them in that order, for a base that is sorted when it is built."""
    options = options_of(type='SlimmableMultiTaskModel', slimming=None)
    trained = build(options)
    built = MODELS.build(copy.deepcopy(options))
    for measure in built.backbone.width_table().importance.values():
        assert (measure().diff() <= 1e-6).all()
    assert trained.space.single
    checkpoint = dict(state_dict=trained.state_dict())
    leave_out_base(trained, checkpoint)
    former = build(options)
    put_back_base(former, checkpoint)
    former.load_state_dict(checkpoint['state_dict'])
    assert_equal(logits(former), logits(trained))


def test_what_is_published_has_todays_name():
    options = options_of(type='SlimmableMultiTaskModel', slimming=SLIMMING)
    model = build(options)
    config, state = without_training(Config(dict(model=options)), model.state_dict())
    assert config.model.type == 'MultiTaskModel'
    published = build(config.model)
    published.load_state_dict(state)
    assert_equal(logits(published, 'small'), logits(model, 'small'))


@pytest.mark.parametrize('kind', ['SlimmableMultiTaskModel', 'DistilledMultiTaskModel'])
def test_smaller_networks_are_ordinary(kind):
    options = options_of(type=kind, slimming=SLIMMING)
    if kind == 'DistilledMultiTaskModel':
        options |= dict(
            teacher=TEACHER, pairs=((0, 0), (1, 1)), data_preprocessor=dict(type='MultiTaskDataPreprocessor')
        )
    model = build(options)
    small, state = materialize(model, options, model.space.small)
    network = MODELS.build(small)
    assert type(network) is MultiTaskModel
    network.load_state_dict(state)
    for task, expected in logits(model, 'small').items():
        torch.testing.assert_close(logits(network)[task], expected)


# of commit c160b3a: mean and standard deviation of the logits
DEMO = dict(
    full=dict(
        rooms=(-4.77328, 4.38737),
        clothes=(-3.83918, 3.54653),
        human_parts=(-2.19156, 1.99056),
        saliency=(4.78992, 0.72613),
        normals=(0.6674, 1.56693),
        edge=(-5.92696, 1.45592),
        depth=(3.28826, 0.90924),
    ),
    small=dict(
        rooms=(-1.92696, 1.7924),
        clothes=(-2.15844, 2.11114),
        human_parts=(-0.84017, 0.95269),
        saliency=(3.3912, 0.49834),
        normals=(0.04521, 0.24985),
        edge=(-3.13702, 0.83745),
        depth=(2.20203, 0.2856),
    ),
)


def test_the_network_in_the_box_gives_what_it_gave():
    """Its config has the former name."""
    model, config, _ = load_network(str(network_in_the_box()))
    assert config.model.type == 'SlimmableMultiTaskModel'
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(3))
    for width, expected in DEMO.items():
        with torch.no_grad(), model.at_width(width):
            found = {task: (values.mean().item(), values.std().item()) for task, values in model.logits(image).items()}
        assert found == {task: pytest.approx(values, abs=1e-4) for task, values in expected.items()}
