"""Exported students against the same students in Mentee, on every test example.

Each student is trained for two epochs, with AdamW five, on synthetic examples of ten classes (a
pattern, a pitch or a word for each, in noise), so that its outputs are no constants; accuracy is
not the point. It is exported as ONNX and pt2. Both files are run on all test examples in a process
in which `mentee` cannot be imported, and compared with the student's own outputs.

    python benchmarks/export/parity.py                     # all, into parity.json
    python benchmarks/export/parity.py vgg8 char-cnn       # these alone; the others stay
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import mentee
from mentee.build.datasets import open_single_split
from mentee.evaluation.student_reader import finished_recipe, open_student
from mentee.exporting.student import open_run

CLASSES, TRAIN = 10, 320
STUDENTS: dict[str, dict[str, Any]] = {
    "resnet20-cifar": {},
    "wrn-16-2": {},
    "vgg8": {},
    "mobilenetv2-cifar": {},
    "shufflenetv1-cifar": {"adamw": 0.003},
    "shufflenetv2-cifar": {},
    "timm:mobilenetv3_small_050": {"size": 64, "adamw": 0.001},
    "timm:vit_tiny_patch16_224": {"size": 64, "options": {"img_size": 64}, "test": 100},
    "small-fcn": {"kind": "audio"},
    "cp-resnet": {"kind": "audio", "train": 64, "test": 50},
    "char-cnn": {"kind": "text", "adamw": 0.003},
    "hashed-bag": {"kind": "text", "adamw": 0.003},
}
ALONE = """
import sys; sys.modules["mentee"] = None
import json, numpy, onnxruntime, torch
x = numpy.load("x.npy")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
module = torch.export.load("model.pt2").module()
parts = numpy.array_split(x, -(-len(x) // 32))
with torch.no_grad():
    pt2 = [module(torch.from_numpy(part)).numpy() for part in parts]
onnx = [session.run(None, {"input": part})[0] for part in parts]
numpy.savez("y.npz", onnx=numpy.concatenate(onnx), pt2=numpy.concatenate(pt2))
"""


def examples(kind: str, n: int, size: int, seed: int) -> dict[str, Any]:
    """Examples of ten classes as arrays."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % CLASSES
    if kind == "image":
        patterns = np.random.default_rng(0).integers(60, 196, (CLASSES, size, size, 3))
        noise = rng.normal(0, 40, (n, size, size, 3))
        return {"image": (patterns[labels] + noise).clip(0, 255).astype(np.uint8), "label": labels}
    if kind == "audio":
        pitch = 110 * 1.5 ** labels[:, None]
        wave = 0.5 * np.sin(2 * np.pi * pitch * np.arange(16_000) / 16_000)
        wave = (wave + rng.normal(0, 0.1, wave.shape)).clip(-1, 1).astype(np.float32)
        return {"audio": wave, "sample_rate": 16_000, "label": labels}
    words = [f"word{i}" for i in range(200)]
    texts = [
        f"{' '.join(rng.choice(words, rng.integers(3, 30)))} topic{label}!" for label in labels
    ]
    return {"text": texts, "label": labels}


def measure(name: str, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One student: trained, exported twice, run without Mentee, compared."""
    kind, size = settings.get("kind", "image"), settings.get("size", 32)
    data = {
        "train": examples(kind, settings.get("train", TRAIN), size, 1),
        "test": examples(kind, settings.get("test", 500), size, 2),
    }
    train: dict[str, Any] = {"epochs": 2, "batch": 16}
    if lr := settings.get("adamw"):
        train |= {"optimizer": "adamw", "lr": lr, "epochs": 5}
    recipe = {
        "data": {"source": "synthetic", "views": "none", "validation": 0.2},
        "student": {"network": name, "options": settings.get("options", {})},
        "train": train,
    }
    run = mentee.train(recipe, data=data, out=folder / "run", quiet=True).path
    result: dict[str, Any] = {"kind": kind, "epochs": train["epochs"]}
    for format in ("onnx", "pt2"):
        began = time.perf_counter()
        exported = mentee.export(run, data=data, format=format, out=folder)
        result[format] = {
            "seconds": time.perf_counter() - began,
            "bytes": exported.path.stat().st_size,
        }
    resolved = finished_recipe(run)
    splits = open_single_split(resolved, "test", data)
    student = open_run(run, splits)
    batches = list(splits.clean(splits.train))
    np.save(folder / "x.npy", np.concatenate([student.inputs(b.inputs).numpy() for b in batches]))
    reader = open_student(run, resolved, splits, None)
    own = reader.features(splits.train, "logits")["logits"].numpy()
    subprocess.run([sys.executable, "-c", ALONE], cwd=folder, check=True)
    outputs = np.load(folder / "y.npz")
    result |= {
        "parameters": exported.signature.about["parameters"],
        "input": [exported.signature.dtype, *exported.signature.shape],
        "examples": len(own),
        "largest_logit": float(np.abs(own).max()),
        "classes_predicted": len(set(own.argmax(1).tolist())),
    }
    for format in ("onnx", "pt2"):
        result[format] |= {
            "difference": float(np.abs(outputs[format] - own).max()),
            "same_class": int((outputs[format].argmax(1) == own.argmax(1)).sum()),
        }
    return result


def lines(content: dict[str, Any]) -> list[str]:
    """The rows of the table in docs/export.md."""
    rows = []
    for name, each in content["students"].items():
        cells = [f"`{name}`", f"{each['parameters']:,}", " × ".join(map(str, each["input"][1:]))]
        cells += [f"{each['examples']:,}", f"{each['largest_logit']:.1f}"]
        for format in ("onnx", "pt2"):
            of = each[format]
            same = "all" if of["same_class"] == each["examples"] else f"{of['same_class']:,}"
            cells += [f"{of['difference']:.0e}" if of["difference"] else "0", same]
        cells.append(f"{each['onnx']['bytes'] / 1e6:.2f}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Measure, write parity.json, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("students", nargs="*", help=f"of {', '.join(STUDENTS)}")
    names = parser.parse_args().students or list(STUDENTS)
    path = Path(__file__).with_suffix(".json")
    old = json.loads(path.read_text(encoding="utf-8"))["students"] if path.exists() else {}
    packages = ("torch", "onnx", "onnxscript", "onnxruntime", "timm", "numpy")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            old[name] = measure(name, STUDENTS[name], Path(folder))
        content = {
            "versions": {each: version(each) for each in packages},
            "machine": platform.machine(),
            "students": {each: old[each] for each in STUDENTS if each in old},
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(old[name]), flush=True)
    print(*lines(content), sep="\n")


if __name__ == "__main__":
    main()
