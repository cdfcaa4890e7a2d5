"""Where an exported file differs from its student: the first layer whose outputs do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from mentee.exporting.runtime import Array, OpenedStudent, open_session
from mentee.exporting.student import Student
from mentee.models import normalize

SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata of a node that torch's exporter wrote: the modules around it, from the outermost."""


@contextmanager
def layer_outputs(module: nn.Module) -> Iterator[dict[str, Array]]:
    """While this lasts, the last output of each innermost module of a network that is run."""
    outputs: dict[str, Array] = {}

    def store(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            outputs.pop(name, None)  # the order is that of the last calls
            if isinstance(output, Tensor):
                outputs[name] = (
                    output.detach().numpy().copy()
                )  # a later operation may write over it

        return hook

    innermost = {name: each for name, each in module.named_modules() if not [*each.children()]}
    handles = [each.register_forward_hook(store(name)) for name, each in innermost.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def module_layers(module: nn.Module, x: Array) -> dict[str, Array]:
    """The outputs of the layers of a module, or of a graph of torch.export, by the layer's name."""
    if not isinstance(module, fx.GraphModule):
        with layer_outputs(module) as outputs, torch.no_grad():
            module(torch.from_numpy(x))
        return outputs
    outputs = {}

    class Reader(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor) and (stack := n.meta.get("nn_module_stack")):
                outputs[[*stack.values()][-1][0]] = value.detach().numpy().copy()
            return value

    with torch.no_grad():
        Reader(module).run(torch.from_numpy(x))
    return outputs


def onnx_layers(content: bytes, x: Array) -> dict[str, Array]:
    """The outputs of the layers of an ONNX file: each is made an output of the graph."""
    import onnx

    model = onnx.load_from_string(content)
    values: dict[str, str] = {}
    for node in model.graph.node:
        scopes = {each.key: each.value for each in node.metadata_props}.get(SCOPES)
        if scopes and len(names := scopes.strip("[]").replace("'", "").split(", ")) > 1:
            values[names[-2]] = node.output[0]  # the last one has the operator's name
    own = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=each) for each in {*values.values()} - own)
    session = open_session(model.SerializeToString(), "the file with its layers")
    wanted = [*values.values()]
    return dict(zip(values, session.run(wanted, {session.get_inputs()[0].name: x}), strict=True))


def first_difference(student: Student, file: OpenedStudent, tolerance: float) -> str:
    """A sentence on the first layer of a file that differs from the student's, on two examples.

    The student is run as it was evaluated. Layers are the innermost modules, in the order in which
    it runs them; those that a file has merged with the next one are left out.

    Args:
        student: what was exported.
        file: the file, opened.
        tolerance: as for the outputs: a share of the layer's largest output, or of 1.
    """
    if file.layers is None:
        return "its layers cannot be read"
    inputs = student.splits.first(2).inputs
    with layer_outputs(student.network) as expected, torch.no_grad():
        student.network(normalize(inputs, student.contract))
    names = {id(each): name for name, each in student.module.named_modules()}
    try:
        by_name = file.layers(np.ascontiguousarray(student.inputs(inputs)))
    except Exception as error:  # of any runtime, of a file that is refused anyway
        return f"its layers cannot be read ({type(error).__name__})"
    last = "its input"
    for name, value in expected.items():
        of_file = by_name.get(names[id(student.network.get_submodule(name))])
        if of_file is None or of_file.shape != value.shape or value.dtype.kind != "f":
            continue
        difference, largest = np.abs(of_file - value).max(), np.abs(value).max()
        if not difference <= tolerance * max(1.0, largest):
            kind = type(student.network.get_submodule(name)).__name__
            return (
                f"the first layer that differs is {name} ({kind}), by {difference:.2g} of "
                f"{largest:.3g}; the last before it that does not is {last}"
            )
        last = name
    return f"no layer alone differs; the difference comes after {last}"
