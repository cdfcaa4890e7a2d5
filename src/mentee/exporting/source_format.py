"""Folders of a state dict and one Python file with the network's class, which needs torch alone."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from mentee.data import MODALITIES
from mentee.errors import MenteeError
from mentee.exporting.graph import ShippedStudent
from mentee.exporting.layer_difference import module_layers
from mentee.exporting.runtime import OpenedStudent, as_arrays
from mentee.exporting.signature import KEY, read_signature
from mentee.exporting.source import Bundle
from mentee.exporting.student import Student
from mentee.models import NETWORKS

FILE, CODE, WEIGHTS = "", "network.py", "model.safetensors"
TEMPLATE = '''\
"""The student {network} of the run {run}, written by Mentee {mentee}; Apache-2.0.

`load()` is a torch.nn.Module that reads {dtype} [b, {shape}] and gives {output} [b, {count}];
it needs torch and safetensors. Its state dict is model.safetensors.
"""

from pathlib import Path

from safetensors.torch import load_file
{code}


NAMES = {names!r}


def load(path=Path(__file__).with_name("model.safetensors")):
    """The student with its weights, behind its preprocessing, in evaluation mode."""
    network = {construction}
    network.load_state_dict(load_file(path))
    return {wrapped}.eval()
'''


def write(student: Student, folder: Path) -> None:
    """Write `model.safetensors` and `network.py`.

    Raises:
        MenteeError: it is none of Mentee's own networks.
    """
    network, signature = student.recipe.student, student.signature
    if network.network not in NETWORKS or network.reuse is not None:
        raise MenteeError(
            f"the student is {network.network}{' with reuse' if network.reuse else ''}, and format "
            "safetensors is for Mentee's own networks alone; take --format onnx, pt2 or timm"
        )
    make: Any = NETWORKS[network.network]
    made = make if isinstance(make, partial) else partial(make)
    offered = {
        "classes": network.classes,
        "channels": student.splits.train.channels,
        "sample_rate": signature.prepare.get("sample_rate"),
    }
    given = {key: offered[key] for key in MODALITIES[signature.kind].network_args}
    bundle = Bundle()
    bundle.add(made.func.__module__, made.func.__name__)
    bundle.add(ShippedStudent.__module__, ShippedStudent.__name__)
    text = TEMPLATE.format(
        **{key: signature.about[key] for key in ("network", "run", "mentee")},
        dtype=signature.dtype,
        shape=", ".join(map(str, signature.shape)),
        output=signature.output,
        count=len(signature.names),
        code=bundle.text(),
        names=signature.names,
        construction=call(made.func.__name__, made.args, made.keywords | given | network.options),
        wrapped=call("ShippedStudent", ("network",), dict(signature.inside)).replace("'", "", 2),
    )
    (folder / CODE).write_text(text, encoding="utf-8")
    weights = {name: each.clone() for name, each in student.network.state_dict().items()}
    save_file(weights, folder / WEIGHTS, {"format": "pt", KEY: signature.dump()})


def call(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    """A call as Python writes it."""
    named = [f"{key}={value!r}" for key, value in options.items()]
    return f"{name}({', '.join([*map(repr, arguments), *named])})"


def open_file(path: Path) -> OpenedStudent:
    """A folder that this process wrote; its Python file is run."""
    with safe_open(path / WEIGHTS, "pt") as file:
        text = file.metadata().get(KEY)
    load = runpy.run_path(str(path / CODE))["load"]
    module = load()
    layers = partial(module_layers, module)
    return OpenedStudent(read_signature(text, path), as_arrays(module), layers)
