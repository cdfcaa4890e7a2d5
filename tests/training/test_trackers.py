"""Experiment trackers, in their local modes, get each number of metrics.jsonl once."""

import importlib
import json
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentee import resume, train
from mentee.errors import RunError
from mentee.training import metric_sinks
from mentee.training.trackers import TrackerSink, load_tracker

from .test_metric_sinks import RECIPE, flat

Points = dict[tuple[str, int], list[float]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No look-up of a host, no account, and no file outside of the test's folder."""
    tried: list[Any] = []

    def refuse(host: Any, *more: Any, **other: Any) -> Any:
        if host in ("localhost", "127.0.0.1"):
            return real(host, *more, **other)
        tried.append(host)
        raise OSError("no network here")

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    settings = {
        "WANDB_MODE": "offline",
        "WANDB_API_KEY": "0123456789" * 4,
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "HF_TOKEN": "hf_0123456789",
        "HF_HUB_OFFLINE": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    assert tried == []


def wandb_points(run: Path) -> Points:
    """What the offline files hold, which `wandb sync` sends one after the other."""
    proto = importlib.import_module("wandb.proto.wandb_internal_pb2")
    folders = sorted((run / "trackers" / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    assert len({each.name.rpartition("-")[2] for each in folders}) == 1
    points: Points = {}
    for file in (f for each in folders for f in each.glob("*.wandb")):
        content, at = file.read_bytes(), 7
        while at + 7 <= len(content):  # of a log of LevelDB in one block
            _, size, kind = struct.unpack("<IHB", content[at : at + 7])
            assert kind == 1
            record = proto.Record()
            record.ParseFromString(content[at + 7 : at + 7 + size])
            at += 7 + size
            values = {i.key or "/".join(i.nested_key): i.value_json for i in record.history.item}
            values = {k: json.loads(v) for k, v in values.items() if not k.startswith("_")}
            step = values.pop("step", None)
            for name, value in values.items():
                points.setdefault((name, step), []).append(value)
        assert at <= 32768
    return points


def trackio_points(run: Path) -> Points:
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    name = json.loads((run / "trackers" / "trackio.json").read_text())["id"]
    assert storage.get_runs("mentee") == [name]
    points: Points = {}
    for line in storage.get_logs("mentee", name):
        for key in line.keys() - {"step", "timestamp"}:
            points.setdefault((key, line["step"]), []).append(line[key])
    return points


def mlflow_points(run: Path) -> Points:
    mlflow = importlib.import_module("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{run / 'trackers' / 'mlflow.db'}")
    (stored,) = client.search_runs([client.get_experiment_by_name("mentee").experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == run.name
    assert stored.data.params["train.epochs"] == "2"
    points: Points = {}
    for key in stored.data.metrics:
        for each in client.get_metric_history(stored.info.run_id, key):
            points.setdefault((key, each.step), []).append(each.value)
    return points


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_resumed_run_continues_the_trackers_run(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"{name} is not among the packages of dev, for its size")
    out = tmp_path / "run"
    recipe = {**RECIPE, "trackers": [name], "save": {"steps": 4, "minutes": None}}

    def stop(step: Any) -> None:  # after the checkpoint of step 4, in a later epoch
        if step.number == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=out, quiet=True, on_step=stop)
    begun = json.loads((out / "trackers" / f"{name}.json").read_text())
    assert begun["last"]["validation/accuracy"] > 4  # is logged again by the resumed run
    resume(out, quiet=True)
    assert json.loads((out / "trackers" / f"{name}.json").read_text())["id"] == begun["id"]
    expected: Points = {}
    for step, values in flat(out):
        for key, value in values.items():
            expected[key, step] = [pytest.approx(value, rel=1e-6)]
    assert globals()[f"{name}_points"](out) == expected
    assert {each.name for each in tmp_path.iterdir()} <= {"run", "trackio"}
    for file in (each for each in out.rglob("*") if each.is_file()):
        assert b"0123456789" not in file.read_bytes(), f"a credential in {file}"


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_a_missing_package_is_said_before_anything_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RunError, match=rf'tracker {name} needs.*pip install "mentee\[{name}\]"'):
        train({**RECIPE, "trackers": [name]}, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


class Memory:
    """A tracker's run that keeps its points, or fails."""

    def __init__(self, fails: str = "") -> None:
        self.id, self.points, self.fails = "a1", list[tuple[int, dict[str, float]]](), fails

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self.fails:
            raise ConnectionError(self.fails)
        self.points.append((step, dict(values)))

    def close(self) -> None:
        pass


def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_run: Any) -> Path:
    monkeypatch.setitem(
        metric_sinks.TRACKERS,
        "memory",
        lambda: lambda folder, done: TrackerSink("memory", open_run, folder, done),
    )
    recipe = {**RECIPE, "trackers": ["memory"]}
    return train(recipe, out=tmp_path / "run", quiet=True).path


def test_the_id_and_the_recipe_are_given_to_a_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    run = Memory()

    def open_run(*given: Any) -> Memory:
        opened.append(given)
        return run

    path = trained(tmp_path, monkeypatch, open_run)
    ((folder, id, recipe),) = opened
    assert (folder, id, recipe["train"]["epochs"]) == (path, None, 2)
    sink = TrackerSink("memory", open_run, path, 0)
    assert opened[1][1] == "a1"
    step, values = run.points[-1]
    before = len(run.points)
    sink.log(step, values)
    sink.log(step, {**values, "new": 1.0})
    assert run.points[before:] == [(step, {"new": 1.0})]


def test_a_tracker_that_fails_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="memory failed .*gone away.*metrics.jsonl has every"):
        path = trained(tmp_path, monkeypatch, lambda *given: Memory("the server has gone away"))
    assert (path / "summary.json").is_file()
    assert json.loads((path / "trackers" / "memory.json").read_text())["last"] == {}


def test_a_tracker_that_cannot_be_opened_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_run(*given: Any) -> Memory:
        raise ConnectionError("no account\nis known")

    with pytest.raises(RunError, match="memory cannot be opened: no account is known; set it up"):
        trained(tmp_path, monkeypatch, open_run)
    assert not (tmp_path / "run").exists()


def test_each_tracker_has_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "trackio", "mlflow"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
        assert callable(load_tracker(name))
