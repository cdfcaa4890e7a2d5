"""What a reader of a comparison has to know beside the numbers: a sentence each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mentee.experiments.rows import STOPPED, Row
from mentee.experiments.statistics import LEVEL

if TYPE_CHECKING:
    from mentee.experiments.results import Group

NO_NOTE = ("under way", "not started", STOPPED)
"""States that need no note of their own."""
FEW = 200
"""With fewer validation examples than that a note tells how far their scores vary by chance."""


def group_notes(group: Group) -> Iterator[str]:
    """A sentence for everything that a reader has to know of these rows."""
    student = group.rows[0].student
    if group.scratch is None or not group.rows[group.scratch].runs:
        yield f"{student}: from scratch is not finished, so nothing is compared with it."
    if not group.validated:
        yield f"{student}: no validation score: ordered by name, and no best is chosen."
    for row, to_scratch in zip(group.rows, group.to_scratch, strict=True):
        seeds: dict[str, list[int]] = {}
        for seed, text in row.missing.items():
            seeds.setdefault(text, []).append(seed)
        reasons = [
            f"{text} (seed{'s' * (len(each) > 1)} {', '.join(map(str, each))})"
            for text, each in seeds.items()
            if not text.startswith(NO_NOTE)
        ]
        if reasons:
            n = to_scratch.seeds if to_scratch is not None else 0
            compared = f"; compared on {n} seed{'s' * (n != 1)}" if n else ""
            yield f"{student} {row.method}: {'; '.join(reasons)}{compared}."
    if unsteady := group.summary()["unsteady"]:
        yield (
            f"{student}: {', '.join(unsteady)} vary over the seeds more than the other rows; "
            "they are judged by their own spread and not pooled."
        )
    steps = {run["steps"] for row in group.rows for run in row.runs.values()}
    if len(steps) > 1:
        yield (
            f"{student}: not of equal budget, {min(steps):,} to {max(steps):,} steps "
            "(select.patience stops a run early)."
        )


def known_to(count: int) -> str:
    """How well a share of so many examples is known: the half width of 95 %, where it is widest."""
    return (
        f"{count} examples: by these alone a share such as accuracy is known to "
        f"± {0.98 / count**0.5:.2f} at most"
    )


def run_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Sentences on what all rows have in common, and on classes that runs never predict."""
    runs = [run for row in rows for run in row.runs.values()]
    counts = [int((run.get("examples") or {}).get("validation") or 0) for run in runs]
    few = min(filter(None, counts), default=FEW)
    if few < FEW:
        yield (
            f"Validation has {known_to(few)}, so rows that are nearer than that stand in an order "
            "of chance, and the best was hardly chosen."
        )
    views = {str(run["reading"]) for run in runs if str(run.get("reading")).startswith("views=")}
    if views:
        count = ", ".join(sorted(each.removeprefix("views=") for each in views))
        yield (
            f"Every run reads the same {count} recorded views of each example, epoch after epoch; "
            "a run of mentee train with this recipe and seed has a new view in every epoch, and "
            "another score. --live makes them equal."
        )
    for row in rows:
        never = Counter(
            name
            for run in row.runs.values()
            for name, each in (details(run, "test").get("classes") or {}).items()
            if each.get("predicted") == 0 and each.get("positive", each["examples"])
        )
        for name, times in never.most_common(3):
            yield (
                f"{row.student} {row.method}: class {name} is never predicted on test in {times} "
                f"of {len(row.runs)} runs."
            )


def details(run: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    """What stands beside the scores of a part in a run's summary."""
    return (run.get("details") or {}).get(part) or {}


def majority(rows: Sequence[Row], part: str) -> float | None:
    """The accuracy of always predicting the most frequent class; None: not known."""
    runs = [run for row in rows for run in row.runs.values()]
    return next((m for run in runs if (m := details(run, part).get("majority")) is not None), None)


def budget_note(budget: Mapping[str, Any], stopped: int) -> str:
    """A sentence on the rows that a budget stopped."""
    at = ", ".join(map(str, budget["rungs"]))
    return (
        f"Budget {budget['share']:g}: after epoch {at} of {budget['epochs']} a row of the first "
        f"seed was continued only if it was among the best 1 in {budget['factor']} on validation. "
        f"{stopped} row{'s were' if stopped != 1 else ' was'} stopped, without a verdict; these "
        "runs can be resumed. The others were chosen by their first seed, which flatters them."
    )


def examples_needed(share: float, difference: float) -> int:
    r"""How many test examples it takes until a 95 % interval of two shares is narrower than that.

    The normal approximation for shares of examples that are drawn for each of the two:

    .. math:: z_{0.975} \sqrt{2 p (1 - p) / n} \le d

    Of the same examples fewer are enough: :math:`2 p (1 - p)` is then :math:`q - d^2`, of the share
    q of examples on which one of the two is right and the other is not.

    Args:
        share: p, the accuracy of both, in [0, 1].
        difference: d, above 0.

    Example:
        >>> examples_needed(0.9, 0.02), examples_needed(0.5, 0.02)
        (1729, 4802)
    """
    from scipy import stats

    z = float(stats.norm.ppf(1 - LEVEL / 2))
    return math.ceil(2 * share * (1 - share) * (z / difference) ** 2)
