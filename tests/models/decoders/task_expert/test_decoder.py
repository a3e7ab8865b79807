"""The decoder against its equations, written out with loops over tasks, experts and pixels."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.models.decoders import TaskExpertDecoder
from mtl.models.neck import neck
from mtl.structures import Level, PyramidFeatures

CHANNELS = (5, 6, 7)
SIZES = ((3, 4), (2, 2), (2, 2))
TASKS = ('semseg', 'normals', 'edge')
OWN = ('shared', *TASKS)
SOME_OWN = ('shared', 'normals')


def pyramid(*streams, batch=2, seed=0):
    """Levels with the given streams, random."""
    draw = torch.Generator().manual_seed(seed)
    levels = tuple(
        Level(torch.randn(len(names), batch, c, *size, dtype=torch.double, generator=draw), names)
        for c, size, names in zip(CHANNELS, SIZES, streams, strict=True)
    )
    return PyramidFeatures(levels, (8, 16, 16))


def build(seed=0, tasks=TASKS, **options):
    torch.manual_seed(seed)
    decoder = TaskExpertDecoder(CHANNELS, tasks, **{'channels': 8, 'experts': 3, 'expert_ratio': 0.5, **options})
    for parameter in decoder.parameters():  # nothing hides behind a zero or a one
        torch.nn.init.normal_(parameter, std=0.4)
    return decoder.double()


def run(decoder, features, tasks):
    return decoder(neck(features, decoder, tasks), tasks)


def layer_norm(vector, norm):
    k = len(vector)
    mean = vector.mean()
    variance = ((vector - mean) ** 2).mean()
    return (vector - mean) / torch.sqrt(variance + norm.eps) * norm.weight[:k] + norm.bias[:k]


def experts_at(experts, x, y, column, hidden, channels):
    """``E_n(x)`` at one pixel of ``x`` ``[H, W, k]``, one expert after the other."""
    height, width, k = x.shape
    outputs = []
    for n in range(len(experts)):
        units = []
        for unit in range(hidden):
            total = experts.depthwise_bias[n, unit]
            for dy, dx in product((-1, 0, 1), (-1, 0, 1)):
                if 0 <= y + dy < height and 0 <= column + dx < width:
                    inner = experts.expand_weight[n, unit, :k] @ x[y + dy, column + dx] + experts.expand_bias[n, unit]
                    total = total + experts.depthwise_weight[n, unit, 1 + dy, 1 + dx] * inner
            units.append(total * 0.5 * (1 + torch.erf(total / math.sqrt(2))))
        outputs.append(
            experts.reduce_weight[n, :channels, :hidden] @ torch.stack(units) + experts.reduce_bias[n, :channels]
        )
    return outputs


def slowly(decoder, features, task):
    """The equations of :class:`TaskExpertDecoder` for one task, pixel by pixel: ``[B, k, H, W]``."""
    k = decoder.task_channels[task]
    results = []
    for image in range(len(features.levels[0].features[0])):
        memory, changes = None, []  # what each level adds, at its resolution
        for index, level in enumerate(features.levels):
            size = features.levels[0 if decoder.resolution == 'finest' else index].size
            height, width = (side * decoder.upsampling for side in size)
            source = level.of('shared' if decoder.reads_shared else task)[image : image + 1]
            own = task in level.streams and not decoder.reads_shared
            k_experts = k if own else max(decoder.task_channels.values())

            def entering(stream, channels, index=index, height=height, width=width):
                projected = torch.einsum('oc,chw->hwo', decoder.projections[index].weight[:channels], stream[0])
                normed = torch.stack([layer_norm(v, decoder.norms[index]) for v in projected.flatten(0, 1)])
                normed = normed.view(projected.shape).permute(2, 0, 1)[None]
                upsampled = F.interpolate(normed, size=(height, width), mode='bilinear', align_corners=False)
                return upsampled[0].permute(1, 2, 0)

            x = entering(level.of(task)[image : image + 1], k)
            x_experts = entering(source, k_experts)
            experts = decoder.experts[index if len(decoder.experts) > 1 else 0]
            access = decoder.memory[index] if decoder.memory is not None else None
            found = decoder.embeddings[task][:k].expand(height, width, k) if access is not None else torch.zeros(())
            if access is not None and changes:
                found = F.adaptive_avg_pool2d(memory.permute(2, 0, 1), (height, width)).permute(1, 2, 0)
            entry = torch.zeros(k, k, dtype=torch.double)
            if decoder.entries is not None:
                entry = decoder.entries[index][task].weight
            elif access is not None and not changes:
                entry = decoder.first.weight[:k, :k]
            brought = torch.stack([entry @ v for v in x.flatten(0, 1)]).view(height, width, k)
            memory = found + brought
            gate = decoder.gates[index][task]
            pixels = list(product(range(height), range(width)))
            normed = {p: layer_norm(memory[p], access.norm) for p in pixels} if access is not None else None
            logits = {}
            for p in pixels:
                logits[p] = gate.bias
                if decoder.gate_kind != 'static':
                    logits[p] = logits[p] + gate.weight[:, 0, :k] @ x[p]
                    if access is not None:
                        logits[p] = logits[p] + gate.weight[:, 1, :k] @ normed[p]
            if decoder.gate_kind == 'image':
                mean = sum(logits.values()) / len(logits)
                logits = dict.fromkeys(logits, mean)
            hidden = decoder.hidden(k_experts)
            feature, written = {}, {}
            for p in pixels:
                g = torch.exp(logits[p]) / torch.exp(logits[p]).sum()
                outputs = experts_at(experts, x_experts, *p, hidden, k_experts)
                feature[p] = sum(g[n] * output[:k] for n, output in enumerate(outputs))
                if access is None:
                    continue
                read = access.read_weight[:k, :k] @ normed[p] + access.read_bias[:k]
                feature[p] = feature[p] + g[-1] * read
                both = torch.stack([normed[p], feature[p]])
                update = torch.einsum('osc,sc->o', access.write_weight[:k, :, :k], both) + access.write_bias[:k]
                openness = (access.gate_weight[:, :k] * both).sum() + access.gate_bias
                written[p] = memory[p] + torch.sigmoid(openness) * update
            if access is None:
                changes.append(brought + torch.stack(list(feature.values())).view(height, width, k))
            else:
                after = torch.stack(list(written.values())).view(height, width, k)
                changes.append(after - found if changes else after)
                memory = after
        final = changes[-1].permute(2, 0, 1)
        for change in reversed(changes[:-1]):
            final = F.interpolate(final[None], size=change.shape[:2], mode='bilinear', align_corners=False)[0]
            final = change.permute(2, 0, 1) + final
        normed = torch.stack([layer_norm(v, decoder.norm) for v in final.flatten(1).T])
        results.append(normed.view(*final.shape[1:], k).permute(2, 0, 1))
    return torch.stack(results)


OPTIONS = {
    'default': {},
    'image gates': dict(gates='image'),
    'static gates': dict(gates='static'),
    'no memory': dict(memory=False),
    'no memory, static': dict(memory=False, gates='static'),
    'one set of experts': dict(share_experts=True),
    'shared input': dict(expert_input='shared'),
    'upsampled': dict(upsampling=2),
    'own resolution': dict(resolution='level'),
    'entries of all levels': dict(entries='levels'),
    'entries, own resolution': dict(entries='levels', resolution='level'),
    'entries, no memory': dict(entries='levels', resolution='level', memory=False),
    'entries, widths': dict(
        entries='levels', task_channels=dict(semseg=6, normals=2, edge=4), channels=6, expert_input='shared'
    ),
    'own resolution, no memory': dict(resolution='level', memory=False),
    'own resolution, upsampled, shared input': dict(resolution='level', upsampling=2, expert_input='shared'),
    'recomputed': dict(checkpoint_experts=True),
    'widths': dict(task_channels=dict(semseg=6, normals=2, edge=4), channels=6),
    'widths, shared input': dict(task_channels=dict(semseg=6, normals=2, edge=4), channels=6, expert_input='shared'),
}
STREAMS = {
    'shared stream': (('shared',),) * 3,
    'own streams': (OWN, OWN, OWN),
    'own streams here and there': (OWN, SOME_OWN, ('shared',)),
}


@pytest.mark.parametrize('streams', STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)
def test_equals_its_equations(options, streams):
    """Outputs and gradients, of every parameter and of every stream that is read."""
    decoder, features = build(**{'experts': 2, **options}), pyramid(*streams, batch=1)
    inputs = [level.features.requires_grad_() for level in features.levels]
    tasks = ('normals', 'edge') if 'task_channels' in options else ('normals', 'semseg')
    maps = run(decoder, features, tasks).maps
    expected = {task: slowly(decoder, features, task) for task in tasks}
    parameters = list(decoder.parameters())
    direction = {task: torch.randn_like(value) for task, value in expected.items()}
    found_gradients, expected_gradients = (
        torch.autograd.grad(
            sum((values[task] * direction[task]).sum() for task in tasks), inputs + parameters, allow_unused=True
        )
        for values in (maps, expected)
    )
    assert list(maps) == list(tasks)
    for task in tasks:
        torch.testing.assert_close(maps[task], expected[task])
    for found, wanted in zip(found_gradients, expected_gradients, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(*(zero if g is None or not g.any() else g for g in (found, wanted)))


@pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)
def test_a_task_does_not_depend_on_which_others_run(options):
    decoder, features = build(**options).eval(), pyramid(OWN, SOME_OWN, ('shared',))
    together = run(decoder, features, TASKS).maps
    for task in TASKS:
        torch.testing.assert_close(run(decoder, features, (task,)).maps[task], together[task])
    turned = run(decoder, features, TASKS[::-1])
    assert list(turned.maps) == list(TASKS[::-1])
    torch.testing.assert_close(turned.maps['edge'], together['edge'])


@pytest.mark.parametrize('streams', STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize('expert', range(3))
def test_one_hot_gates_choose_one_expert(expert, streams):
    """The mixture of all levels then is that expert, of that level's feature."""
    decoder, features = build(memory=False), pyramid(*streams)
    with torch.no_grad():
        for gates in decoder.gates:
            for gate in gates.values():
                gate.weight.zero_()
                gate.bias.copy_(torch.where(torch.arange(3) == expert, 0.0, -1e9))
    alone = build(memory=False, experts=1)
    state = {
        name: value[expert : expert + 1] if name.startswith('experts.') else value
        for name, value in decoder.state_dict().items()
        if not name.startswith('gates.')
    }
    alone.load_state_dict(state, strict=False)
    torch.testing.assert_close(run(decoder, features, TASKS).maps, run(alone, features, TASKS).maps)


def test_a_gate_of_one_on_the_memory_passes_it_through():
    """With a read that hands the memory on, the feature is the memory, whatever the experts say."""
    decoder, features = build(), pyramid(OWN, OWN, OWN)
    with torch.no_grad():
        for gates in decoder.gates:
            for gate in gates.values():
                gate.weight.zero_()
                gate.bias.copy_(torch.tensor([-1e9, -1e9, -1e9, 0.0]))
        for access in decoder.memory:
            access.read_weight.copy_(torch.eye(8))
            access.read_bias.zero_()
            access.norm.weight.fill_(1.0)
            access.norm.bias.zero_()
            access.write_weight.zero_()
            access.write_weight[:, 1] = torch.eye(8)  # what is written is the feature that was read
            access.write_bias.zero_()
            access.gate_weight.zero_()
            access.gate_bias.fill_(1e9)
        decoder.norm.weight.fill_(1.0)
        decoder.norm.bias.zero_()
    maps = run(decoder, features, TASKS).maps
    level = features.levels[0]
    for index, task in enumerate(TASKS):
        x = F.linear(level.features[1 + index].permute(0, 2, 3, 1), decoder.projections[0].weight)
        x = F.layer_norm(x, (8,), decoder.norms[0].weight, decoder.norms[0].bias)
        memory = decoder.embeddings[task] + F.linear(x, decoder.first.weight)
        # M grows by norm(M) at each level: its direction stays, and the norm of the map undoes its length
        torch.testing.assert_close(maps[task], F.layer_norm(memory, (8,)).permute(0, 3, 1, 2), rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(3)), shared=st.booleans(), memory=st.booleans())
def test_experts_permuted_with_their_gates_change_nothing(order, shared, memory):
    decoder, features = build(memory=memory), pyramid(*STREAMS['shared stream' if shared else 'own streams'])
    before = run(decoder, features, TASKS).maps
    with torch.no_grad():
        for experts in decoder.experts:
            for parameter in experts.parameters():
                parameter.copy_(parameter[list(order)])
        for gates in decoder.gates:
            for gate in gates.values():
                places = [*order, 3] if memory else list(order)
                gate.weight.copy_(gate.weight[places])
                gate.bias.copy_(gate.bias[places])
    torch.testing.assert_close(run(decoder, features, TASKS).maps, before)


def test_gates_are_handed_out_by_level_and_task():
    decoder, features = build(task_channels=dict(semseg=8, normals=4, edge=8)), pyramid(OWN, OWN, OWN)
    output = run(decoder, features, TASKS)
    assert [gates.shape for gates in output.gates] == [(3, 2, 3, 4, 4)] * 3
    for index, task in enumerate(TASKS):
        alone = run(decoder, features, (task,))
        for level in range(3):
            torch.testing.assert_close(output.gates[level][index], alone.gates[level][0])
    assert not any(gates.requires_grad for gates in output.gates)
    torch.testing.assert_close(output.gates[0].sum(-1), torch.ones(3, 2, 3, 4, dtype=torch.double))


def test_balance_loss_is_the_squared_variation_of_the_mean_gates():
    decoder, features = build(balance_weight=0.5).train(), pyramid(OWN, OWN, OWN)
    output = run(decoder, features, TASKS)
    expected = 0.0
    for gates in output.gates:
        mean = [float(gates[..., n].sum() / gates[..., n].numel()) for n in range(4)]
        average = sum(mean) / 4
        expected += sum((value - average) ** 2 for value in mean) / 4 / average**2 / 3
    assert output.losses['gate_balance'].item() == pytest.approx(0.5 * expected)
    output.losses['gate_balance'].backward()
    assert decoder.gates[0]['edge'].weight.grad.abs().sum() > 0
    assert not run(decoder.eval(), features, TASKS).losses
    assert not run(build().train(), features, TASKS).losses


@pytest.mark.parametrize('resolution', ['level', 'finest'])
def test_deep_supervision_gives_the_maps_of_the_earlier_levels(resolution):
    decoder, features = build(deep_supervision=0.3, resolution=resolution).train(), pyramid(OWN, OWN, OWN)
    output = run(decoder, features, TASKS)
    assert output.intermediate_weight == 0.3
    assert len(output.intermediate) == 2
    two = PyramidFeatures(features.levels[:2], features.strides[:2])
    torch.testing.assert_close(output.intermediate[1], run(decoder, two, TASKS).maps)
    assert not run(decoder.eval(), features, TASKS).intermediate


def test_recomputing_keeps_less_for_the_backward_pass():
    def kept(**options):
        decoder, features = build(**options).train(), pyramid(OWN, OWN, OWN)
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()), id
        ):
            run(decoder, features, TASKS)
        return sum(sizes.values())

    assert kept(checkpoint_experts=True, expert_ratio=2.0) < 0.6 * kept(expert_ratio=2.0)


def test_no_tensor_of_tasks_times_experts_times_channels():
    """The largest tensor of a training step holds the hidden units of the experts, nothing more."""
    experts, channels = 6, 16
    decoder = build(experts=experts, channels=channels, expert_ratio=0.25).train()
    for streams in STREAMS.values():
        largest = 0

        def note(tensor):
            nonlocal largest
            largest = max(largest, tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            run(decoder, pyramid(*streams), TASKS)
        pixels = 2 * SIZES[0][0] * SIZES[0][1]
        assert largest < len(TASKS) * experts * channels * pixels


def test_wrong_values_are_named():
    with pytest.raises(ValueError, match='pixel'):
        build(gates='softmax')
    with pytest.raises(ValueError, match="resolution must be one of level, finest; found 'coarse'"):
        build(resolution='coarse')
    with pytest.raises(ValueError, match="entries must be one of first, levels; found 'last'"):
        build(entries='last')
    with pytest.raises(ValueError, match='1 to 8'):
        build(task_channels=dict(semseg=9, normals=4, edge=4))
    with pytest.raises(ValueError, match='semseg'):
        build(task_channels=dict(normals=4, edge=4))
