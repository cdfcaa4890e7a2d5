"""Files of weights that run code, are damaged, or of something else."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import Bomb, bomb


def weights(name: str, suffix: str, write: Callable[[Path], Any], key: str = "teacher") -> Case:
    """Train with a teacher, or a student, of these weights."""
    argv = ["train", "kd.yaml", "--out", "new", "--set", f"{key}.weights=bad{suffix}"]
    return Case(f"weights/{key}: {name}", argv, lambda box: write(box / f"bad{suffix}"))


def saved(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """The right weights, changed and saved by torch."""

    def write(path: Path) -> None:
        import torch
        from safetensors.torch import load_file

        torch.save(change(load_file(path.parent / "run/student.safetensors")), path)

    return write


def kept(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """The same as safetensors."""

    def write(path: Path) -> None:
        from safetensors.torch import load_file, save_file

        save_file(change(load_file(path.parent / "run/student.safetensors")), path)

    return write


def each(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Every tensor changed."""
    return lambda state: {name: change(value) for name, value in state.items()}


def first(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The first tensor changed."""
    return lambda state: {n: change(v) if i == 0 else v for i, (n, v) in enumerate(state.items())}


def zip_of_bomb(path: Path) -> None:
    """A torch archive whose pickle runs code."""
    import pickle

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({"fc.weight": Bomb()}))
        file.writestr("archive/version", "3\n")


def torchlike(call: str) -> Any:
    """A function of torch, by name."""

    def run(value: Any) -> Any:
        import torch

        if call in ("nan", "inf") and not value.is_floating_point():
            return value  # a count of batches
        return {
            "nan": lambda: torch.full_like(value, float("nan")),
            "inf": lambda: torch.full_like(value, float("inf")),
            "half": lambda: value.half(),
            "double": lambda: value.double(),
            "complex": lambda: value.to(torch.complex64),
            "sparse": lambda: value.to_sparse(),
            "meta": lambda: value.to("meta"),
            "int": lambda: value.int(),
            "float8": lambda: value.to(torch.float8_e4m3fn),
            "twice": lambda: torch.zeros(7),
            "none": lambda: None,
            "text": lambda: "hello",
        }[call]()

    return run


CASES = [
    *(
        weights(name, suffix, write, key)
        for key in ("teacher", "student")
        for name, suffix, write in (
            ("a pickle that runs code", ".pth", bomb),
            ("an archive that runs code", ".pt", zip_of_bomb),
            ("a checkpoint that runs code", ".ckpt", saved(lambda s: {"state_dict": s, "x": Bomb()})),
            ("empty", ".pth", lambda path: path.write_bytes(b"")),
            ("text", ".pth", lambda path: path.write_text("hello")),
            ("text as safetensors", ".safetensors", lambda path: path.write_text("hello world")),
            ("empty safetensors", ".safetensors", lambda path: path.write_bytes(b"")),
            ("header of 2^60", ".safetensors", lambda path: path.write_bytes((2**60).to_bytes(8, "little"))),
            ("cut", ".pt", lambda path: (saved(dict)(path), os.truncate(path, 3000))),
            ("cut safetensors", ".safetensors", lambda path: (kept(dict)(path), os.truncate(path, 3000))),
            ("another suffix", ".bin", lambda path: path.write_bytes(b"hello")),
            ("a folder", ".pth", lambda path: path.mkdir()),
            ("a device", ".pth", lambda path: path.symlink_to("/dev/zero")),
            ("a FIFO", ".pth", lambda path: os.mkfifo(path)),
            ("no tensors", ".pt", saved(lambda s: {})),
            ("a list", ".pt", saved(lambda s: list(s.values()))),
            ("a number", ".pt", saved(lambda s: 5)),
            ("another network", ".pt", saved(lambda s: {f"x.{n}": v for n, v in s.items()})),
            ("one weight less", ".pt", saved(lambda s: {n: v for n, v in s.items() if n != "conv1.weight"})),
            ("one weight more", ".pt", saved(lambda s: {**s, "more": next(iter(s.values()))})),
            ("another shape", ".pt", saved(first(torchlike("twice")))),
            *((f"{kind} weights", ".pt", saved(each(torchlike(kind)))) for kind in ("nan", "inf", "complex", "sparse", "meta", "int", "half", "double")),
            ("None", ".pt", saved(first(torchlike("none")))),
            ("texts", ".pt", saved(first(torchlike("text")))),
            ("float8", ".safetensors", kept(each(torchlike("float8")))),
        )
    ),
]  # fmt: skip
