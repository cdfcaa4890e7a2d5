"""Records that are probed before any training: the best first, on the right examples, refusals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee import probe
from mentee.data import open_examples
from mentee.errors import MenteeError
from mentee.records import import_record, open_record
from mentee.runs.folder import Folder

WAYS = ["probe.shares=[0.5,1.0]", "probe.seeds=2", "probe.knn=1"]
N = {"train": 60, "test": 30}


def silent(line: str) -> None:
    """Say nothing."""


def images(n: int, rng: np.random.Generator) -> dict[str, Any]:
    return {"image": rng.integers(0, 255, (n, 4, 4), np.uint8), "label": np.arange(n) % 3}


def targets(n: int, rng: np.random.Generator) -> dict[str, Any]:
    return {**images(n, rng), "label": rng.normal(size=n).astype(np.float32)}


def texts(n: int, rng: np.random.Generator) -> dict[str, Any]:
    return {"text": [f"text {i} {rng.integers(99)}" for i in range(n)], "label": np.arange(n) % 3}


def vectors_of(labels: Any, noise: float, rng: np.random.Generator) -> Any:
    if labels.dtype.kind == "i":
        known = np.eye(3)[labels]
    else:  # directions tell targets apart
        known = 3 * np.stack([labels.ravel(), np.ones(len(labels)), np.zeros(len(labels))], 1)
    return (known + noise * rng.normal(size=known.shape)).astype(np.float32)


def made(path: Path, kind: Callable[..., Any], frames: bool = False) -> dict[str, Any]:
    """Records of two teachers, `path/good` and `path/weak`, and the data."""
    rng = np.random.default_rng(0)
    data = {split: kind(n, rng) for split, n in N.items()}
    for name, noise in (("weak", 20.0), ("good", 0.1)):
        for split in N:
            some = open_examples(data, split=split)
            vectors = vectors_of(np.asarray(some.labels), noise, rng)
            if frames:  # whose mean is the vector
                vectors = np.stack([vectors + 1, vectors - 1], 1)
            np.savez(path / "v.npz", ids=list(some.ids), embedding=vectors)
            import_record(path / "v.npz", some, path / name / split, name=name)
    return data


@pytest.mark.parametrize(
    ("kind", "frames", "by"),
    [
        pytest.param(images, False, "accuracy", id="images"),
        pytest.param(images, True, "accuracy", id="time-frames"),
        pytest.param(targets, False, "r2", id="regression"),
        pytest.param(texts, False, "accuracy", id="texts"),
    ],
)
def test_the_best_record_is_first(kind: Any, frames: bool, by: str, tmp_path: Path) -> None:
    data = made(tmp_path, kind, frames)
    names = [str(tmp_path / "weak"), str(tmp_path / "good")]
    found = probe(names, data=data, changes=WAYS, say=silent)
    assert found.content["settings"]["by"] == by
    assert found.content["settings"]["test"]["examples"] == N["test"]
    assert list(dict.fromkeys(row["who"] for row in found.content["rows"])) == names[::-1]
    for way in ("linear", "knn"):
        (good,), (weak,) = (found.scores(way, 1.0, who) for who in names[::-1])
        assert good > 0.95 > 0.7 > weak
        assert len(found.scores(way, 0.5, names[0])) == 2
    assert found.content["notes"] == []
    assert not list(tmp_path.rglob("probe.json"))


def test_neighbors_are_those_of_loops(tmp_path: Path) -> None:
    data = made(tmp_path, images)
    found = probe(tmp_path / "weak", data=data, changes=[*WAYS, "probe.ways=[knn]"], say=silent)
    x, z = (
        open_record(tmp_path / "weak", split).vectors(range(n)).numpy() for split, n in N.items()
    )
    x, z = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, z))
    nearest = (z @ x.T).argmax(1)
    right = np.mean(data["train"]["label"][nearest] == data["test"]["label"])
    assert found.scores("knn", 1.0, str(tmp_path / "weak")) == pytest.approx([right])


@pytest.mark.parametrize("flat", [True, False], ids=["folder-of-a-split", "no-test-subfolder"])
def test_without_a_test_record_a_share_is_held_out(flat: bool, tmp_path: Path) -> None:
    data = made(tmp_path, images)
    shutil.rmtree(tmp_path / "good" / "test")
    one = tmp_path / "good" / "train" if flat else tmp_path / "good"
    found = probe([tmp_path / "weak", one], data=data, changes=WAYS, say=silent)
    sizes = [found.content["settings"][part]["examples"] for part in ("train", "test")]
    assert sizes == [48, 12]
    assert found.content["notes"] == [
        f"{one}: there is no record of a test split, so 20% of the examples of train (12) were "
        "held out to score the probes"
    ]
    text = "30 of 30 examples have no row" if flat else "has no record of split 'test'"
    with pytest.raises(MenteeError, match=text):
        probe(one, data=data, changes=[*WAYS, "probe.test=test"], say=silent)


def test_the_result_is_written_where_asked(tmp_path: Path) -> None:
    data = made(tmp_path, images)
    found = probe(tmp_path / "good", data=data, changes=WAYS, out=tmp_path / "out", say=silent)
    saved = Folder(tmp_path / "out").read_probe()
    assert saved is not None
    assert saved["rows"] == found.content["rows"]
    with pytest.raises(MenteeError, match="has the rows of a record and keeps nothing else"):
        probe(tmp_path / "good", data=data, out=tmp_path / "good" / "train", say=silent)


OTHER = {"image": np.zeros((7, 4, 4), np.uint8), "label": np.arange(7) % 3, "id": list("abcdefg")}


@pytest.mark.parametrize(
    ("data", "changes", "text"),
    [
        pytest.param(None, [], "is a record, whose labels are in the data", id="no-data"),
        pytest.param(
            OTHER, [], "does not fit .*: 7 of 7 examples have no row: .*Give the record", id="ids"
        ),
        pytest.param(
            "embedded:digits",
            [],
            "does not fit digits: 1,297 of 1,297 examples have no row",
            id="digits",
        ),
        pytest.param({"text": ["a", "b"], "label": [0, 1]}, [], "it is of image", id="kind"),
        pytest.param("same", ["probe.ways=[finetune]"], "a record has none; choose", id="way"),
        pytest.param("same", ["train.epochs=1"], "no student is trained; only data", id="key"),
        pytest.param("unlabeled", [], "has no labels to probe with", id="no-labels"),
    ],
)
def test_what_cannot_be_probed(data: Any, changes: list[str], text: str, tmp_path: Path) -> None:
    own = made(tmp_path, images)
    if isinstance(data, str) and data in ("same", "unlabeled"):
        keys = ("image", "label") if data == "same" else ("image",)
        data = {split: {key: part[key] for key in keys} for split, part in own.items()}
    with pytest.raises(MenteeError, match=text):
        probe(tmp_path / "good", data=data, changes=changes, say=silent)


def test_the_command(tmp_path: Path, mentee: Callable[..., tuple[int, str, str]]) -> None:
    some = open_examples("embedded:digits")
    for name, vectors in (("one", np.eye(10)[some.labels]), ("none", np.random.rand(len(some), 4))):
        np.savez(tmp_path / "v.npz", ids=list(some.ids), embedding=vectors.astype(np.float32))
        import_record(tmp_path / "v.npz", some, tmp_path / name / "train", name=name)
    options = ("--ways", "knn", "--shares", "1")
    status, out, err = mentee(
        "probe", tmp_path / "none", tmp_path / "one", "embedded:digits", *options
    )
    assert (status, err) == (0, "")
    lines = [line for line in out.splitlines() if "  knn  " in line and "labels" not in line]
    assert [Path(line.split()[0]).name for line in lines] == ["one", "none"]
    assert lines[0].split()[2] == "1.0000"
