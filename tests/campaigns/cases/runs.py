"""Folders of runs, sweeps and pipelines that were changed by hand or by a fault."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import change_json

CONTENTS = {
    "empty": "",
    "{}": "{}",
    "[]": "[]",
    "null": "null",
    "cut": None,
    "text": "hello",
    "deep": "[" * 100_000,
}


def run(name: str, argv: str, prepare: Callable[[Path], Any]) -> Case:
    """A command on the run's folder, changed."""
    return Case(f"run/{name}: {argv}", argv.split(), lambda box: prepare(box / "run"))


def content(file: str, what: str) -> Callable[[Path], None]:
    """A file of the run with another content."""

    def prepare(folder: Path) -> None:
        path, text = folder / file, CONTENTS[what]
        if text is None:
            os.truncate(path, path.stat().st_size // 2)
        else:
            path.write_text(text)

    return prepare


def unfinished(then: Callable[[Path], Any]) -> Callable[[Path], None]:
    """The run without its end, so that it is resumed."""

    def prepare(folder: Path) -> None:
        for name in ("summary.json", "student.safetensors", "report.md"):
            (folder / name).unlink()
        then(folder)

    return prepare


def started(name: str, command: str, text: str | None) -> Case:
    """A folder of many runs whose plan has another content."""

    def prepare(box: Path) -> None:
        (box / "new").mkdir()
        (box / "new" / name[name.index("/") + 1 :].split()[0]).write_text(text or '{"a": {"rec')

    return Case(name, [*command.split(), "--out", "new"], prepare)


def pieces(folder: Path) -> None:
    """A line in the middle of the metrics is cut."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines[0] = lines[0][:20]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


CASES = [
    *(
        run(f"summary.json is {what}", command, content("summary.json", what))
        for what in CONTENTS
        for command in ("resume run", "report run", "train recipe.yaml --out run")
    ),
    *(
        run(f"environment.json is {what}", command, content("environment.json", what))
        for what in ("empty", "[]", "cut")
        for command in ("report run", "evaluate run")
    ),
    *(
        run(
            f"environment.json is {what}",
            "resume run",
            unfinished(content("environment.json", what)),
        )
        for what in CONTENTS
    ),
    *(
        run(f"recipe.yaml is {what}", command, content("recipe.yaml", what))
        for what in ("empty", "[]", "cut", "text")
        for command in ("resume run", "evaluate run", "probe run")
    ),
    *(
        run(f"metrics.jsonl is {what}", "report run", content("metrics.jsonl", what))
        for what in ("empty", "[]", "cut", "text")
    ),
    run("metrics.jsonl is cut within", "report run", pieces),
    run("metrics.jsonl is cut within", "resume run", unfinished(pieces)),
    run("probe.json is []", "report run", lambda folder: (folder / "probe.json").write_text("[]")),
    run("probe.json is text", "report run", lambda folder: (folder / "probe.json").write_text("x")),
    run(
        "student is gone", "evaluate run", lambda folder: (folder / "student.safetensors").unlink()
    ),
    run("student is text", "evaluate run", content("student.safetensors", "text")),
    run("student is cut", "evaluate run", content("student.safetensors", "cut")),
    run("student is text", "probe run", content("student.safetensors", "text")),
    run("predictions are text", "report run", content("predictions.npz", "text")),
    run(
        "checkpoint is text",
        "resume run",
        unfinished(content("checkpoints/step-00000005.pt", "text")),
    ),
    run(
        "checkpoint is cut",
        "resume run",
        unfinished(content("checkpoints/step-00000005.pt", "cut")),
    ),
    run(
        "checkpoint is empty",
        "resume run",
        unfinished(content("checkpoints/step-00000005.pt", "empty")),
    ),
    run(
        "checkpoints are gone",
        "resume run",
        unfinished(lambda folder: shutil.rmtree(folder / "checkpoints")),
    ),
    run("best is text", "resume run", unfinished(content("checkpoints/best.safetensors", "text"))),
    run(
        "data are gone",
        "evaluate run",
        lambda folder: (folder / "recipe.yaml").write_text(
            (folder / "recipe.yaml").read_text().replace("embedded:digits", "nowhere")
        ),
    ),
    run(
        "summary of other types",
        "report run",
        lambda folder: change_json(folder / "summary.json", lambda s: {**s, "test": [1]}),
    ),
    run(
        "summary of NaN",
        "report run",
        lambda folder: change_json(
            folder / "summary.json", lambda s: {**s, "test": {"accuracy": float("nan")}}
        ),
    ),
    run(
        "summary of texts",
        "report run",
        lambda folder: change_json(folder / "summary.json", lambda s: {**s, "seconds": "long"}),
    ),
    *(
        started(f"sweep/sweep.json is {what}", "sweep recipe.yaml --methods none --seeds 1", text)
        for what, text in CONTENTS.items()
    ),
    *(
        started(f"pipeline/pipeline.json is {what}", "pipeline recipe.yaml", text)
        for what, text in CONTENTS.items()
    ),
]
