"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mentee.errors import MenteeError, suggest


def constant(done: float) -> float:
    """The same rate throughout."""
    return 1.0


def cosine(done: float) -> float:
    """Half a cosine from 1 to 0.

    Example:
        >>> cosine(0.0), round(cosine(0.5), 6), cosine(1.0)
        (1.0, 0.5, 0.0)
    """
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float, *, rise: float = 0.25) -> float:
    """Up in a line from 1/25 over the first quarter, then down half a cosine to 0.

    Source: Smith and Topin 2018 (arXiv:1708.07120), the rate only, not the momentum.

    Example:
        >>> round(one_cycle(0.0), 6), one_cycle(0.25), one_cycle(1.0)
        (0.04, 1.0, 0.0)
    """
    if done < rise:
        return 0.04 + 0.96 * done / rise
    return cosine((done - rise) / (1 - rise))


def steps_down(milestones: Sequence[float], factor: float) -> Callable[[float], float]:
    """The rate times `factor` at each milestone, given as a part of the run in (0, 1).

    Example:
        >>> falling = steps_down([0.5, 0.75], 0.1)
        >>> [round(falling(part), 3) for part in (0.0, 0.5, 0.8)]
        [1.0, 0.1, 0.01]
    """
    # A step stands for the part of the run before it: 150 of 240 epochs is 0.625, and float noise
    # in that quotient must not delay the milestone by a step.
    return lambda done: factor ** sum(done >= milestone - 1e-9 for milestone in milestones)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one-cycle": one_cycle,
}
"""Part of the run done, in [0, 1), to what the rate is multiplied by; `steps` takes milestones."""


def rate_at(
    step: int,
    total: int,
    *,
    schedule: str,
    warmup: int = 0,
    milestones: Sequence[float] = (),
    factor: float = 0.1,
) -> float:
    """What the base rate is multiplied by at a step.

    Args:
        step: steps done before it, from 0.
        total: steps of the whole run.
        schedule: a name of `SCHEDULES`, or `steps`.
        warmup: steps over which the rate rises in a line from 0 first.
        milestones: for `steps`: parts of the run in (0, 1).
        factor: for `steps`: what the rate is multiplied by at each.

    Returns:
        A factor in [0, 1].

    Raises:
        MenteeError: there is no such schedule.
    """
    if schedule != "steps" and schedule not in SCHEDULES:
        raise MenteeError(
            f"there is no schedule {schedule!r}; {suggest(schedule, [*SCHEDULES, 'steps'])}"
        )
    shape = steps_down(milestones, factor) if schedule == "steps" else SCHEDULES[schedule]
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rise * shape(step / max(total, 1))
