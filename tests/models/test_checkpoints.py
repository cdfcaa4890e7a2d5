"""Weights of other people's training scripts: keys, prefixes and packages that are not here."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mentee.errors import MenteeError
from mentee.models import load_weights, read_weights

State = dict[str, Tensor]


def net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def with_prefix(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


def unknown(name: str) -> Any:
    """An object of a package that is gone when the file is read."""
    module, _, kind = name.rpartition(".")
    made = types.ModuleType(module)
    cls = type(kind, (), {"__module__": module, "__init__": lambda self: setattr(self, "a", 1)})
    setattr(made, kind, cls)
    sys.modules[module] = made
    return cls()


FILES: dict[str, tuple[Callable[[State], Any], str | None]] = {
    "plain": (lambda s: s, None),
    "lightning": (
        lambda s: {"epoch": 3, "pytorch-lightning_version": "2.4", "loops": {"a": {"b": 1}},
                   "state_dict": with_prefix(s, "model.") | {"loss.weight": torch.ones(2)},
                   "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
                   "hyper_parameters": argparse.Namespace(lr=0.1)},
        "the prefix 'model.' of its names was removed, and 1 others were left out: loss.weight",
    ),
    "mmengine": (
        lambda s: {"meta": {"cfg": "text"}, "message_hub": unknown("mmengine_gone.MessageHub"),
                   "state_dict": with_prefix(s, "backbone.")},
        "the prefix 'backbone.' of its names was removed",
    ),
    "timm": (
        lambda s: {"epoch": 1, "arch": "x", "state_dict": s, "args": argparse.Namespace(lr=1),
                   "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}},
                   "state_dict_ema": {name: value * 0 for name, value in s.items()}}, None),
    "average": (
        lambda s: {"n_averaged": torch.ones((), dtype=torch.long), **with_prefix(s, "module.")},
        "the prefix 'module.' of its names was removed"),
    "average of a compiled, parallel network": (
        lambda s: {"model_ema": {"n_averaged": torch.ones(()),
                                 **with_prefix(s, "module._orig_mod.module.")}},
        "the prefix '_orig_mod.' and 'module.module.' of its names was removed"),
    "compiled inside": (
        lambda s: {name.replace(".", "._orig_mod."): value for name, value in s.items()},
        "the prefix '_orig_mod.' of its names was removed"),
    "student beside its teacher": (
        lambda s: {**with_prefix(s, "student."), **with_prefix(s, "teacher.")},
        "the prefix 'student.' of its names was removed, and 9 others were left out: "
        "teacher.0.weight, teacher.0.bias, teacher.1.weight, teacher.1.bias, teacher.1.running_mean"
        " and 4 more"),
    "a key of its own": (lambda s: {"my_net": s, "step": 5}, None),
    "keys within keys": (lambda s: {"model": {"state_dict": {"net": s}}, "step": 5}, None),
    "another prefix everywhere": (lambda s: with_prefix(s, "wrapped.inner."),
                                  "the prefix 'wrapped.inner.' of its names was removed"),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".pth", ".pth.tar", ".ckpt"])
@pytest.mark.parametrize("case", FILES)
def test_weights_are_found(case: str, ending: str, tmp_path: Path) -> None:
    source, target = net(), net()
    make, note = FILES[case]
    state = {n: v for n, v in source.state_dict().items() if "num_batches" not in n}
    state["1.num_batches_tracked"] = torch.tensor(7)
    path = tmp_path / f"weights{ending}"
    torch.save(make(state), path)
    sys.modules.pop("mmengine_gone", None)
    notes: list[str] = []
    assert load_weights(target, path, notes=notes) == []
    loaded = target.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    assert notes == ([] if note is None else [f"weights {path}: {note}"])


@pytest.mark.parametrize("format", [".pt", ".safetensors"])
@pytest.mark.parametrize("attribute", ["module", "model", "student"])
def test_a_network_whose_own_names_begin_so(attribute: str, format: str, tmp_path: Path) -> None:
    def wrapped() -> nn.Module:
        network = nn.Module()
        setattr(network, attribute, net())
        return network

    source, target, path = wrapped(), wrapped(), tmp_path / f"weights{format}"
    save = torch.save if format == ".pt" else save_file
    save(source.state_dict(), path)
    notes: list[str] = []
    assert load_weights(target, path, notes=notes) == []
    assert notes == []
    names = source.state_dict()
    assert all(torch.equal(target.state_dict()[name], names[name]) for name in names)


class Runs:
    """Would run code if it was unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def sparse(path: Path) -> None:
    torch.save({"0.weight": torch.eye(3).to_sparse()}, path)


def quantized(path: Path) -> None:
    q = torch.quantize_per_tensor(torch.rand(3, 2), 0.1, 0, torch.qint8)
    torch.save({"0.weight": q}, path)


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "text": (".pth", lambda path: path.write_text("not weights at all"), "cannot be read as weig"),
    "empty": (".pt", lambda path: path.write_bytes(b""), "cannot be read as weights"),
    "cut": (".safetensors", lambda path: path.write_bytes(b"\x08\0\0"), "cannot be read as weig"),
    "sparse": (".pt", sparse, "0.weight is sparse; expected plain tensors"),
    "quantized": (".pt", quantized, "0.weight is quantized; expected plain tensors"),
    "meta": (".pt", lambda path: torch.save({"a": torch.ones(2, device="meta")}, path),
             r"a is without content \(of the device meta\)"),
    "float8": (".safetensors",
               lambda path: save_file({"a": torch.ones(2).to(torch.float8_e4m3fn)}, path),
               "a is of float8_e4m3fn; expected plain tensors"),
    "complex": (".pt", lambda path: torch.save({"a": torch.ones(2) * 1j}, path), "of complex64"),
    "a whole network": (".pt", lambda path: torch.save(net(), path),
                        "holds a Sequential, not named tensors; expected what torch.save"),
    "several": (".pt", lambda path: torch.save({"a": net().state_dict(), "b": net().state_dict()},
                                               path), "holds several sets of weights: a, b; save"),
    "two that fit": (".pt", lambda path: torch.save(
        with_prefix(net().state_dict(), "one.") | with_prefix(net().state_dict(), "two."), path),
        "has weights of several networks that fit, under one., two.; save"),
    "numbers": (".pt", lambda path: torch.save({"epoch": 3}, path), "more than named tensors"),
    "numpy": (".npz", lambda path: path.write_bytes(b""), r"weights are read from .safetensors, "),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", BAD)
def test_what_is_no_weights_is_one_sentence(case: str, tmp_path: Path) -> None:
    ending, write, message = BAD[case]
    path = tmp_path / f"weights{ending}"
    write(path)
    network = net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(MenteeError, match=message) as caught:
        load_weights(network, path)
    assert len(str(caught.value).splitlines()) == 1
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    path, made = tmp_path / "weights.pt", tmp_path / "made"
    torch.save({"state_dict": net().state_dict(), "args": Runs(made)}, path)
    with contextlib.suppress(MenteeError):
        read_weights(path)
    assert not made.exists()


def test_the_average_of_a_network_as_torch_saves_it(tmp_path: Path) -> None:
    network, path = net(), tmp_path / "ema.pt"
    torch.save(AveragedModel(network).state_dict(), path)  # type: ignore[no-untyped-call]
    target = net()
    assert load_weights(target, path) == []
    assert torch.equal(target[0].weight, network[0].weight)
