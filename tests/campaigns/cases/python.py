"""What is passed from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import RECIPE


def recipe(**data: Any) -> dict[str, Any]:
    """A recipe for passed data: no test part."""
    settings = {"source": "mine", "views": "none", "test": None, "validation": 0.25, **data}
    return {**RECIPE, "data": settings, "train": {"epochs": 1, "batch": 4}}


def trained(name: str, data: Callable[[], Any], content: Any = None, **more: Any) -> Case:
    """Train on passed data."""

    def run() -> Any:
        from mentee import train

        made = {key: value() if callable(value) else value for key, value in more.items()}
        return train(content or recipe(), data=data(), out="new", quiet=True, **made)

    return Case(f"python/{name}", run)


def images(n: int = 24, **change: Any) -> dict[str, Any]:
    """Small images of two classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return {"image": pixels, "label": np.arange(n) % 2, **change}


def call(name: str, run: Callable[[], Any]) -> Case:
    """Anything else."""
    return Case(f"python/{name}", run)


def api(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    """A function of the package, called."""

    def run() -> Any:
        import mentee

        return getattr(mentee, name)(*arguments, **options)

    return run


def recording(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    """A function of `mentee.recording.embedders`, called."""

    def run() -> Any:
        from mentee.recording import embedders

        return getattr(embedders, name)(*arguments, **options)

    return run


def endless() -> dict[str, Any]:
    """A mapping that holds itself."""
    content: dict[str, Any] = {}
    content["data"] = content
    return content


def build(name: str, **options: Any) -> Callable[[], Any]:
    """A network by name."""

    def run() -> Any:
        from mentee import models

        return models.build(name, **{"classes": 3, **options})

    return run


def open_(source: Any, **options: Any) -> Callable[[], Any]:
    """A source opened."""

    def run() -> Any:
        from mentee.data import open_examples

        return open_examples(source, **options)

    return run


SMALL = {"data": "embedded:digits", "student": "resnet8-cifar"}

CASES = [
    trained("arrays of one length each", lambda: images(label=np.arange(23) % 2)),
    trained("no examples", lambda: images(0)),
    trained("one example", lambda: images(1)),
    trained("one class", lambda: images(label=np.zeros(24, int))),
    trained("labels below -1", lambda: images(label=np.full(24, -7))),
    trained("labels of 2^62", lambda: images(label=np.arange(24) * 2**58)),
    trained("labels of 50,000,000", lambda: images(label=np.array([0, 50_000_000] * 12))),
    trained("labels are infinite", lambda: images(label=np.array([0.0, np.inf] * 12))),
    trained("labels are complex", lambda: images(label=np.array([0j, 1j] * 12))),
    trained("labels are objects", lambda: images(label=[object()] * 24)),
    trained("labels are mappings", lambda: images(label=[{"a": 1}] * 24)),
    trained("labels of three axes", lambda: images(label=np.zeros((24, 2, 2)))),
    trained("ragged labels", lambda: images(label=[[1], [1, 2]] * 12)),
    trained("ids twice", lambda: images(id=["a"] * 24)),
    trained("ids too few", lambda: images(id=["a"])),
    trained("ids are numbers with NaN", lambda: images(id=np.full(24, np.nan))),
    trained("images of floats", lambda: images(image=np.zeros((24, 8, 8, 3)))),
    trained("images of NaN", lambda: images(image=np.full((24, 8, 8, 3), np.nan))),
    trained("images of two axes", lambda: images(image=np.zeros((24, 8), np.uint8))),
    trained("images of five axes", lambda: images(image=np.zeros((24, 2, 8, 8, 3), np.uint8))),
    trained("images of no pixels", lambda: images(image=np.zeros((24, 0, 0, 3), np.uint8))),
    trained("images of 2 channels", lambda: images(image=np.zeros((24, 8, 8, 2), np.uint8))),
    trained("images are texts", lambda: images(image=["a"] * 24)),
    trained("images are None", lambda: images(image=None)),
    trained("layout", lambda: images(layout="whc")),
    trained("a key too many", lambda: images(nothing=1)),
    trained("two kinds", lambda: images(text=["a"] * 24)),
    trained("a list", lambda: [1, 2]),
    trained("a number", lambda: 5),
    trained("an empty mapping", dict),
    trained("a mapping of None", lambda: {"train": None}),
    trained("splits of another kind", lambda: {"train": images(), "test": 5}, recipe(test="test")),
    trained("a generator", lambda: (i for i in range(3))),
    trained("rows with NaN", lambda: {"text": [float("nan")] * 24, "label": np.arange(24) % 2}),
    trained("texts are bytes", lambda: {"text": [b"a"] * 24, "label": np.arange(24) % 2}),
    trained("clips without a rate", lambda: {"audio": np.zeros((24, 80), np.float32), "label": np.arange(24) % 2}),
    trained("clips of rate 0", lambda: {"audio": np.zeros((24, 80), np.float32), "sample_rate": 0, "label": np.arange(24) % 2}),
    trained("clips of NaN", lambda: {"audio": np.full((24, 80), np.nan, np.float32), "sample_rate": 16000, "label": np.arange(24) % 2}),
    trained("clips of integers", lambda: {"audio": np.zeros((24, 80), np.int64), "sample_rate": 16000, "label": np.arange(24) % 2}),
    trained("empty clips", lambda: {"audio": np.zeros((24, 0), np.float32), "sample_rate": 16000, "label": np.arange(24) % 2}),
    trained("student is a number", images, student=lambda: 5),
    trained("student returns nothing", images, student=lambda: lambda classes: None),
    trained("student wants more", images, student=lambda: lambda classes, depth: None),
    call("a recipe that is a number", api("train", 5)),
    call("a recipe that is None", api("train", None)),
    call("a recipe that is empty", api("train", {})),
    call("a recipe of itself", api("train", endless())),
    call("a recipe with a number as key", api("train", {1: 2})),
    call("a recipe with 5,000 digits", api("train", {**SMALL, "train": {"seed": 10**5000}})),
    call("a recipe with bytes", api("train", {**SMALL, "data": b"x"})),
    call("a recipe with an array", api("train", {**SMALL, "train": {"lr": np.zeros(3)}})),
    call("a recipe with a NumPy number", api("train", {**SMALL, "train": {"epochs": np.int64(0)}})),
    call("changes are a text", api("train", SMALL, changes="train.epochs=1")),
    call("compare, no seeds", api("compare", SMALL, ["kd"], seeds=0, out="new")),
    call("compare a text", api("compare", SMALL, "none", out="new")),
    call("record a number", api("record", 5, "nothing", "rec")),
    call("record a batch of 0", api("record", "embedded:digits", "network:resnet8-cifar", "rec", batch=0)),
    call("import an array", recording("import_vectors", np.zeros((3, 4)), "embedded:digits", "rec", in_order=True)),
    call("a network of -1 classes", build("resnet8-cifar", classes=-1)),
    call("a network of 10^12 classes", build("resnet8-cifar", classes=10**12)),
    call("a network of widths 0", build("resnet8-cifar", widths=(0, 0, 0))),
    call("buckets without end", build("hashed-bag", buckets=10**15)),
    call("dropout of 2", build("mobile-fcn", dropout=2.0)),
    call("a rate of 0", build("small-fcn", sample_rate=0)),
    call("a rate of 10^12", build("small-fcn", sample_rate=10**12)),
    call("timm with a wrong option", build("timm:resnet18", block_args=5)),
    call("a source of 300 letters", open_("a" * 300)),
    call("a source with NUL", open_("a\0b")),
    call("a source of bytes", open_(b"photos")),
    call("a split outside", open_("photos", split="../outside")),
    call("a label column of 5", open_("texts", label=5)),
    call("a limit of 0", open_("photos", limit=0)),
    call("channels of 5", open_("photos", channels=5)),
    call("a rate of 3", open_("clips", sample_rate=3)),
    call("a rate of 10^9", open_("clips", sample_rate=10**9)),
]  # fmt: skip
