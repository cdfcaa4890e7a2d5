"""Large loads: time and peak memory of each, fine or refused with a sentence.

    python benchmarks/reliability/load.py                  # all, a process each; writes load.json
    python benchmarks/reliability/load.py text clip        # some of them; keeps the other rows
    python benchmarks/reliability/load.py --only ids       # one, in this process

Memory is the most that the process had beyond its imports, in MB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_suffix(".json")
LIMIT = 900.0
"""Seconds of one load."""
MILLION, CLASSES = 1_000_000, 100_000
STUDENT = {"network": "resnet8-cifar", "options": {"widths": [4, 4, 4]}}


def recipe(**parts: Any) -> dict[str, Any]:
    """A recipe for passed data, one epoch."""
    data = {"source": "passed", "views": "none", "test": None, "validation": None}
    train = {"epochs": 1, "batch": 50_000, "channels_last": False}
    made: dict[str, Any] = {"data": data, "student": STUDENT, "train": train}
    for key, value in parts.items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    return made


def trained(folder: Path, data: Any, content: dict[str, Any]) -> str:
    """What a run of it says."""
    from mentee import train

    run = train(content, data=data, out=folder / "run", quiet=True)
    return f"{run.summary['steps']:,} steps of {content['train']['batch']:,} examples"


def examples(folder: Path) -> str:
    """A million images of 4×4 pixels and ten classes: opened, split, trained for an epoch."""
    pixels = np.random.default_rng(0).integers(0, 256, (MILLION, 4, 4, 3), dtype=np.uint8)
    data = {"image": pixels, "label": np.arange(MILLION) % 10}
    return trained(folder, data, recipe(data={"validation": 0.01}))


def rows(folder: Path) -> str:
    """A CSV of a million short texts: opened, and split by hashes."""
    from mentee.data import open_examples, split

    with (folder / "train.csv").open("w") as out:
        out.write("text,label\n")
        out.writelines(f"text number {i},{i % 7}\n" for i in range(MILLION))
    made = open_examples(str(folder / "train.csv"))
    train, validation = split(made, fraction=0.1, seed=0)
    return f"{len(train):,} and {len(validation):,} examples"


def files(folder: Path) -> str:
    """A folder of 100,000 small image files, listed and read once."""
    from PIL import Image

    from mentee.data import open_examples

    for i in range(100_000):
        place = folder / "images/train" / str(i % 100)
        if i < 100:
            place.mkdir(parents=True)
        if i == 0:
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "one.png")
            content = (folder / "one.png").read_bytes()
        (place / f"{i}.png").write_bytes(content)
    made = open_examples(str(folder / "images"))
    made.read(np.arange(len(made)))
    return f"{len(made):,} images of {len(made.classes or ())} classes"


def classes(folder: Path) -> str:
    """100,000 classes: an epoch of the student's wide classifier, and the recipe read again."""
    from mentee.recipe import read

    pixels = np.random.default_rng(0).integers(0, 256, (2 * CLASSES, 4, 4, 3), dtype=np.uint8)
    names = [f"class {i}" for i in range(CLASSES)]
    data = {"image": pixels, "label": [names[i % CLASSES] for i in range(2 * CLASSES)]}
    changes = {"train": {"batch": 256, "epochs": 1}, "data": {"limit": 120_000}}
    trained(folder, data, recipe(**changes))
    return f"{len(read(folder / 'run/recipe.yaml').data.classes or ()):,} classes"


def top_k(folder: Path) -> str:
    """A kd record of a network of 10,000 classes, the 32 largest logits of 20,000 images."""
    from mentee import models, record_network

    pixels = np.random.default_rng(0).integers(0, 256, (20_000, 8, 8, 3), dtype=np.uint8)
    data = {"image": pixels, "label": np.arange(20_000) % 10_000}
    teacher = models.build("resnet8-cifar", classes=10_000, seed=0, widths=(4, 4, 4))
    content = recipe(method="kd", teacher={"network": "passed", "classes": 10_000})
    content["train"]["batch"] = 64
    record_network(content, folder / "record", views=0, top_k=32, data=data, teacher=teacher)
    size = sum(path.stat().st_size for path in (folder / "record").rglob("*.npy"))
    return f"{size / 1e6:.0f} MB"


def plan(folder: Path) -> str:
    """A plan of 5,000 runs, written, read again and compared."""
    from mentee.experiments.jobs import plan_jobs, save_plan
    from mentee.recipe import read

    content = read({"data": "embedded:digits", "student": STUDENT})
    jobs = plan_jobs(content, [], ["none", "kd", "crd", "at", "rkd"], 1000, folder / "sweep")
    save_plan(folder / "sweep", jobs, {"live": False})
    for job in jobs[:500]:
        job.path.mkdir(parents=True)
        (job.path / "recipe.yaml").write_text("x")
    save_plan(folder / "sweep", jobs, {"live": False})
    return f"{len(jobs):,} runs"


def text(folder: Path) -> str:
    """A text of 10 MB beside short ones: read, and as an input of 256 bytes and of all."""
    from mentee.data import build_views, open_examples

    data = {"text": ["word " * 2_000_000, *(f"text {i}" for i in range(63))]}
    made = open_examples({**data, "label": np.arange(64) % 2})
    contents, keys = made.read(np.arange(64)), np.asarray(made.keys)
    import torch

    for views, length in (("none", 256), ("drop", 256), ("none", None)):
        batch = build_views(views, kind="text", seed=0, max_bytes=length)
        shape = batch(contents, torch.from_numpy(keys), 0).shape
    return f"{shape[0]} × {shape[1]:,} bytes"


def clip(folder: Path) -> str:
    """A clip of two hours at 16 kHz beside short ones: decoded, and cut to ten seconds."""
    import wave

    from mentee.data import open_examples

    for name, seconds in (("long", 7200), ("short", 2), ("other", 2)):
        place = folder / "clips/train" / name
        place.mkdir(parents=True)
        with wave.open(str(place / "a.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            minute = np.random.default_rng(0).integers(-9000, 9000, 16_000, dtype=np.int16)
            for _ in range(seconds):
                out.writeframes(minute.tobytes())
    made = open_examples(str(folder / "clips"))
    lengths = [len(each) for each in made.read(np.arange(len(made)))]
    return f"{max(lengths):,} samples"


LOADS: dict[str, Callable[[Path], str]] = {
    each.__name__: each for each in (examples, rows, files, classes, top_k, plan, text, clip)
}


def machine() -> dict[str, Any]:
    """With what and on how large a machine."""
    from mentee.runs.environment import environment

    about = environment(memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    about["load average"] = os.getloadavg()[0]
    return {name: about[name] for name in about if name not in ("command", "cuda")}


def measure(name: str) -> dict[str, Any]:
    """One load in this process."""
    import mentee.api  # noqa: F401
    from mentee.errors import MenteeError

    about = machine()
    with tempfile.TemporaryDirectory() as place:
        os.environ["MENTEE_CACHE"] = place
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        try:
            result, outcome = LOADS[name](Path(place)), "fine"
        except MenteeError as error:
            result, outcome = str(error)[:300], "refused"
        seconds = time.monotonic() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    what = (LOADS[name].__doc__ or "").strip()
    return {"load": what, "outcome": outcome, "result": result, "seconds": round(seconds, 1)} | {
        "megabytes": round(1024 * (most - before) / 1e6),
        "environment": about,
    }


def table(results: dict[str, Any]) -> str:
    """The results as a table of `docs/results/reliability.md`."""
    lines = ["| load | outcome | seconds | memory, MB | commit |", "|---|---|---|---|---|"]
    for name in LOADS:
        each = results[name]
        outcome = f"{each['outcome']}: {each['result']}"
        cells = [each["load"].rstrip("."), outcome, each["seconds"], f"{each['megabytes']:,}"]
        lines.append(f"| {' | '.join(map(str, cells))} | `{each['environment']['commit']}` |")
    return "\n".join(lines)


def main() -> int:
    """All loads, a process each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=LOADS)
    parser.add_argument("names", nargs="*", help="of loads; none: all")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only)))
        return 0
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    bad = 0
    for name in options.names or LOADS:
        command = [sys.executable, __file__, "--only", name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT, check=True
            )
            results[name] = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.SubprocessError, ValueError) as error:
            bad += 1
            stderr = getattr(error, "stderr", None) or ""
            results[name] = {"outcome": "failed", "result": str(stderr)[-300:] or str(error)[:300]}
        print(f"{name:10} {results[name]}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if not bad:
        print(table(results))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
