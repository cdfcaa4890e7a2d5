"""A method of one's own is one row: all that is done with those of the table is done with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mentee import METHODS, Component, Method, Term, record_network, resume, sweep, train
from mentee.api import Interrupted
from mentee.catalogue import CandidatePair, list_methods, needs, show_method, show_pair
from mentee.catalogue.methods_page import methods_table
from mentee.losses import LOSSES, LossSpec
from mentee.methods import find
from mentee.representations import REPRESENTATIONS, Adapter, Shape
from tests.processes import ended, start
from tests.training.test_resume import assert_same, interrupt_at

MINE = Method(
    "mine",
    (
        Term(
            "stages",
            Component("mse"),
            2.0,
            Component("attention", {"power": 1}),
            stage_decay=0.5,
            ramp=0.2,
        ),
        Term("embedding", Component("cosine"), 0.5, Component("to_teacher")),
    ),
    about="Where they look, and what they say in the end.",
    source="Nobody 2026",
    note="of a test",
)
ROWS = {"mine": MINE}


def test_it_trains_records_and_goes_on_as_any_row(taught: Any, tmp_path: Path) -> None:
    recipe = taught(method="mine", train={"epochs": 2})
    live = train(recipe, methods=ROWS, out=tmp_path / "live", quiet=True)
    assert live.summary["weights"] == {
        "task": 1.0,
        **{f"mse/stages.{n}": w for n, w in enumerate((0.5, 1.0, 2.0))},
        "cosine/embedding": 0.5,
    }
    assert all(each["mean"] > 0 for each in live.summary["measured"]["losses"].values())
    with pytest.raises(Interrupted):
        train(recipe, methods=ROWS, out=tmp_path / "run", quiet=True, on_step=interrupt_at(13))
    resume(tmp_path / "run", methods=ROWS, quiet=True)
    assert_same(tmp_path / "run", live.path)
    record = record_network(
        recipe, tmp_path / "record", views=2, dtype="float32", methods=ROWS, say=str
    )
    kept = {each.name for each in record.columns}
    assert len(kept) == 4  # attention at three stages, and the embedding
    taught_by_record = taught(
        teacher={"record": str(tmp_path / "record")},
        method={"name": "mine", "balance": "unit"},
        train={"epochs": 2},
    )
    run = train(taught_by_record, methods=ROWS, out=tmp_path / "replayed", quiet=True)
    assert set(run.summary["weights"].values()) == {0.25, 0.5, 1.0}  # fade stays, the rest is 1


def test_it_is_swept_beside_others_and_in_sums_and_forms(taught: Any, tmp_path: Path) -> None:
    names = ["mine", "mine+kd", "cktf(mine)"]
    recipe = taught(train={"epochs": 1}, data={"limit": 96})
    found = sweep(
        recipe, names, methods=ROWS, seeds=1, processes=1, out=tmp_path / "sweep", say=str
    )
    assert found.failed == {}
    assert len(found.runs) == 3
    weights = [run.summary["weights"] for run in found.runs.values()]
    assert [len(each) for each in weights] == [5, 6, 5]


def test_it_is_listed_shown_and_written_into_the_tables() -> None:
    rows = {**METHODS, **ROWS}
    (line,) = (x for x in list_methods(rows).splitlines() if x.startswith("  mine "))
    assert line.endswith("  Where they look, and what they say in the end.")
    assert needs(MINE) == ["an embedding", "stages"]
    text = show_method("mine", rows)
    assert (
        "+ 2 · mse of attention(power=1) at stages, each stage weighted 0.5 of the next, weight"
        in text
    )
    assert "attention   a = unit (1/c Σ_c |f_c|^p)" in text
    assert text.endswith("note: of a test")
    line = next(x for x in methods_table(ROWS).splitlines() if x.startswith("| `mine` |"))
    assert line.startswith("| `mine` | Nobody 2026; of a test | Where they look, and what they say")
    assert "| an embedding, stages | 4,160 par" in line
    pair = CandidatePair("resnet8-cifar", "resnet20-cifar", size=16, examples=100)
    shown = show_pair(pair, {name: find(name, rows) for name in ("mine", "cktf(mine)")})
    assert [line.split()[0] for line in shown.splitlines()[4:]] == ["mine", "cktf(mine)"]


def test_a_recipe_of_it_says_what_it_is_made_of(taught: Any, tmp_path: Path) -> None:
    run = train(taught(method="mine", train={"epochs": 1}), methods=ROWS, out=tmp_path, quiet=True)
    assert json.loads((run.path / "summary.json").read_text())["method"] == "mine"
    assert "name: mine" in (run.path / "recipe.yaml").read_text()


# A loss and a representation of one's own: this file is all that they take


def away(student: Tensor, teacher: Tensor, *, labels: Tensor, power: float = 1.0) -> Tensor:
    """Powers of 1 - cos to each teacher vector of the example's class, `[b]`."""
    s, t = (torch.nn.functional.normalize(x, dim=1, eps=1e-3) for x in (student, teacher.detach()))
    same = (labels[:, None] == labels).to(s)
    return (same * (1 - s @ t.T + 1e-6) ** power).sum(1) / same.sum(1)


class Half(Adapter):
    """The first entries of a vector, twice as many as there are classes."""

    def forward(self, precomputed: Tensor) -> Tensor:
        return precomputed[:, :20]


def half(student: Shape, teacher: Shape) -> tuple[Adapter, Adapter]:
    return Half(), Half()


OWN: Any = {
    "methods": {
        "own": Method(
            "own", (Term("embedding", Component("away", {"power": 0.5}), 1.0, Component("half")),)
        )
    },
    "losses": {"away": LossSpec(away, needs=("labels",), same_width=True, whole_batch=True)},
    "representations": {"half": half},
}


SWEPT = """
from mentee import sweep
from tests.distillation.test_adding_a_method import OWN
swept = sweep({recipe!r}, ["own"], seeds=2, processes=2, out={out!r}, say=str, **OWN)
print(swept.failed, [len(each.summary["weights"]) for each in swept.runs.values()])
"""


def test_a_loss_and_a_representation_of_ones_own_train_resume_and_sweep(
    taught: Any, tmp_path: Path
) -> None:
    recipe = taught(method="own", train={"epochs": 1}, data={"limit": 96})
    run = train(recipe, out=tmp_path / "run", quiet=True, **OWN)
    assert run.summary["weights"] == {"task": 1.0, "away/embedding": 1.0}
    assert run.summary["measured"]["losses"]["away/embedding"]["mean"] > 0
    with pytest.raises(Interrupted):
        train(recipe, out=tmp_path / "cut", quiet=True, on_step=interrupt_at(2), **OWN)
    resume(tmp_path / "cut", quiet=True, **OWN)
    assert_same(tmp_path / "cut", run.path)
    swept = ended(start("-c", SWEPT.format(recipe=recipe, out=str(tmp_path / "s"))))
    assert swept.splitlines()[-1] == "{} [2, 2]"
    assert "away" not in LOSSES
    assert "half" not in REPRESENTATIONS
