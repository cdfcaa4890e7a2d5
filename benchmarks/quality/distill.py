r"""What `mentee distill` finds on four tasks, and what it is worth against scratch and KD.

`cifar10`: 5,000 labeled images, ResNet-20 as teacher. `philharmonia`: 230 labeled notes of 12
instruments, the other training notes unlabeled, embeddings of aisfx and PESTO. `sentiment`: 500
labeled texts, the rest unlabeled, embeddings of MiniLM. `photographs`: CIFAR-10 images of six
classes as a folder of JPEG files, uneven, some damaged, some of the test part nearly the same as
one of training, EfficientNet-lite0 as teacher. Students have at most 100,000 parameters; those of
photographs any number of them, and they take at most 5 ms.

An outer seed begins everything anew: the search, its runs, the comparison's seeds. `--default`
trains methods with the default student, in one run each, for the minutes of a whole search on one
core, whose record they read. Finished parts are kept in `runs/`.

    python benchmarks/quality/distill.py cifar10 --minutes 30 --seeds 0 1
    python benchmarks/quality/distill.py cifar10 --minutes 30 --default cktf+kd kd
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mentee import files

HERE = Path(__file__).parent
DATA, MODELS = (Path(os.environ.get(name, ".")) for name in ("MENTEE_DATA", "MENTEE_MODELS"))
RUNS = Path("runs/distill-benchmark")
EMBEDDERS: dict[str, dict[str, dict[str, Any]]] = {
    "philharmonia": {"aisfx": {}, "pesto": {"layer": "features", "pooling": "mean+std"}},
    "sentiment": {"minilm": {}},
}
MOST = 100_000
ADAMW = {"optimizer": "adamw", "lr": 2e-3, "weight_decay": 1e-2}
ONE_CYCLE = {"schedule": "one-cycle", "batch": 64}
PHOTOGRAPHS = {"airplane": 400, "bird": 300, "cat": 250, "dog": 150, "ship": 100, "truck": 50}
TESTED, DAMAGED, COPIED, SIDE = 50, 8, 12, 96
"""Of each class in the test part; training files cut short; test images copied from training."""


def recipe_of(task: str, seed: int) -> dict[str, Any]:
    """The recipe of a task's search."""
    if task == "cifar10":
        weights = str(MODELS / "resnet20-cifar10.safetensors")
        return {
            "data": {
                "source": "cifar10",
                "validation": 0.05,
                "limit": 5000,
                "views": "crop-flip",
            },
            "student": {"network": "resnet8-cifar", "input": "cifar10"},
            "teacher": {"network": "resnet20-cifar", "input": "cifar10", "weights": weights},
            "train": {**ONE_CYCLE, "lr": 0.05, "weight_decay": 5e-4, "seed": seed},
        }
    if task == "photographs":
        return {
            "data": {
                "source": str(photographs()),
                "validation": 0.15,
                "views": "crop-flip",
                "unreadable": "skip",
            },
            "student": "resnet10-64",
            "teacher": {"network": "package:efficientnet-lite0", "size": 128},
            "train": {**ONE_CYCLE, "lr": 0.05, "weight_decay": 5e-4, "seed": seed},
        }
    audio = task == "philharmonia"
    domains = ("dynamics",) if audio else ("tweets", "amazon", "nyt")
    records = {name: str(RUNS / "records" / name) for name in EMBEDDERS[task]}
    return {
        "data": {
            "source": str(DATA / task),
            "validation": "validation",
            "limit": 230 if audio else 500,
            "unlabeled": {"share": 0.75},
            "out_of_domain": {name: {"split": f"test_{name}"} for name in domains},
            **({"seconds": 1.0, "views": "none"} if audio else {"views": "drop"}),
        },
        "student": "small-fcn" if audio else "hashed-bag-small",
        "teacher": {"record": next(iter(records.values())), "clean": True}
        if len(records) == 1
        else {"teachers": {n: {"record": path, "clean": True} for n, path in records.items()}},
        "train": {**ONE_CYCLE, **ADAMW, "seed": seed},
    }


def photographs() -> Path:
    """The folder of photographs, always the same one, written where it is not there."""
    folder = RUNS / "photographs"
    if folder.is_dir():
        return folder
    import pyarrow.parquet as parquet

    made, random = folder.with_name("photographs-unfinished"), np.random.default_rng(0)
    shutil.rmtree(made, ignore_errors=True)
    train: list[Path] = []
    for split in ("train", "test"):
        table = parquet.read_table(DATA / "cifar10" / f"{split}.parquet")
        for number, (name, image) in enumerate(of_classes(table, split)):
            path = made / split / name / f"{number:05}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)
            train += [path] if split == "train" else []
    chosen = random.choice(len(train), DAMAGED + COPIED, replace=False)
    for row in chosen[:DAMAGED]:
        train[row].write_bytes(train[row].read_bytes()[:200])
    for row in chosen[DAMAGED:]:
        copy = made / "test" / train[row].parent.name / f"copy-{train[row].name}"
        image = Image.open(train[row]).crop((1, 1, SIDE - 1, SIDE - 1))
        image.resize((SIDE, SIDE)).save(copy, quality=60)
    made.rename(folder)
    return folder


def of_classes(table: Any, split: str) -> Iterator[tuple[str, Image.Image]]:
    """So many images of each class of photographs, with their class."""
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    names, left = features["label"]["names"], dict(PHOTOGRAPHS)
    if split == "test":
        left = dict.fromkeys(left, TESTED)
    for row in table.to_pylist():
        name = names[row["label"]]
        if left.get(name, 0):
            left[name] -= 1
            yield name, Image.open(io.BytesIO(row["image"]["bytes"]))


def search(task: str, seed: int, minutes: float, processes: int | None) -> dict[str, Any]:
    """One search, or what a finished one has found."""
    import mentee

    out = RUNS / f"{task}-{minutes:g}-seed{seed}"
    for name, options in EMBEDDERS.get(task, {}).items():
        folder = RUNS / "records" / name
        if not (folder / "train").is_dir():
            source = recipe_of(task, seed)["data"]
            mentee.record(source["source"], name, folder, splits=["train"], options=options)
    found = mentee.distill(
        recipe_of(task, seed),
        max_params=None if task == "photographs" else MOST,
        max_latency=5.0 if task == "photographs" else None,
        minutes=minutes,
        given=False,
        processes=processes,
        out=out,
    )
    content = found.content
    keys = ("student", "method", "validation", "test", "to_scratch", "verdict", "out_of_domain")
    return {
        "minutes": minutes,
        "spent_minutes": round(content["spent_seconds"] / 60, 1),
        "lengths": content["lengths"],
        "look": content["look"],
        "winner": content["winner"],
        "tried": len(content["search"]),
        "search": content["search"],
        "final": [{key: row.get(key) for key in keys} for row in content["final"]["rows"]],
        "export": content["export"],
        "environment": environment(next((out / "final").glob("*/environment.json"))),
    }


def default(task: str, seed: int, minutes: float, method: str) -> dict[str, Any]:
    """A default method with the default student, as long as a whole search, with its record."""
    import mentee

    record = RUNS / f"{task}-{minutes:g}-seed{seed}" / "record"
    recipe = recipe_of(task, seed) | {"method": method, "teacher": {"record": str(record)}}

    def run(epochs: int) -> dict[str, Any]:
        train = {**recipe["train"], "epochs": epochs}
        out = RUNS / f"{task}-{method}-{epochs}-seed{seed}"
        return mentee.train({**recipe, "train": train}, out=out).summary

    epochs = max(1, round(60 * minutes / run(3)["seconds_per_epoch"]))
    summary = run(epochs)
    return {
        "epochs": epochs,
        "minutes": round(summary["seconds"] / 60, 1),
        "parameters": summary["parameters"]["student"],
        "test": summary["test"]["accuracy"],
    }


def lines(tasks: dict[str, Any]) -> list[str]:
    """The rows of docs/results/distill.md: of the searches, and of what they found."""
    searches, scores = [], []
    for name, seed, found in ((n, s, f) for n, each in tasks.items() for s, f in each.items()):
        if "lengths" not in found:
            for method, run in found.items():
                cells = [f"{name}, {seed}", "default", f"{method}, {run['epochs']} epochs", "test"]
                scores.append(f"| {' | '.join(cells)} | {100 * run['test']:.1f} |  |  |")
            continue
        lengths, winner = found["lengths"], found["winner"]
        last = [lengths["final"], *([lengths["long"]] if lengths.get("long") else [])]
        epochs = " → ".join(map(str, [*lengths["rungs"], *last]))
        minutes = f"{found['spent_minutes']:g} of {found['minutes']:g}"
        searches.append(f"| {name}, {seed} | {minutes} | {found['tried']} | {epochs} |")
        for row in found["final"]:
            parts = {"test": (row["test"]["mean"], row["to_scratch"], row["verdict"])}
            for domain, each in row["out_of_domain"].items():
                parts[domain] = (each["score"], each["to_scratch"], each["verdict"])
            for part, (score, gain, verdict) in parts.items():
                cells = [f"{name}, {seed}", row["student"], row["method"], part]
                scores.append(f"| {' | '.join(cells)} | {100 * score:.1f} | {gained(gain)} | ")
                scores[-1] += f"{verdict or ''} |"
        if winner["run"].startswith("long/"):
            method = f"{winner['label']}, {lengths['long']} epochs"
            cells = [f"{name}, {seed}", winner["student"], method, "test"]
            scores.append(f"| {' | '.join(cells)} | {100 * winner['exported']['test']:.1f} |  |  |")
    return [*searches, "", *scores]


def gained(gain: dict[str, Any] | None) -> str:
    """Points above scratch, with the interval that is judged."""
    if gain is None:
        return ""
    low, high = gain["judged"]
    return f"{100 * gain['difference']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def environment(path: Path) -> dict[str, Any]:
    """What a run says of its machine."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {key: content[key] for key in ("commit", "cores", "threads")}


def main() -> None:
    """Search, compare, write distill.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=("cifar10", "photographs", *EMBEDDERS))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="outer seeds")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--default", nargs="+", default=[], help="these methods instead, as long")
    arguments = parser.parse_args()
    path, task, minutes = HERE / "distill.json", arguments.task, arguments.minutes
    for seed in arguments.seeds:
        outer = 100 * seed  # the comparison has seeds beside the first one
        if arguments.default:
            found = {m: default(task, outer, minutes, m) for m in arguments.default}
        else:
            found = search(task, outer, minutes, arguments.processes)
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tasks": {}}
        searches = content["tasks"].setdefault(task, {})
        key = f"{seed}, default, {minutes:g} min" if arguments.default else str(seed)
        searches[key] = found
        content["versions"] = {name: version(name) for name in ("torch", "timm", "onnxruntime")}
        content["python"] = platform.python_version()
        files.write_json(path, content)
    print(*lines(content["tasks"]), sep="\n")


if __name__ == "__main__":
    main()
