"""Few labeled examples beside many without labels, in one run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from mentee import record_network, resume, train
from mentee.build.datasets import open_splits
from mentee.errors import DataError, MenteeError, PairError, RecipeError
from mentee.recipe import read
from mentee.runs import checkpoint
from mentee.runs.folder import Folder
from tests.conftest import digits
from tests.processes import Forked, Two, ended, start
from tests.training.test_resume import KILLED, assert_same, number_of

FEW = {"memory.negatives": 48}


def semi(teacher: dict[str, Any], /, **parts: Any) -> dict[str, Any]:
    """40 labeled digits, 300 others; ten batches of 8 and 24 an epoch."""
    data = {"limit": 40, "unlabeled": {"limit": 300, "share": 0.75}, **parts.pop("data", {})}
    method = {"name": "cktf-bank+kd", "params": FEW}
    return digits(**{"teacher": teacher, "method": method, "data": data, **parts})


def test_who_is_labeled_and_who_is_beside(teacher: dict[str, Any]) -> None:
    splits = open_splits(read(semi(teacher)))
    known = splits.train.labeled
    assert known is not None
    assert (known.sum(), len(known)) == (40, 340)
    assert splits.validation is not None
    assert splits.test is not None
    for other in (splits.validation, splits.test):
        assert not np.isin(splits.train.keys, other.keys).any()
    alone = open_splits(read(semi(teacher, data={"unlabeled": None})))
    assert alone.train.ids == splits.train.ids[:40], "the labeled are those of the same limit"
    assert splits.train.labels is not None
    assert np.bincount(splits.train.labels[:40]).tolist() == [4] * 10
    more = open_splits(read(semi(teacher, data={"unlabeled": {"limit": 200}})))
    assert set(more.train.ids) < set(splits.train.ids)


def test_both_are_learned_from(teacher: dict[str, Any], tmp_path: Path) -> None:
    run = train(semi(teacher, train={"epochs": 3}), out=tmp_path / "run", quiet=True)
    assert run.summary["examples"] == {
        "train": 340,
        "labeled": 40,
        "validation": 195,
        "test": 500,
    }
    assert run.summary["steps"] == 3 * 12  # 300 // 24 batches an epoch
    losses = [line["losses"] for line in Folder(run.path).read_metrics() if "losses" in line]
    assert {"task", "kl/logits", "contrast/stem"} <= set(losses[0])
    assert "340, 40 of them with labels" in (run.path / "report.md").read_text()
    assert run.summary["test"]["accuracy"] > 0.3


def test_a_kill_in_between_changes_nothing(
    begin: Callable[..., Forked], teacher: dict[str, Any], file: Any, tmp_path: Path
) -> None:
    recipe = file(semi(teacher, train={"epochs": 2, "mixup": None}, save={"steps": 5}))
    killed = begin("-c", KILLED, recipe, tmp_path / "run", "17", str(int(signal.SIGKILL)))
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    assert killed.wait(300) == -signal.SIGKILL, killed.communicate()
    assert number_of(checkpoint.list_checkpoints(tmp_path / "run" / "checkpoints")[-1]) == 15
    resume(tmp_path / "run", quiet=True)
    assert_same(tmp_path / "run", whole.path)


def images(count: int, seed: int, wrong: int = 0) -> datasets.Dataset:
    """A bright column for the class; labels moved by `wrong`."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (count, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(count) % 4
    pixels[np.arange(count), :, 2 * labels] = 250
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c", "d"])
    )
    rows = [
        {"image": each, "label": int((label + wrong) % 4)}
        for each, label in zip(pixels, labels, strict=True)
    ]
    return datasets.Dataset.from_list(rows, features=features)


def test_no_label_of_theirs_is_read(tmp_path: Path) -> None:
    """Of another split with labels: true ones or others, the same to the last bit."""
    recipe = digits(
        data={
            "limit": None,
            "validation": None,
            "unlabeled": {"split": "more", "share": 0.5},
        },
        student={"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
        train={"epochs": 2, "batch": 16},
    )
    found = []
    for wrong in (0, 1):
        data = datasets.DatasetDict(
            train=images(24, 0), more=images(80, 1, wrong), test=images(40, 2)
        )
        run = train(recipe, data=data, out=tmp_path / f"{wrong}", quiet=True)
        found.append((run.path / "student.safetensors").read_bytes())
        assert run.summary["examples"]["train"] == 104
    assert found[0] == found[1]


def test_a_record_has_both(teacher: dict[str, Any], tmp_path: Path) -> None:
    recipe = semi(teacher, method="kd", train={"epochs": 1})
    live = train(recipe, out=tmp_path / "live", changes=["data.cycle=2"], quiet=True)
    record_network(recipe, tmp_path / "record", views=2, dtype="float32", say=lambda line: None)
    recipe["teacher"] = {"record": str(tmp_path / "record")}
    replayed = train(recipe, out=tmp_path / "replayed", quiet=True)
    lines = [
        next(line["losses"] for line in Folder(run.path).read_metrics() if "losses" in line)
        for run in (live, replayed)
    ]
    assert lines[1] == pytest.approx(lines[0], rel=1e-4)


def unlabeled(**said: Any) -> dict[str, Any]:
    return {"data": {"unlabeled": said}}


@pytest.mark.parametrize(
    ("parts", "error", "text"),
    [
        (unlabeled(split="test"), DataError, "examples of the test part, which is"),
        (unlabeled(split="tets"), DataError, "no split 'tets'"),
        (unlabeled(share=1.0), RecipeError, "unlabeled.share: input should be less"),
        ({"data": {"limit": None}}, DataError, "no example that is not labeled or of validation"),
        (
            {"data": {"label": False}},
            RecipeError,
            "names examples to combine with labeled ones, and",
        ),
        ({"method": "dkd"}, PairError, r"asks for the class of each example \(dkd\), and some of"),
        ({"train": {"batch": 2000}}, DataError, "and there are 40 and 300; change train.batch"),
    ],
)
def test_what_does_not_go_together(
    parts: dict[str, Any],
    error: type[MenteeError],
    text: str,
    teacher: dict[str, Any],
    tmp_path: Path,
) -> None:
    recipe = semi({**teacher, "classes": 10}, **{"method": "kd", **parts})
    with pytest.raises(error, match=text):
        train(recipe, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


TOGETHER = """
import json, sys
from mentee import train
from mentee.parallel import exit_process, rank
from tests.build.test_unlabeled import plain
from tests.training.two_processes import without_batch_norm
steps = []
train(plain(), out=sys.argv[1], student=without_batch_norm(1, (8, 16, 32)),
      teacher=without_batch_norm(2, (16, 32, 64)), quiet=True, on_step=steps.append)
if rank() == 0:
    print("LOSSES", json.dumps([dict(step.losses) for step in steps]))
exit_process(0)
"""


def plain() -> dict[str, Any]:
    """Few steps of plain gradient descent, with the classes' negatives."""
    training = {"epochs": 1, "batch": 32, "momentum": 0.0, "schedule": "constant"}
    data = {"validation": None, "test": None, "unlabeled": {"limit": 120, "share": 0.5}}
    method = {"name": "cktf-bank+kd", "params": {**FEW, "memory.kind": "bank"}}
    return digits(
        student="given", teacher="given", method=method, data={**data, "limit": 40}, train=training
    )


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    alone = ended(start(script, tmp_path / "one", cwd=tmp_path))
    both = ended(Two(script, tmp_path / "two", cwd=tmp_path))
    one, two = (
        json.loads(next(line for line in out.splitlines() if line.startswith("LOSSES"))[7:])
        for out in (alone, both)
    )
    assert len(one) == len(two) == 7
    for mine, theirs in zip(one, two, strict=True):
        assert theirs == pytest.approx(mine, rel=2e-4, abs=2e-4)
