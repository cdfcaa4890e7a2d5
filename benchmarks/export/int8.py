"""int8 against float: size, time, score, and whether `mentee export --int8` keeps it.

ResNet-20 has the weights of `MENTEE_MODELS`, which have seen every training image of CIFAR-10; it
is judged on images of the test part, which take the place of validation. The other image students
are trained here on 5,000 images of CIFAR-10 and judged on the same images; small-fcn is trained on
notes of 12 instruments and judged on the validation part.

    python benchmarks/export/int8.py                             # all, into int8.json
    python benchmarks/export/int8.py resnet20-cifar small-fcn    # these alone; the others stay
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import torch
from PIL import Image

import mentee
from mentee.evaluation.student_reader import finished_recipe
from mentee.exporting.benchmark import processor
from mentee.exporting.int8 import MAX_DROP, quantize
from mentee.exporting.student import held_out, open_run

DATA = Path(os.environ["MENTEE_DATA"])
STUDENTS: dict[str, dict[str, Any]] = {
    "resnet8-cifar": {"epochs": 8},
    "resnet20-cifar": {"images": 256, "epochs": 1, "weights": "resnet20-cifar10.safetensors"},
    "mobilenetv2-cifar": {"epochs": 3},
    "timm:mobilenetv3_small_050": {"epochs": 10, "train": {"optimizer": "adamw", "lr": 0.003}},
    "timm:vit_tiny_patch16_224": {
        "epochs": 3,
        "train": {"optimizer": "adamw", "lr": 0.001},
        "options": {"img_size": 32, "patch_size": 4, "depth": 4},
    },
    "small-fcn": {"epochs": 10, "kind": "audio"},
}
MEASURED = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]}
"""The normalization that ResNet-20 was trained with."""
JUDGED = 1000


def cifar(split: str, count: int) -> dict[str, Any]:
    """The first images of a part of CIFAR-10."""
    path = DATA / "cifar10" / f"{split}.parquet"
    rows = parquet.read_table(path).slice(0, count).to_pylist()
    images = [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    return {"image": np.stack(images), "label": np.array([row["label"] for row in rows])}


def measure(name: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One student: trained, exported with int8, compared."""
    data, source = None, {}
    if settings.get("kind") == "audio":
        source = {"source": str(DATA / "philharmonia"), "seconds": 1.0, "sample_rate": 16000}
    else:
        images = cifar("train", settings.get("images", 5000))
        data = {"train": images, "validation": cifar("test", JUDGED)}
        source = {"source": "passed", "views": "none", "validation": "validation"}
    student: dict[str, Any] = {"network": name, "options": settings.get("options", {})}
    student |= {"input": MEASURED} if "weights" in settings else {}
    recipe = {
        "data": {**source, "test": None},
        "student": student,
        "train": {"epochs": settings["epochs"], "batch": 32, **settings.get("train", {})},
    }
    run = folder / "run"
    if not (run / "summary.json").is_file():
        shutil.rmtree(run, ignore_errors=True)
        mentee.train(recipe, data=data, out=run, quiet=True)
    if "weights" in settings:
        weights = Path(os.environ["MENTEE_MODELS"]) / settings["weights"]
        shutil.copy(weights, run / "student.safetensors")
    if not (run / "export" / "model.onnx").is_file():
        mentee.export(run, data=data)
    splits, _, part = held_out(finished_recipe(run), data, 1)
    found = quantize(open_run(run, splits), data, run / "export", part, MAX_DROP)
    print(name, found, sep="\n", flush=True)
    parameters = sum(each.numel() for each in open_run(run).network.parameters())
    return {"parameters": parameters, "threads": torch.get_num_threads(), **asdict(found)}


def lines(content: dict[str, Any]) -> list[str]:
    """The rows of the table in docs/export.md."""
    rows = []
    for name, each in content["students"].items():
        cells = [f"`{name}`", f"{each['parameters']:,}"]
        cells.append(" → ".join(f"{size / 1e6:.2f}" for size in each["bytes"]))
        times = [each["milliseconds"][size] for size in ("1", "32")]
        cells += [" → ".join(f"{time:.2f}" for time in both) for both in times]
        cells.append(" → ".join(f"{100 * score:.1f}" for score in each["scores"]))
        drop, low, high = each["drop"]
        cells.append(f"{drop:.1f} ({low:.1f} to {high:.1f})")
        cells.append(f"{len(each['float_layers'])} of {each['layers']}")
        cells.append("int8" if each["kept"] else "float")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Measure, write int8.json, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("students", nargs="*", help=f"of {', '.join(STUDENTS)}")
    parser.add_argument(
        "--work", type=Path, help="keep what is trained and exported in this folder"
    )
    arguments = parser.parse_args()
    path = Path(__file__).with_suffix(".json")
    old = json.loads(path.read_text(encoding="utf-8"))["students"] if path.exists() else {}
    for name in arguments.students or STUDENTS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.work or Path(temporary)) / name.replace(":", "-")
            old[name] = measure(name, STUDENTS[name], folder)
        content = {
            "versions": {each: version(each) for each in ("torch", "onnx", "onnxruntime", "timm")},
            "processor": processor(),
            "students": {each: old[each] for each in STUDENTS if each in old},
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(*lines(json.loads(path.read_text(encoding="utf-8"))), sep="\n")


if __name__ == "__main__":
    main()
