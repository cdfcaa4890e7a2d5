"""A demonstration on real data: a small student, trained with and without a teacher."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.api import Run, next_run_folder, train
from mentee.errors import MenteeError, suggest
from mentee.report import duration

METHODS = ("none", "kd", "cktf", "cktf+kd")


@dataclass(frozen=True)
class DemoSetting:
    """Data, networks and training of a demo.

    Attributes:
        about: one line that describes the data.
        data: of both recipes.
        teacher: network and epochs of the teacher, which is trained on all labels.
        student: network and epochs of the student, which is trained on `labels` of them.
        labels: how many labeled examples the student gets.
        batch: examples of a student's step.
        lr: learning rate of the student.
    """

    about: str
    data: dict[str, Any]
    teacher: tuple[dict[str, Any], int]
    student: tuple[dict[str, Any], int]
    labels: int
    batch: int
    lr: float


SETTINGS = {
    "digits": DemoSetting(
        "scikit-learn's 8×8 handwritten digits",
        {"source": "embedded:digits", "views": "crop", "pad": 1},
        ({"network": "resnet20-cifar"}, 20),
        ({"network": "resnet8-cifar", "options": {"widths": [8, 16, 32], "stem": 8}}, 120),
        labels=100,
        batch=50,
        lr=0.05,
    ),
    "cifar10": DemoSetting(
        "CIFAR-10 photographs (an hour or more on two cores, most of it the teacher)",
        {"source": "cifar10", "views": "crop-flip"},
        ({"network": "resnet20-cifar", "input": "cifar10"}, 15),
        ({"network": "resnet8-cifar", "input": "cifar10"}, 20),
        labels=5000,
        batch=64,
        lr=0.05,
    ),
}


def demo(
    data: str = "digits", *, seeds: int = 5, out: Path | None = None, teacher: Path | None = None
) -> dict[str, list[Run]]:
    """Train a teacher on all labels, then a student on few, with and without it; print a table.

    With the same seed, students have the same images, data order and first weights. No label beyond
    its few is used to choose anything: the last weights are kept, and the test part is read once.

    Args:
        data: `digits` or `cifar10`.
        seeds: runs of each method.
        out: the folder of the runs; None: `runs/demo-N`, the next number that is free.
        teacher: weights of the setting's teacher network, instead of training it.

    Returns:
        The runs by method.

    Raises:
        MenteeError: there is no such data.
    """
    if data not in SETTINGS:
        raise MenteeError(f"there is no demo on {data!r}; {suggest(data, SETTINGS)}")
    setting, folder, start = SETTINGS[data], out or next_run_folder("demo"), time.monotonic()
    print(f"data: {setting.about}\nruns: {folder}\n", flush=True)
    if teacher is not None and not teacher.is_file():
        raise MenteeError(f"there is no file {teacher}; give the weights of the teacher, or none")
    if teacher is None:
        network, epochs = setting.teacher
        recipe = {"data": setting.data, "student": network, "train": {"epochs": epochs}}
        trained = train(recipe, out=folder / "teacher", quiet=True)
        teacher = trained.path / "student.safetensors"
        print(table_row("teacher", [trained], None), flush=True)
    runs: dict[str, list[Run]] = {}
    for method in METHODS:
        runs[method] = [
            train(
                student_recipe(setting, method, seed, teacher),
                out=folder / f"{method}-seed{seed}",
                quiet=True,
            )
            for seed in range(seeds)
        ]
        print(table_row(method, runs[method], runs["none"]), flush=True)
    print(f"\nstudents: {setting.labels} labeled examples", end="")
    if seeds > 1:
        print(f"; ± is the spread over {seeds} seeds,")
        print("the last column the paired difference to none with its 95 % interval", end="")
    print()
    print(f"all in {duration(time.monotonic() - start)}; each run has a report.md in {folder}")
    return runs


def student_recipe(setting: DemoSetting, method: str, seed: int, teacher: Path) -> dict[str, Any]:
    """The recipe of one student."""
    network, epochs = setting.student
    return {
        "data": {**setting.data, "limit": setting.labels, "validation": None},
        "student": network,
        "teacher": {**setting.teacher[0], "weights": str(teacher)},
        "method": method,
        "train": {
            "epochs": epochs,
            "batch": setting.batch,
            "lr": setting.lr,
            "seed": seed,
        },
    }


def table_row(name: str, runs: Sequence[Run], scratch: Sequence[Run] | None) -> str:
    """One row of the table: accuracy, parameters, seconds, and the difference to none."""
    scores = [accuracy(run) for run in runs]
    spread = f" ± {statistics.stdev(scores):4.1f}" if len(scores) > 1 else " " * 7
    seconds = statistics.mean(run.summary["seconds"] for run in runs)
    count = runs[0].summary["parameters"]["student"]
    mean = statistics.mean(scores)
    row = f"{name:<8} {mean:5.1f} %{spread}  {count:>9,} parameters  {seconds:6.1f} s"
    if scratch is None or scratch is runs:
        return row
    pairs = [a - accuracy(b) for a, b in zip(scores, scratch, strict=True)]
    return f"{row}  {verdict(pairs)}"


def accuracy(run: Run) -> float:
    """Test accuracy in per cent."""
    return 100 * float(run.summary["test"]["accuracy"])


def verdict(differences: Sequence[float]) -> str:
    """The paired difference to scratch in words, by its 95 % interval of Student's t.

    Example:
        >>> verdict([4.0, 5.0, 4.5])
        '+4.5 ± 1.2  helps'
        >>> verdict([4.0, -5.0, 1.0])
        '+0.0 ± 11.4  no clear difference'
    """
    from scipy import stats

    mean = statistics.mean(differences)
    if len(differences) < 2:
        return f"{mean:+.1f}  one seed says little"
    error = statistics.stdev(differences) / len(differences) ** 0.5
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * error
    effect = "helps" if mean > half else "hurts" if mean < -half else "no clear difference"
    return f"{mean:+.1f} ± {half:.1f}  {effect}"
