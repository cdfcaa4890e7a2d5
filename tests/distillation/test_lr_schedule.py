from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.build.optimizer import schedule_notes, training_plan
from mentee.data import steps_per_epoch
from mentee.distillation.lr_schedule import rate_at
from mentee.errors import MenteeError
from mentee.recipe import Recipe, read


def published() -> Recipe:
    """240 epochs, the rate a tenth of itself at 150, 180 and 210, as CRD and CKTF have it."""
    return read(
        {
            "data": "embedded:digits",
            "student": "resnet8-cifar",
            "train": {
                "epochs": 240,
                "batch": 64,
                "schedule": "steps",
                "milestones": [150, 180, 210],
                "factor": 0.1,
            },
        }
    )


@pytest.mark.parametrize("examples", [64, 50_000, 64 * 7 + 3])
def test_the_published_steps_give_each_epoch_its_factor(examples: int) -> None:
    made = training_plan(published().train, steps_per_epoch(examples, 64))
    assert made.steps == 240 * (examples // 64)
    for epoch in range(240):
        factor = 0.1 ** sum(epoch >= milestone for milestone in (150, 180, 210))
        for step in (epoch * made.batches, (epoch + 1) * made.batches - 1):
            assert made.lr(step, made.steps) == pytest.approx(factor, rel=1e-12)


@given(total=st.integers(1, 5000), data=st.data())
@settings(max_examples=50, deadline=None)
def test_cosine_and_one_cycle_are_their_formulas(total: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, total - 1))
    done = step / total
    falling = 0.5 * (1 + math.cos(math.pi * done))
    assert rate_at(step, total, schedule="cosine") == pytest.approx(falling)
    up_down = (
        0.04 + (1 - 0.04) * done / 0.25
        if done < 0.25
        else 0.5 * (1 + math.cos(math.pi * (done - 0.25) / 0.75))
    )
    assert rate_at(step, total, schedule="one-cycle") == pytest.approx(up_down)
    assert rate_at(step, total, schedule="constant") == 1.0


def test_warmup_rises_in_a_line() -> None:
    rates = [rate_at(step, 100, schedule="constant", warmup=4) for step in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@given(
    schedule=st.sampled_from(["constant", "cosine", "one-cycle", "steps"]),
    total=st.integers(1, 300),
    warmup=st.integers(0, 400),
)
@settings(max_examples=50, deadline=None)
def test_every_factor_is_in_0_to_1(schedule: str, total: int, warmup: int) -> None:
    for step in range(total):
        rate = rate_at(step, total, schedule=schedule, warmup=warmup, milestones=[0.5])
        assert 0 <= rate <= 1


def test_an_unknown_schedule_names_the_close_one() -> None:
    with pytest.raises(MenteeError, match=r"no schedule 'cosin'; did you mean 'cosine'"):
        rate_at(0, 10, schedule="cosin")


@pytest.mark.parametrize(
    ("train", "note"),
    [
        ({"schedule": "cosine"}, "train.milestones is not used: train.schedule is cosine, not"),
        ({"epochs": 180}, "train.milestones [180, 210] are not reached in the 180 epochs"),
        ({"warmup": 500}, "train.warmup of 500 steps does not end within the 500 of the run"),
        ({"warmup": 499}, None),
    ],
)
def test_what_a_run_does_not_follow_is_told(train: dict[str, Any], note: str | None) -> None:
    changed = published().train.model_copy(update=train)
    notes = schedule_notes(changed, 500)
    assert len(notes) == (note is not None)
    assert not note or notes[0].startswith(note)
