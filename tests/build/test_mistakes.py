"""One clear text for each mistake: what was given, what was expected, what to do."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mentee import models, resume, train
from mentee.errors import DataError, DivergedError, MenteeError, PairError, RecipeError, RunError
from mentee.runs import checkpoint
from tests.conftest import digits
from tests.training.test_resume import EVERY_7, assert_same

Mentee = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of this size; skips where that is not permitted."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small file system cannot be mounted here (that takes root)")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(small_disk: Callable[[str], Path], tmp_path: Path, mentee: Mentee) -> None:
    recipe = digits(save=EVERY_7)
    whole = train(recipe, out=tmp_path / "whole", quiet=True)
    run = small_disk("1m") / "run"

    def fill(step: Any) -> None:  # after the first checkpoint somebody else takes the space
        if step.number == 8:
            (run.parent / "other").write_bytes(bytes(free(run.parent)))

    with pytest.raises(RunError, match=r"cannot write .*: no space is left there; free some, or "):
        train(recipe, out=run, quiet=True, on_step=fill)
    left = [path.name for path in (run / "checkpoints").iterdir()]
    assert left == ["step-00000007.pt"]
    status, _, err = mentee("resume", run)
    assert status == 2
    assert "no space is left there; free some, or choose another folder with --out" in err
    (run.parent / "other").unlink()
    resume(run, quiet=True)
    assert_same(run, whole.path)


def free(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


@pytest.mark.parametrize(
    ("validation", "name"), [(0.15, "best.safetensors"), (None, "step-00000014.pt")]
)
def test_files_that_may_not_grow(validation: float | None, name: str, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = digits(data={"validation": validation}, save=EVERY_7)

    def forbid(step: Any) -> None:
        if step.number == 8:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

    try:
        with pytest.raises(RunError, match=rf"cannot write .*{name}: files may not grow that lar"):
            train(recipe, out=tmp_path / "run", quiet=True, on_step=forbid)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert left == ["step-00000007.pt"]
    assert resume(tmp_path / "run", quiet=True).summary["steps"] == 20


def test_a_folder_below_a_file(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        status, _, err = mentee("train", file(digits()), "--out", out)
        assert status == 2
        assert f"error: cannot write {out}: a part of that path is a file" in err
        assert "choose another folder" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    recipe, locked = file(digits()), tmp_path / "locked"
    locked.mkdir(mode=0o500)
    status, _, err = mentee("train", recipe, "--out", locked / "run")
    assert status == 2
    assert "permission is denied; choose a folder you may write to" in err


def test_a_folder_that_holds_a_run(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    run, recipe = tmp_path / "run", file(digits())
    assert mentee("train", recipe, "--out", run, "--set", "train.epochs=1")[0] == 0
    status, _, err = mentee("train", recipe, "--out", run)
    assert status == 2
    assert err == (
        f"error: {run} holds a run already, of another recipe (train.epochs: 1 there, 2 here); "
        f"resume it with mentee resume {run}, or give another --out\n"
    )


def test_a_diverging_run_keeps_its_earlier_checkpoint(
    tmp_path: Path, mentee: Mentee, file: Any
) -> None:
    recipe = digits(save={"steps": 1}, train={"lr": 1e9, "schedule": "constant"})
    status, _, err = mentee("train", file(recipe), "--out", tmp_path / "run")
    assert status == 2
    assert "error: the loss is nan at step" in err
    assert (
        "nothing of this step was kept. Try a lower train.lr, train.max_grad_norm: 1.0, or full"
        in err
    )
    done = checkpoint.load(tmp_path / "run" / "checkpoints")["done"]
    assert np.isfinite(done["loss"])
    assert not (tmp_path / "run" / "student.safetensors").exists()
    with pytest.raises(DivergedError, match=rf"at step {done['number'] + 1} \(epoch 1\): task nan"):
        resume(tmp_path / "run", quiet=True)


def terms(**changes: Any) -> dict[str, Any]:
    term = {"layers": "logits", "loss": "kl", "weight": 1.0, **changes}
    return {"name": "mine", "terms": [term]}


CONTRAST = {
    "loss": "contrast",
    "representation": {"name": "project"},
    "memory": {"name": "bank", "params": {"negatives": 64}},
}


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        (terms(layers="layerr3"), MenteeError, r"'layerr3'.*layer"),
        (terms(loss="kll"), MenteeError, r"there is no loss 'kll'; did you mean 'kl'\?"),
        (
            terms(representation="projekt"),
            MenteeError,
            r"no representation 'projekt'; did you mean 'pr",
        ),
        (terms(**CONTRAST | {"memory": "bnk"}), MenteeError, r"there is no memory 'bnk'; did you"),
        (
            terms(**CONTRAST | {"memory": None}),
            MenteeError,
            r"contrast/logits needs negatives; ",
        ),
        (terms(layers=["a", "b", "c"]), RecipeError, r"expected a layer, or the student's layer"),
        ("cktv", MenteeError, r"there is no method 'cktv'; did you mean 'cktf'"),
        ("cktf+k", MenteeError, r"there is no method 'k'; did you mean 'kd'"),
        ("kd+kd", MenteeError, r"names a method twice"),
        (
            {"name": "crd-bank", "params": {"contrast.temprature": 0.1}},
            MenteeError,
            r"contrast has no parameter 'temprature'; did you mean 'temperature'\?",
        ),
        (
            {"name": "crd-bank", "params": {"contrast.temperature": "warm"}},
            MenteeError,
            r"contrast.temperature is 'warm': Input should be a valid number",
        ),
        (
            {"name": "crd-bank", "params": {"kl.temperature": 2.0}},
            MenteeError,
            r"method 'crd-bank' has nothing that 'kl.temperature' could change; its layers and "
            r"components are contrast, embedding, memory, project",
        ),
    ],
)
def test_a_wrong_word_in_a_method(
    method: Any, error: type[Exception], text: str, taught: Any, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        train(taught(method=method), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_misspelled_keys_are_all_said_at_once(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    recipe = digits(train={"epoch": 3, "lr": 0.0}, save={"stesp": 2})
    status, _, err = mentee("train", file(recipe), "--out", tmp_path / "run")
    assert status == 2
    assert "3 problems in" in err
    assert "train.epoch: there is no such key; did you mean 'epochs'?" in err
    assert "train.lr: input should be greater than 0, not 0.0" in err
    assert "save.stesp: there is no such key; did you mean 'steps'" in err
    status, _, err = mentee("train", file(digits()), "--set", "train.epoch=3", "--set", "tran.x=1")
    assert status == 2
    assert "2 problems in" in err
    assert "train.epoch: there is no such key; did you mean 'epochs'?" in err
    assert "tran: there is no such key; did you mean 'train' or 'trackers'?" in err


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ("teacher.weights=null", RecipeError, r"has no weights, and an untrained network is"),
        ("teacher.weights=no.pt", MenteeError, r"no\.pt"),
        ("teacher=null", RecipeError, r"method 'kd' reads a teacher; name one under teacher:, or"),
        ("train.batch=5000", DataError, r"are 320 training examples, fewer than one batch of 5000"),
        (
            "train.gradient_accumulation=3",
            RecipeError,
            r"train.batch is 32; expected a multiple of train.gra",
        ),
        ("train.precision=float16", RecipeError, r"float16, which needs a GPU; expected float32 "),
        ("student=resnet20", MenteeError, r"no network 'resnet20'; did you mean 'resnet20-cifar'"),
        (
            "data.views=crop-flop",
            DataError,
            r"no views 'crop-flop' of image: did you mean 'crop-flip'",
        ),
        ("data.source=embedded:digit", DataError, r"no embedded data 'digit': did you mean 'digit"),
        ("data.test=tets", DataError, r"embedded:digits has no split 'tets': did you mean 'test'"),
        ("data.limit=99999", DataError, r"limit 99999: .* has 1 to"),
        (
            "select.by=map",
            RecipeError,
            r"select.by is map; expected one of accuracy, .*top5, .*recall/CLASS",
        ),
    ],
)
def test_a_wrong_part_of_a_recipe(
    change: str, error: type[Exception], text: str, taught: Any, tmp_path: Path
) -> None:
    if change.startswith("train.precision") and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    recipe = taught(method="kd")
    if change == "teacher=null":
        del recipe["teacher"]
        change = "train.seed=0"
    with pytest.raises(error, match=text):
        train(recipe, out=tmp_path / "run", changes=[change], quiet=True)


def class_folder(root: Path, counts: dict[str, int], split: str = "train") -> Path:
    """Random 8×8 images, so many of each class."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        folder = root / split / name
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def from_folder(root: Path) -> dict[str, Any]:
    data = {"source": str(root), "limit": None, "test": None, "validation": None}
    return digits(data=data, train={"batch": 8, "epochs": 1})


def test_an_empty_class(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    root = class_folder(tmp_path / "data", {"cat": 10, "dog": 10, "emu": 0})
    status, _, err = mentee("train", file(from_folder(root)), "--out", tmp_path / "run")
    assert status == 2
    assert "has no example of 1 of 3 classes: emu; give it some, or leave these classes out" in err


def test_a_corrupt_image(tmp_path: Path, mentee: Mentee, file: Any) -> None:
    root = class_folder(tmp_path / "data", {"cat": 10, "dog": 10})
    image = root / "train" / "dog" / "3.png"
    image.write_bytes(image.read_bytes()[:100])
    status, _, err = mentee("train", file(from_folder(root)), "--out", tmp_path / "run")
    assert status == 2
    assert "train/dog/3.png" in err
    assert "Traceback" not in err
    image.unlink()
    assert mentee("train", file(from_folder(root)), "--out", tmp_path / "mended")[0] == 0


def test_no_labels(tmp_path: Path, taught: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, 8, 8), dtype=np.uint8)
    data = {"test": None, "limit": None, "validation": None}
    recipe = taught(data=data, method="crd", train={"epochs": 1})
    recipe["student"]["classes"] = recipe["teacher"]["classes"] = 10
    with pytest.raises(RecipeError, match=r"no labels, and method 'crd' gives the task's loss the"):
        train(recipe, out=tmp_path / "run", data={"image": images}, quiet=True)
    recipe["method"] = {
        "name": "crd-bank",
        "weights": {"task": 0.0},
        "params": {"memory.negatives": 9},
    }
    run = train(recipe, out=tmp_path / "run", data={"image": images}, quiet=True)
    assert run.summary["weights"]["task"] == 0
    assert run.summary["test"] is None


def several(n: int = 96) -> dict[str, Any]:
    """Bright rows: three classes at once, a few labels unknown."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (n, 3)).astype(np.float32)
    images = rng.integers(0, 60, (n, 8, 8), dtype=np.uint8)
    for i in range(3):
        images[:, 2 * i : 2 * i + 2] += (180 * labels[:, i]).astype(np.uint8)[:, None, None]
    labels[rng.random(labels.shape) < 0.1] = -1
    return {"image": images, "label": labels}


def test_several_labels_at_once(tmp_path: Path, taught: Any) -> None:
    data = {"test": None, "limit": None, "validation": 0.25}
    recipe = taught(data=data, method="kd", train={"epochs": 8, "batch": 8})
    recipe["teacher"] = {**recipe["teacher"], "classes": 10}
    with pytest.raises(PairError, match=r"'kd' compares distributions over classes of which one"):
        train(recipe, out=tmp_path / "run", data=several(), quiet=True)
    recipe["method"] = {"name": "crd-bank", "params": {"memory.negatives": 16}}
    run = train(recipe, out=tmp_path / "run", data=several(), quiet=True)
    assert run.summary["selected"]["by"] == "map"
    assert set(run.summary["validation"]) == {"map", "auroc", "f1"}
    assert run.summary["validation"]["map"] > 0.8


def test_above_a_threshold_of_nothing_all_classes_are_found(tmp_path: Path) -> None:
    data = {"test": None, "limit": None, "validation": None}
    recipe = digits(data=data, select={"threshold": 1e-6}, train={"epochs": 1, "batch": 8})
    run = train(recipe, out=tmp_path / "run", data=several(), quiet=True)
    labels = several()["label"]
    shares = [(column[column >= 0] == 1).mean() for column in labels.T]
    # Recall 1 and precision p, the share of examples that have the class.
    expected = np.mean([2 * p / (1 + p) for p in shares])
    assert run.evaluate(several(), split="train")["f1"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("method", "params"), [("crd", {}), ("cktf-bank", {"memory.negatives": 64})]
)
def test_a_teacher_of_other_classes(
    method: str, params: dict[str, Any], tmp_path: Path, taught: Any
) -> None:
    four = models.build("resnet8-cifar", classes=4, channels=1, seed=1)
    recipe = taught(teacher={"network": "four", "classes": 4}, train={"epochs": 1})
    with pytest.raises(PairError, match=r"student has 10 classes, the teacher 4; .*\(crd, cktf\)"):
        train({**recipe, "method": "kd"}, out=tmp_path / "run", teacher=four, quiet=True)
    row = {"name": method, "params": params}
    run = train({**recipe, "method": row}, out=tmp_path / "run", teacher=four, quiet=True)
    assert run.summary["teacher"]["scores"] is None  # its classes are no answer here
    assert run.summary["test"]["accuracy"] > 0


def test_data_without_splits_are_not_their_own_test(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no splits, so there is no split 'test' in them; pass a"):
        train(digits(data={"limit": None}), out=tmp_path / "run", data=several(), quiet=True)


@pytest.mark.parametrize("method", ["probe-kd", "ec+probe-kd"])
def test_soft_labels_of_a_probe_have_a_form_for_several_classes(
    method: str, tmp_path: Path, taught: Any
) -> None:
    recipe = taught(data={"test": None, "limit": None}, method=method)
    with pytest.raises(PairError, match=r"\(kl\), .* use binary_kd in its place: probe-binary-kd,"):
        train(recipe, out=tmp_path / "run", data=several(), quiet=True)


@pytest.mark.parametrize("options", [{"pretrained": False}, {"drop_rate": 0.1}])
def test_options_of_a_teacher_are_no_weights(
    options: dict[str, Any], tmp_path: Path, taught: Any
) -> None:
    teacher = {"network": "timm:test_resnet", "options": options}
    with pytest.raises(RecipeError, match=r"timm:test_resnet has no weights, and an untrained"):
        train(taught(teacher=teacher, method="kd"), out=tmp_path / "run", quiet=True)
