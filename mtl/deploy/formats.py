"""The formats of files, and how each is written and run."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import fx
from torch.export import ExportedProgram

from mtl.deploy.parity import Run

METADATA_FILE = 'metadata.json'  # within files of torch


@dataclass(frozen=True)
class Format:
    """One way to store a graph.

    Args:
        suffix: usual ending of the file's name.
        write: writes a program, the names of its outputs and the metadata to a path.
        read: what a file computes: a function of an image ``[B, 3, H, W]``.
    """

    suffix: str
    write: Callable[[ExportedProgram, Path, Sequence[str], dict], None]
    read: Callable[[Path], Run]


# ---- ONNX ---------------------------------------------------------------------------------------------------------


def write_onnx(program: ExportedProgram, path: Path, tasks: Sequence[str], metadata: dict) -> None:
    """ONNX, one file; each top-level key of ``metadata`` as JSON in its ``metadata_props``."""
    import onnx_ir as ir

    logging.getLogger('onnxscript').setLevel(logging.ERROR)  # tells of every operation it does not simplify
    with warnings.catch_warnings(), _products_keep_their_reshapes():
        warnings.simplefilter('ignore', FutureWarning)  # of torch about itself
        model = torch.onnx.export(
            program, dynamo=True, input_names=['image'], output_names=list(tasks), verbose=False
        ).model
    for value in (*model.graph.inputs, *model.graph.outputs):
        names = ('batch', None, 'height', 'width')
        sides = zip(value.shape, names, strict=True)
        value.shape = ir.Shape([side if isinstance(side, int) else name for side, name in sides])
    model.metadata_props.update({key: json.dumps(value) for key, value in metadata.items()})
    ir.save(model, path)


@contextmanager
def _products_keep_their_reshapes() -> Iterator[None]:
    """Leave out two rules of onnxscript (0.5 to 0.7 at least) that may write a wrong graph.

    They drop the reshapes around a product wherever the shapes fit without them. With six tasks and maps of 6 x 6, rows
    of a map are taken for tasks then.
    """
    from onnxscript import rewriter
    from onnxscript.rewriter.rules.common import one_reshape_matmul_reshape_rule, two_reshapes_matmul_reshape_rule

    wrong = (one_reshape_matmul_reshape_rule, two_reshapes_matmul_reshape_rule)
    rules = rewriter._DEFAULT_REWRITE_RULES
    rewriter._DEFAULT_REWRITE_RULES = tuple(rule for rule in rules if rule not in wrong)
    try:
        yield
    finally:
        rewriter._DEFAULT_REWRITE_RULES = rules


def read_onnx(path: Path) -> Run:
    """Run by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda image: [torch.from_numpy(output) for output in session.run(None, {'image': image.numpy()})]


# ---- torch --------------------------------------------------------------------------------------------------------


def write_torch_export(program: ExportedProgram, path: Path, tasks: Sequence[str], metadata: dict) -> None:
    """``torch.export``'s own file."""
    with open(path, 'wb') as file:
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})


def read_torch_export(path: Path) -> Run:
    """Run by torch, without the package."""
    with open(path, 'rb') as file:
        return torch.export.load(file).module()


def write_torchscript(program: ExportedProgram, path: Path, tasks: Sequence[str], metadata: dict) -> None:
    """TorchScript, for ``torch::jit::load`` of LibTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # TorchScript is in maintenance
        script = torch.jit.script(_plain_calls(program))
    torch.jit.save(script, str(path), _extra_files={METADATA_FILE: json.dumps(metadata)})


def read_torchscript(path: Path) -> Run:
    """Run by torch, without the package."""
    return torch.jit.load(str(path))


def _plain_calls(program: ExportedProgram) -> fx.GraphModule:
    """The program as Python that TorchScript compiles: without its checks of sizes, numbers not wrapped in tensors."""
    module = program.module(check_guards=False)
    graph = module.graph
    graph.set_codegen(fx.graph.CodeGen())
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.item.default:  # of a tensor made of a number, see `mtl.deploy.graph`
            node.replace_all_uses_with(node.args[0].args[0])
            graph.erase_node(node)
        elif 'assert' in str(node.target) or 'constrain' in str(node.target):
            graph.erase_node(node)
        elif isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
    graph.eliminate_dead_code()
    return fx.GraphModule(module, graph)


FORMATS = {
    'onnx': Format('.onnx', write_onnx, read_onnx),
    'torchscript': Format('.pt', write_torchscript, read_torchscript),
    'torch-export': Format('.pt2', write_torch_export, read_torch_export),
}
