"""Proof that numbers did not move: small runs by the code of a commit and by the working tree.

Trains a list of small fixed-seed runs twice, side by side: with the code of a reference commit, and
with the code beside this file. Each side is a fresh process on one CPU thread. Of each run the
SHA-256 of the tensors in `student.safetensors` is compared: names, shapes, types, raw bytes.

    python benchmarks/identity.py                       # every case; exit status 1 if one differs
    python benchmarks/identity.py --demo --case "online kd"
    python benchmarks/identity.py --save before.json    # write the hashes of the reference too
    python benchmarks/identity.py --expect before.json  # compare with these: on the same machine

Needs a git checkout and the packages of `mentee[audio]`. Recipes stand here with the new names of
keys; code that does not have these yet gets them in its own, by `KEYS` and `COMPONENTS`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import traceback
import wave
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "5b65534"  # the last commit before the rename
DEMO = "demo table"
DEMO_ROWS = ("teac", "none", "kd  ")  # cktf is another method since it needs no memory
FAILED = "FAILED: "

KEYS = {
    "data.sample_rate": "rate",
    "data.max_bytes": "length",
    "data.unlabeled": "unlabelled",
    "train.lr": "rate",
    "train.weight_decay": "decay",
    "train.weight_decay_all": "decay_all",
    "train.optimizer": "optimiser",
    "train.ema": "average",
    "train.label_smoothing": "smoothing",
    "train.gradient_accumulation": "accumulate",
    "train.max_grad_norm": "clip",
    "train.num_workers": "workers",
    "monitor": "watch",
    "teacher.ema": "average",
    "teacher.dropout": "drop",
    "method.params": "numbers",
    "method.terms.*.params": "numbers",
    "method.terms.*.layers": "places",
    "method.terms.*.loss": "agree",
    "method.terms.*.representation": "represent",
    "method.terms.*.exclusive_warmup": "first",
    "method.terms.*.ramp": "rise",
    "method.terms.*.stage_decay": "fade",
}
"""New key, by its dotted path, to the old one; `*` stands for anything between, at any depth.

Where the code under test has the new key, in whatever part, it gets that: so keys may change one by
one, and those of one name together.
"""

COMPONENTS = {
    "semckd": "associate",
    "paraphraser": "factors",
    "fsp": "flow",
    "feature_maps": "maps",
    "margin_relu": "margin",
    "regressor": "regress",
    "reviewkd": "review",
    "pooled": "vectors",
}
"""New name of a loss, a representation or a memory to the old one, for code without `Component`."""

METHOD_NAMES = {"crd-bank": "crd", "cktf-bank": "cktf", "ec-published": "ec"}
"""New name of a method to the old one, for code that has not the new one."""

NAMED = ("loss", "representation", "memory", "of", "name")
"""Keys of a term behind which a component is named."""

USUAL = """
data: {source: "embedded:digits", views: crop, pad: 1, limit: 300}
student: {network: resnet8-cifar, classes: 10, options: {widths: [8, 16, 32], stem: 8}}
train: {epochs: 2, batch: 32, lr: 0.05, seed: 3}
select: {keep: last}
"""
CASES = """
the teacher: {student: resnet8-cifar, data: {limit: 600}}
online kd: {teacher: $network, method: kd}
online cktf-bank+kd:
  teacher: $network
  method: &bank {name: cktf-bank+kd, params: {memory.negatives: 128}}
online fitnet+crd-bank, many keys:
  teacher: $network
  method: fitnet+crd-bank
  train: {epochs: 3, optimizer: adamw, lr: 0.002, weight_decay: 0.01, weight_decay_all: false,
    schedule: cosine, warmup: 1, gradient_accumulation: 2, max_grad_norm: 1.0, ema: 0.9,
    label_smoothing: 0.1, num_workers: 1}
  select: {keep: best}
online at+kd, mixed:
  teacher: $network
  method: {name: at+kd, weights: {mse: 0.5}, balance: unit}
  train: {mixup: 0.3, schedule: steps, milestones: [1], factor: 0.2, nesterov: true}
online, many rows:
  teacher: $network
  method: "lskd+dkd+dist+ttm+wttm+sp+rkd+pkt+cc+cka+at+nst+vid+ickd+ofd+ft+ab+fsp+reviewkd+semckd"
  train: {lr: 1.0e-4, max_grad_norm: 1.0}
recorded kd: {teacher: $recorded, method: kd, data: {cycle: 2}}
recorded cktf-bank+kd: {teacher: $recorded, method: *bank, data: {cycle: 2}}
embeddings ec: {teacher: $vectors, method: &ec {name: ec-published, params: {compress.width: 16}}}
embeddings east: {teacher: $vectors, method: east}
embeddings similarity: {teacher: $vectors, method: similarity}
several teachers:
  teacher:
    teachers: {net: $network, vec: $vectors}
    methods: {net: kd, vec: {name: to-teacher, params: {to_teacher.head: mlp}}}
    weights: {net: 2.0}
    dropout: 0.3
the student's average: {teacher: {ema: 0.9}, method: kd}
terms of its own:
  teacher: $network
  method:
    name: own
    terms:
      - layers: stages
        representation: {name: project, params: {width: 16}}
        loss: {name: contrast, params: {temperature: 0.2}}
        memory: {name: queue, params: {negatives: 64}}
        weight: 0.5
        stage_decay: 0.5
      - layers: stages.last
        representation: {name: project, params: {width: 16}, of: {name: attention, params: {}}}
        loss: cosine
        weight: 0.5
      - {layers: logits, loss: kl, weight: 1.0, ramp: 0.3}
      - {layers: [stages.1, stages.1], representation: regressor, loss: mse, weight: 2.0,
        exclusive_warmup: 0.2}
    params: {kl.temperature: 3.0}
    weights: {cosine: 0.7}
label-free:
  data: {label: false}
  teacher: $network
  method: *bank
  monitor: {limit: 100, knn: 5, temperature: 0.1, probe: true}
semi-supervised:
  data: {limit: 60, unlabeled: {share: 0.5, limit: 200}}
  teacher: $network
  method: crd-bank+kd
a comparison, one process: {teacher: $network, method: kd}
audio ec:
  data: {source: $sounds, seconds: 0.4, sample_rate: 8000, views: shift}
  student: small-fcn
  teacher: $heard
  method: *ec
text ec:
  data: {source: $texts, max_bytes: 32, views: drop}
  student: hashed-bag-small
  teacher: $read
  method: *ec
  train: {optimizer: sgd}  # texts are trained by AdamW since decision 28
"""
COMPARED = "a comparison, one process"


@cache
def known_keys() -> frozenset[str]:
    """All keys that recipes of the code under test have anywhere."""
    schema = api("Recipe").model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    return frozenset(key for part in parts for key in part.get("properties", ()))


@cache
def old_components() -> dict[str, str]:
    """What components are called in the code under test, where it is otherwise."""
    import mentee

    return {} if hasattr(mentee, "Component") else COMPONENTS


def translated(said: Any, path: str = "") -> Any:
    """A recipe, or what stands in it at a dotted path, as the code under test reads it."""
    path = re.sub(r"^teacher\.methods\.[\w-]+", "method", path)
    if isinstance(said, Mapping):
        paths = {key: f"{path}.{key}".lstrip(".") for key in said}
        return {
            key_of(key, paths[key]): translated(value, paths[key]) for key, value in said.items()
        }
    if isinstance(said, list):
        return [translated(each, f"{path}.{i}") for i, each in enumerate(said)]
    if path in ("method", "method.name"):
        return method_name(said)
    named = path.startswith("method.terms.") and path.rpartition(".")[2] in NAMED
    return old_components().get(said, said) if named else said


@cache
def method_name(name: str) -> str:
    """A method, or a sum, as the code under test calls it."""
    from mentee.methods import METHODS

    parts = [part if part in METHODS else METHOD_NAMES.get(part, part) for part in name.split("+")]
    return "+".join(parts)


def key_of(key: str, path: str) -> str:
    """One key of a recipe; in `kl.temperature` and `kl/logits` the component is translated."""
    if path in (f"method.params.{key}", f"method.weights.{key}"):
        return re.sub(r"^\w+", lambda found: old_components().get(found[0], found[0]), key)
    found = (was for new, was in KEYS.items() if fnmatchcase(path, new))
    return key if key in known_keys() else next(found, key)


def api(name: str) -> Any:
    """A function of the package by its name, wherever it lives in the code under test."""
    for module in ("", ".api", ".recording", ".run", ".data", ".recipe"):
        with contextlib.suppress(ImportError, AttributeError):
            found = getattr(importlib.import_module(f"mentee{module}"), name)
            if callable(found):  # and no module of that name
                return found
    raise ImportError(f"this mentee has no {name}")


@dataclass
class Material:
    """What the cases learn from, made by the code under test when a case first asks for it.

    Attributes:
        folder: where it is written.
    """

    folder: Path

    def filled(self, said: Any) -> Any:
        """A recipe with what is made here in the place of `$NAME`."""
        if isinstance(said, Mapping):
            return {key: self.filled(value) for key, value in said.items()}
        return getattr(self, said[1:]) if isinstance(said, str) and said.startswith("$") else said

    def recipe(self, name: str) -> Any:
        """The recipe of a case as the code under test reads it."""
        return translated(self.filled(merged(name)))

    def train(self, name: str, out: str) -> Path:
        """Train by the recipe of a case; the run's folder."""
        return Path(api("train")(self.recipe(name), out=self.folder / out, quiet=True).path)

    @cached_property
    def network(self) -> dict[str, Any]:
        """A small network that was trained on digits."""
        weights = self.train("the teacher", "network") / "student.safetensors"
        return {"network": "resnet8-cifar", "classes": 10, "weights": str(weights)}

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """A record of that network: the clean examples and two views."""
        out = self.folder / "recorded"
        recipe = self.recipe("online cktf-bank+kd")
        api("record_network")(recipe, out, views=2, dtype="float16", say=silent)
        return {"record": str(out)}

    vectors = cached_property(lambda self: self.imported("vectors", "embedded:digits"))
    heard = cached_property(lambda self: self.imported("heard", self.sounds))
    read = cached_property(lambda self: self.imported("read", self.texts))

    def imported(self, name: str, source: str) -> dict[str, Any]:
        """A record that is imported from a file of vectors, drawn one for each example."""
        import numpy as np

        ids, file = api("open_examples")(source).ids, self.folder / f"{name}.npz"
        drawn = np.random.default_rng(5).normal(size=(len(ids), 24)).astype(np.float32)
        np.savez(file, ids=ids, embedding=drawn)
        api("import_vectors")(file, source, self.folder / name, say=silent)
        return {"record": str(self.folder / name), "clean": True}

    @cached_property
    def sounds(self) -> str:
        """A folder of noisy tones of two pitches, half a second each."""
        import numpy as np

        rng, time = np.random.default_rng(6), np.arange(4000) / 8000
        for split, count in (("train", 24), ("test", 8)):
            for label, pitch in (("low", 300), ("high", 1200)):
                folder = self.folder / "sounds" / split / label
                folder.mkdir(parents=True)
                for i in range(count):
                    clip = np.sin(2 * np.pi * pitch * time) + rng.normal(size=len(time))
                    with wave.open(str(folder / f"{i}.wav"), "wb") as file:
                        file.setparams((1, 2, 8000, 0, "NONE", ""))
                        file.writeframes((4000 * clip).astype("<i2").tobytes())
        return str(self.folder / "sounds")

    @cached_property
    def texts(self) -> str:
        """Tables of short texts of two kinds."""
        import numpy as np

        rng, folder = np.random.default_rng(7), self.folder / "texts"
        words = ("sun warm sea walk day", "rain cold gray wait day")
        folder.mkdir()
        for split, count in (("train", 80), ("test", 20)):
            rows = [
                f"{split}{i},{' '.join(rng.choice(words[i % 2].split(), 8))},{i % 2}"
                for i in range(count)
            ]
            (folder / f"{split}.csv").write_text("\n".join(["id,text,label", *rows]) + "\n")
        return str(folder)


def silent(line: str) -> None:
    """Say nothing of it."""


def merged(name: str) -> dict[str, Any]:
    """The recipe of a case with all that it does not say itself."""
    said, whole = yaml.safe_load(CASES)[name], yaml.safe_load(USUAL)
    if "source" in said.get("data", {}):
        del whole["data"]
    for part in ("data", "train"):
        said[part] = whole.get(part, {}) | said.get(part, {})
    return whole | said


def digest(folder: Path) -> str:
    """SHA-256 of the tensors of all students below a folder, by the names of their runs."""
    import torch
    from safetensors.torch import load_file

    found = hashlib.sha256()
    files = sorted(folder.rglob("student.safetensors"))
    if not files:
        raise FileNotFoundError(f"no student below {folder}")
    for file in files:
        for name, tensor in sorted(load_file(file).items()):
            if not tensor.isfinite().all():
                raise ValueError(f"{name} is not finite, so equal bytes would prove nothing")
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def outcome(name: str, made: Material) -> str:
    """The hash of one case; of the demo its table without seconds and folders."""
    if name == DEMO:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            importlib.import_module("mentee.demo").demo(seeds=2, out=made.folder / "demo")
        rows = [line for line in printed.getvalue().splitlines() if line[:4] in DEMO_ROWS]
        return "\n".join(re.sub(r" parameters +[\d.]+ s", "", row).rstrip() for row in rows)
    if name == COMPARED:
        out, how = made.folder / "compared", {"seeds": 1, "views": 2, "processes": 1, "say": silent}
        api("compare")(made.recipe(name), ["kd", method_name("crd-bank")], out=out, **how)
        return digest(out)
    return digest(made.train(name, re.sub(r"\W+", "-", f"run {name}")))


def work(names: Sequence[str], source: Path, folder: Path) -> None:
    """One side: write a line of JSON to the standard output about itself, then about each case."""
    import numpy
    import torch

    import mentee

    if source not in Path(mentee.__file__).resolve().parents:
        raise ImportError(f"mentee is that of {mentee.__file__}, not of {source}")
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, "numpy": numpy.__version__}
    about = {**versions, "python": platform.python_version(), "machine": machine()}
    told, sys.stdout = sys.stdout, sys.stderr  # what the package prints goes into the log
    print(json.dumps(about), file=told, flush=True)
    made = Material(folder)
    for name in names:
        try:
            found = outcome(name, made)
        except Exception as error:
            traceback.print_exc()
            found = f"{FAILED}{type(error).__name__}: {error}"
        print(json.dumps(found), file=told, flush=True)


def machine() -> str:
    """The processor and the system, on which last digits depend."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {platform.platform()}"
    return f"{platform.processor() or platform.machine()}, {platform.platform()}"


class Side:
    """A fresh process that runs the cases with the package in the folder `source`."""

    def __init__(self, names: Sequence[str], source: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.log = folder / "log.txt"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        alone = {"CUDA_VISIBLE_DEVICES": "", "MENTEE_CACHE": str(folder / "cache")}
        command = [sys.executable, __file__, "--work", str(source), str(folder)]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command + [part for name in names for part in ("--case", name)],
                env={**os.environ, **threads, **alone, "PYTHONPATH": str(source)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def next(self) -> Any:
        """What it tells next; waits for it."""
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            sys.exit(f"a process ended:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
        return json.loads(line)

    def end(self) -> None:
        """Stop the process, wherever it is."""
        self.process.kill()
        self.process.wait()


def git(*arguments: str) -> str:
    """What git says of this checkout."""
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def source_of(commit: str, folder: Path) -> Path:
    """The folder `src` of a commit, written below another folder."""
    git("archive", "--format=zip", "-o", str(folder / "src.zip"), commit, "src")
    with zipfile.ZipFile(folder / "src.zip") as archive:
        archive.extractall(folder / "code")
    return folder / "code" / "src"


def compare_sides(names: Sequence[str], asked: argparse.Namespace, folder: Path) -> bool:
    """Run both sides, or one beside a saved file; print a line a case. True: all are identical."""
    with contextlib.ExitStack() as running:
        if asked.expect:
            saved = json.loads(asked.expect.read_text(encoding="utf-8"))
            about, before = saved["environment"], saved["results"].get
        else:
            commit = git("rev-parse", "--verify", f"{asked.against}^{{commit}}")
            reference = Side(names, source_of(commit, folder), folder / "reference")
            running.callback(reference.end)
        working = Side(names, ROOT / "src", folder / "working")
        running.callback(working.end)
        if not asked.expect:
            about, before = reference.next(), lambda name: reference.next()
        here = working.next()
        if here != about:
            print(f"another environment, so differences may be its own: {about} and {here}")
        same, results = True, {}
        for name in names:
            was = results[name] = before(name) or f"{FAILED}not in {asked.expect}"
            now = working.next()
            wrong = [each for each in (was, now) if each.startswith(FAILED)]
            said = wrong[0] if wrong else "identical" if was == now else "DIFFERENT"
            same = same and said == "identical"
            print(f"{name:<30} {said}", flush=True)
            if name == DEMO and not wrong:
                print(was if was == now else f"{was}\nbecame\n{now}")
    if asked.save:
        content = {"commit": commit, "environment": about, "results": results}
        asked.save.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return same


def main() -> None:
    names = list(yaml.safe_load(CASES))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="COMMIT", default=BEFORE, help="the reference")
    parser.add_argument("--case", metavar="NAME", action="append", help=f"of {'; '.join(names)}")
    parser.add_argument("--demo", action="store_true", help="compare the demo's accuracies too")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep all runs and logs there")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the reference's hashes")
    parser.add_argument(
        "--expect",
        metavar="FILE",
        type=Path,
        help="compare with saved hashes instead of running the reference: same machine and torch",
    )
    parser.add_argument("--work", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    chosen = (asked.case or names) + ([DEMO] if asked.demo else [])
    if unknown := set(chosen) - {*names, DEMO}:
        parser.error(f"there is no case {unknown.pop()!r}; there are {'; '.join(names)}")
    if asked.work:
        work(chosen, *asked.work)
        return
    if asked.save and asked.expect:
        parser.error("--save writes hashes of the reference, which --expect does not run")
    if asked.keep and asked.keep.exists() and any(asked.keep.iterdir()):
        parser.error(f"{asked.keep} is not empty")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        same = compare_sides(chosen, asked, folder)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
