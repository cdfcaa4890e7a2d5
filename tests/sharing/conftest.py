"""A finished run on a folder of images whose classes have hostile names, with exported files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mentee

CLASSES = ["<script>alert(1)", "a|b", "line\nbreak", "__init__ *bold*"]


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home") / "secret-anna"
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for number, name in enumerate(CLASSES):
            folder = home / "birds" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (8, 8, 3)) + 60 * number
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    network = {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8], "stem": 4}}
    recipe = {
        "data": {"source": str(home / "birds"), "validation": None, "views": "none"},
        "student": network,
        "train": {"epochs": 1, "batch": 16},
    }
    mentee.train(recipe, out=home / "runs" / "teacher", quiet=True)
    weights = str(home / "runs" / "teacher" / "student.safetensors")
    recipe |= {"method": "cktf+kd", "teacher": {**network, "weights": weights}}
    run = mentee.train(recipe, out=home / "runs" / "kd", quiet=True)
    for format in ("onnx", "safetensors"):
        mentee.export(run.path, format=format)
    return run.path
