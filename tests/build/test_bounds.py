"""Numbers that mean nothing and parts that are not there are refused before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee import free_memory, train
from mentee.build.datasets import open_splits
from mentee.errors import DataError, MenteeError, RecipeError
from mentee.experiments.compare import compare
from mentee.experiments.jobs import plan_jobs
from mentee.experiments.pipeline import pipeline
from mentee.experiments.sweep import sweep
from mentee.recipe import read
from mentee.recording.networks import record_network
from tests.conftest import digits

WIDTHS = {"student": {"network": "resnet8-cifar", "options": {"widths": [16, 32]}}}


def clips(seconds: float = 0.5, rate: int = 8000) -> dict[str, Any]:
    noise = np.random.default_rng(0).normal(size=(20, round(rate * seconds))).clip(-1, 1) / 2
    return {"audio": noise.astype(np.float32), "sample_rate": rate, "label": np.arange(20) % 2}


def texts() -> dict[str, Any]:
    return {"text": [f"text {i}" for i in range(20)], "label": np.arange(20) % 2}


def test_a_note_on_the_schedule_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(digits(train={"epochs": 1, "warmup": 10_000}), out=tmp_path / "run")
    assert "train.warmup of 10,000 steps does not end within the" in capsys.readouterr().out


@pytest.mark.parametrize("pad", [9, 1000, 16_384])
@pytest.mark.parametrize("views", ["crop", "crop-flip"])
def test_images_are_not_moved_out_of_sight(pad: int, views: str) -> None:
    recipe = read(digits(data={"views": views, "pad": pad}))
    with pytest.raises(DataError, match=rf"^pad {pad} for images of 8×8 pixels"):
        open_splits(recipe)


def test_the_pad_may_be_as_large_as_the_image() -> None:
    open_splits(read(digits(data={"views": "crop", "pad": 8})))


@pytest.mark.parametrize(
    ("data", "config", "units"),
    [
        pytest.param(None, {"size": 16_384, "views": "none"}, "images", id="image"),
        pytest.param(clips(), {"seconds": 14_400.0, "views": "none"}, "clips", id="audio"),
        pytest.param(texts(), {"max_bytes": 1 << 24, "views": "none"}, "texts", id="text"),
    ],
)
def test_a_batch_that_no_memory_holds_is_refused(
    data: Any, config: dict[str, Any], units: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_memory, "available", lambda: 10**6)
    own = {"test": None, "limit": None, "sample_rate": 8000}
    recipe = read(digits(data={**own, **config}, train={"batch": 16}))
    with pytest.raises(MenteeError, match=rf"^a batch of 16 such {units} needs [\d,.]+ GB"):
        open_splits(recipe, data)


@pytest.mark.parametrize(
    "teacher",
    [
        pytest.param({"record": "nowhere"}, id="one"),
        pytest.param({"record": {"a": "nowhere", "b": "nowhere"}}, id="several"),
        pytest.param({"teachers": {"a": {"record": "nowhere"}}}, id="of several teachers"),
    ],
)
def test_a_record_that_is_not_there_is_refused_where_no_method_reads_it(
    teacher: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="there is no folder nowhere; write a record with"):
        train(digits(teacher=teacher, method="none"), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("call", "options"),
    [
        pytest.param(train, {}, id="train"),
        pytest.param(sweep, {"names": ["none"], "seeds": 1}, id="sweep"),
        pytest.param(compare, {"names": ["none"], "seeds": 1}, id="compare"),
        pytest.param(pipeline, {}, id="pipeline"),
    ],
)
def test_what_is_refused_leaves_no_folder(
    call: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(MenteeError, match="has 3 widths, whole numbers; not"):
        call(digits() | WIDTHS, out=tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(MenteeError, match="has 3 widths"):
        call(digits() | WIDTHS, out=tmp_path / "out", **options)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("views", [-1, 10_001, 1_000_000])
def test_no_more_views_are_recorded_than_anyone_needs(views: int, tmp_path: Path) -> None:
    teacher = {"network": "resnet8-cifar", "weights": "x.safetensors"}
    with pytest.raises(RecipeError, match="views to record; expected 0 to 10,000"):
        record_network(digits(teacher=teacher, method="kd"), tmp_path / "r", views=views)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("seeds", "methods"), [(20_001, ["none"]), (10_001, ["none", "kd"]), (10**9, ["kd"])]
)
def test_no_more_runs_are_planned_than_anyone_waits_for(seeds: int, methods: list[str]) -> None:
    with pytest.raises(RecipeError, match="runs; expected at most 20,000"):
        plan_jobs(read(digits()), [], methods, seeds, Path("out"))


@pytest.mark.parametrize("processes", [0, -1, 257, 10**6])
def test_no_more_processes_are_started_than_a_machine_has(processes: int, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="processes; expected 1 to 256"):
        sweep(digits(), ["none"], processes=processes, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
