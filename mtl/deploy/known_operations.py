"""Programs in operations that PyTorch's exporter to ONNX knows.

The exporter begins by tracing a program twice more, to take apart what it does not know: with symbols for sizes that is
most of its time. Networks here need few operations that it does not know, and these are written in others.
"""

from __future__ import annotations

import copy

from torch import fx, ops
from torch.export import ExportedProgram

aten = ops.aten


def in_known_operations(program: ExportedProgram) -> ExportedProgram | None:
    """A program of the same numbers that need not be taken apart; ``None`` of one that changes tensors in place.

    What this leaves unknown, the exporter refuses. In both cases it must be given the program as it is.
    """
    if any(_changes_its_input(node) for node in program.graph.nodes):
        return None
    graph = copy.deepcopy(program.graph)  # of the nodes, not of the weights
    for node in list(graph.nodes):
        _rewrite(node)
    graph.eliminate_dead_code()
    known = ExportedProgram(
        program.graph_module,
        graph,
        program.graph_signature,
        program.state_dict,
        program.range_constraints,
        program.module_call_graph,
        program.example_inputs,
        program.constants,
        verifiers=program.verifiers,
    )
    known.run_decompositions = lambda *_, **__: known
    return known


def _rewrite(node: fx.Node) -> None:
    value = node.meta.get('val')
    if node.target is aten._assert_tensor_metadata.default:
        node.graph.erase_node(node)
    elif node.target is aten.numpy_T.default:
        node.target, node.args = aten.permute.default, (node.args[0], list(reversed(range(value.ndim))))
    elif node.target is aten.item.default:
        node.target = aten._local_scalar_dense.default
    elif node.target is aten.square.default:
        node.target, node.args = aten.mul.Tensor, (node.args[0], node.args[0])
    elif node.target is aten.to.dtype:
        source = node.args[0]
        if source.meta['val'].dtype != value.dtype or any(user.op == 'output' for user in node.users):
            node.target, node.args, node.kwargs = aten._to_copy.default, (source,), {'dtype': value.dtype}
        else:
            node.replace_all_uses_with(source)
            node.graph.erase_node(node)


def _changes_its_input(node: fx.Node) -> bool:
    schema = getattr(node.target, '_schema', None)
    return schema is not None and schema.is_mutable
