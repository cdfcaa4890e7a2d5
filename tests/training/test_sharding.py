"""A student that is split over two processes is trained as by DDP, and kept as any."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mentee import resume
from mentee.api import evaluate, train
from mentee.build.compute_mode import resolve_shard
from mentee.distillation.sharding import blocks, gathered, named, shard, without_weights
from mentee.errors import RecipeError
from mentee.recipe import Train
from mentee.runs import checkpoint
from tests.processes import Two, ended
from tests.test_parallel import assert_close
from tests.training import sharded_processes
from tests.training.sharded_processes import CASES, recipe, student
from tests.training.two_processes import without_batch_norm

CLOSE = 1e-5


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all cases, by DDP and split."""
    out = tmp_path_factory.mktemp("sharded")
    ended(Two(sharded_processes.__file__, out, cwd=out))
    return out


@pytest.mark.parametrize("name", CASES)
def test_a_split_student_is_trained_as_by_ddp(name: str, two: Path) -> None:
    found = torch.load(two / "found.pt", weights_only=True)
    ddp, split = found[name, False], found[name, True]
    assert len(split["losses"]) == len(ddp["losses"]) >= 3
    for mine, other in zip(ddp["losses"], split["losses"], strict=True):
        assert other == pytest.approx(mine, abs=CLOSE, rel=CLOSE)
    whole, own = (last(two / name / kind) for kind in ("whole", "split"))
    assert own.keys() == whole.keys()
    # all that is trained: a gradient that was not averaged would leave other weights
    for part in ("student", "adapters", "memories", "optimizer", "ema"):
        assert_close(flat(whole[part]), flat(own[part]))
    assert_close(*({"sums": each["loss_weights"]["sums"]} for each in (whole, own)))
    names = [
        sorted(p.relative_to(two / name / kind) for p in (two / name / kind).rglob("*"))
        for kind in ("whole", "split")
    ]
    assert names[0] == names[1]


def last(run: Path) -> dict[str, Any]:
    return checkpoint.load(run / "checkpoints")


def flat(state: Any, at: str = "") -> dict[str, Any]:
    """The tensors and numbers of nested dicts and lists, by path."""
    if isinstance(state, dict):
        return {k: v for key in state for k, v in flat(state[key], f"{at}/{key}").items()}
    if isinstance(state, list):
        return flat(dict(enumerate(state)), at)
    if isinstance(state, bool | int | float):
        return {at: torch.tensor(float(state))}
    return {at: state} if isinstance(state, torch.Tensor) else {}


def test_each_process_holds_its_part(two: Path) -> None:
    parameters = sum(p.numel() for p in student("vit").parameters())
    held = torch.load(two / "found.pt", weights_only=True)["held"]
    assert sum(held) == 3 * parameters  # parameters, and two means of AdamW
    assert min(held) > 0.45 * 3 * parameters


def test_a_split_run_resumes_exactly_in_as_many_processes_and_closely_in_one(two: Path) -> None:
    whole = two / "kd" / "split"
    for name in ("student.safetensors", "metrics.jsonl"):
        assert (two / "stopped" / name).read_bytes() == (whole / name).read_bytes(), name
    networks = {"student": student("no-norm"), "teacher": without_batch_norm(2, (16, 32, 64))}
    resume(two / "one", quiet=True, **networks)
    for part in ("student", "optimizer", "ema"):
        assert_close(flat(last(whole)[part]), flat(last(two / "one")[part]))
    scores = [
        evaluate(run, split="train", student=student("no-norm"))
        for run in (whole, two / "kd" / "whole", two / "one")
    ]
    assert scores[1:] == [pytest.approx(scores[0])] * 2


def test_blocks_are_the_layers_of_a_transformer_and_large_layers() -> None:
    network = student("vit")
    called = set(network.modules())
    assert list(blocks(network, called)) == [f"blocks.{n}" for n in range(9)]
    tied = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10))
    tied[1].weight = tied[0].weight
    assert list(blocks(tied, set(tied.modules()))) == ["2"]
    assert blocks(tied, set()) == {}  # read, but not called


def test_a_gathered_network_has_all_values() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    network[2].weight = network[0].weight
    network.register_buffer("not_saved", torch.arange(3.0), persistent=False)
    blank = without_weights(network)
    assert all(each.is_meta for each in named(blank).values())
    whole = gathered(network, blank, torch.device("cpu"))
    assert_close(named(network), named(whole))
    assert len(named(whole)) == 10  # the shared one by both names


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("train.compile=auto", r"with train.compile: auto; set train.compile: false, or"),
        ("method.balance=gradient", r"with method.balance: gradient; set method.balance: unit"),
    ],
)
def test_what_a_split_student_cannot_have_is_refused(
    change: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=text):
        train(
            recipe("kd", shard=True),
            changes=[change],
            out=tmp_path / "run",
            student=student("no-norm"),
            teacher=student("no-norm", 2),
        )
    assert not (tmp_path / "run").exists()


def test_a_parameter_that_is_one_number_is_refused() -> None:
    network = nn.Linear(2, 2)
    network.scale = nn.Parameter(torch.tensor(1.0))
    module: Any = SimpleNamespace(student=network)
    with pytest.raises(RecipeError, match=r"student's scale is a single number; give it the shape"):
        shard(module, (), torch.zeros(1, 2))


def test_one_process_says_that_it_splits_nothing() -> None:
    train, lines = resolve_shard(Train(shard=True))
    assert lines == ["shard: one process has nothing to split; maps are contiguous, as of several"]
    assert train.channels_last is False
    assert resolve_shard(Train()) == (Train(), [])
