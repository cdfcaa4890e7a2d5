"""Every tracker gets the numbers of metrics.jsonl, once each, also after a pause."""

import builtins
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mentee import resume, train
from mentee.errors import RecipeError, RunError
from mentee.training import metric_sinks
from mentee.training.signals import Paused

RECIPE: dict[str, Any] = {
    "data": {"source": "embedded:digits", "limit": 200, "test": None},
    "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8], "stem": 4}},
    "teacher": {"ema": 0.9},
    "method": "kd",
    "train": {"epochs": 2, "batch": 32},
    "monitor": {"limit": 50},
}


def flat(path: Path) -> list[tuple[int, dict[str, float]]]:
    """The lines of metrics.jsonl as a sink got them."""
    lines = []
    for line in (path / "metrics.jsonl").read_text().splitlines():
        content = json.loads(line)
        values = {}
        for name, value in content.items():
            if isinstance(value, dict):
                values |= {f"{name}/{key}": each for key, each in value.items()}
            elif name != "step":
                values[name] = value
        lines.append((content["step"], values))
    return lines


def test_a_tracker_of_ones_own_gets_what_the_file_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, dict[str, float]]] = []
    closed = []

    class Memory:
        def __init__(self, folder: Path, done: int) -> None:
            assert (folder, done) == (tmp_path / "run", 0)

        def log(self, step: int, values: Mapping[str, float]) -> None:
            calls.append((step, dict(values)))

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setitem(metric_sinks.TRACKERS, "memory", lambda: Memory)
    train({**RECIPE, "trackers": ["memory"]}, out=tmp_path / "run", quiet=True)
    assert calls == flat(tmp_path / "run")
    assert closed == [True]
    names = {name for _, values in calls for name in values}
    groups = {name.partition("/")[0] for name in names}
    assert groups >= {"epoch", "losses", "weights", "lr", "gradient_norms", "validation", "monitor"}
    assert {"losses/task", "losses/kl/logits", "validation/accuracy", "monitor/knn"} <= names


def test_tensorboard_has_the_same_numbers_without_doubled_steps(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    recipe = {**RECIPE, "trackers": ["tensorboard"], "save": {"steps": 4, "minutes": None}}

    def stop(step: Any) -> None:  # after the checkpoint of step 4, in a later epoch
        if step.number == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=out, quiet=True, on_step=stop)
    resume(out, quiet=True)
    events = accumulator.EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    written = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    expected: dict[str, dict[int, float]] = {}
    for step, values in flat(out):
        for name, value in values.items():
            expected.setdefault(name, {})[step] = value
    assert set(written) == set(expected)
    for name, by_step in expected.items():
        seen = [step for step, _ in written[name]]
        if name != "epoch":  # it comes with every call
            assert len(seen) == len(set(seen)), name
        assert {s: pytest.approx(v, rel=1e-6) for s, v in by_step.items()} == dict(written[name])


def test_a_pause_between_epochs_leaves_one_axis(tmp_path: Path) -> None:
    with pytest.raises(Paused):
        train(RECIPE, out=tmp_path / "run", quiet=True, until=1)
    resume(tmp_path / "run", quiet=True)
    train(RECIPE, out=tmp_path / "whole", quiet=True)
    assert flat(tmp_path / "run") == flat(tmp_path / "whole")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("tensorbord", RecipeError, "there is no tensorbord; did you mean 'tensorboard'"),
        ("tensorboard", RunError, r'pip install "mentee\[tensorboard\]"'),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    name: str, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(module: str, *args: Any, **more: Any) -> Any:
        if module.startswith("torch.utils.tensorboard"):
            raise ImportError(module)
        return real(module, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(error, match=message):
        train({**RECIPE, "trackers": [name]}, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
