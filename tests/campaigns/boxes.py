"""The folder in which a bad input is tried: small data, recipes, a run, a record, a canary."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import yaml

RECIPE: dict[str, Any] = {
    "data": {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 160},
    "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}},
    "train": {"epochs": 1, "batch": 32},
}


class Bomb:
    """Writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return exec, ("open('EXECUTED', 'w').write('x')",)


def fill(box: Path) -> None:
    """Make the folder's files."""
    box.mkdir(parents=True)
    (box / "outside").mkdir()
    (box / "outside/canary.txt").write_text("secret,label\nsecret,1\n")
    picture(box / "outside/canary.png", 5)
    for split, count in (("train", 8), ("test", 4)):
        for label in ("cat", "dog"):
            for i in range(count):
                picture(box / "photos" / split / label / f"{i}.png", i)
                if i < 4:
                    clip(box / "clips" / split / label / f"{i}.wav", i)
        rows = [(f"a text number {i}", "ab"[i % 2]) for i in range(3 * count)]
        table(box / "texts" / f"{split}.csv", ("text", "label"), rows)
    write_recipe(box / "recipe.yaml", {})
    write_recipe(
        box / "photos.yaml",
        {"data": {"source": "photos", "views": "none", "limit": None, "validation": 0.25}}
        | {"train": {"batch": 4, "epochs": 1}},
    )
    write_recipe(
        box / "texts.yaml",
        {"data": {"source": "texts", "views": "none", "limit": None, "validation": 0.25}}
        | {"train": {"batch": 4, "epochs": 1}, "student": "hashed-bag-small"},
    )
    make_run(box)


def make_run(box: Path) -> None:
    """A finished run, its student as a teacher, vectors, and a record of them."""
    import contextlib
    import io

    from mentee import train
    from mentee.data import open_examples
    from mentee.recording.embedders import import_vectors

    with contextlib.redirect_stdout(io.StringIO()):
        train(box / "recipe.yaml", out=box / "run", quiet=True)
        examples = open_examples("embedded:digits", split="train")
        vectors = np.random.default_rng(0).normal(size=(len(examples), 4)).astype(np.float32)
        np.savez(box / "vectors.npz", vectors=vectors, id=np.array(examples.ids))
        import_vectors(box / "vectors.npz", "embedded:digits", box / "record")
    teacher = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}}
    taught = {"teacher": {**teacher, "weights": "run/student.safetensors"}, "method": "kd"}
    write_recipe(box / "kd.yaml", taught)
    write_recipe(box / "ec.yaml", {"teacher": {"record": "record"}, "method": "ec"} | CLEAN)


CLEAN = {"data": {"source": "embedded:digits", "views": "none", "limit": 160}}


def write_recipe(path: Path, parts: dict[str, Any]) -> None:
    """A recipe with some parts changed."""
    content = {**RECIPE}
    for key, value in parts.items():
        both = isinstance(value, dict) and isinstance(content.get(key), dict)
        content[key] = {**content[key], **value} if both else value
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def picture(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> None:
    """A small image of noise."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def clip(path: Path, seed: int) -> None:
    """A tenth of a second of noise at 8 kHz."""
    import wave

    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).integers(-9000, 9000, 800, dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())


def table(path: Path, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """A CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


def bomb(path: Path) -> None:
    """A pickle that writes a file where it is loaded."""
    path.write_bytes(pickle.dumps(Bomb()))


def change_json(path: Path, change: Any) -> None:
    """Change the content of a JSON file by a function, or replace it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content = change(content) if callable(change) else change
    path.write_text(json.dumps(content), encoding="utf-8")
