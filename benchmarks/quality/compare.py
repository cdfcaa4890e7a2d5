"""Rows of runs, one run per seed: means, spreads, and differences with their intervals.

Runs with one seed share images, order of examples and initial weights, so rows are compared seed by
seed: the spread that the seeds have in common falls out of the difference.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """The mean difference of two rows, seed by seed.

    Attributes:
        mean: above 0 where the first row is larger.
        spread: sample standard deviation of the differences; 0 for one seed.
        half: half the width of the interval: it is mean ± half; infinite for one seed.
        seeds: how many differences there are.
    """

    mean: float
    spread: float
    half: float
    seeds: int

    @property
    def clear(self) -> bool:
        """True where the interval does not hold 0."""
        return abs(self.mean) > self.half

    def __str__(self) -> str:
        if self.seeds == 1:
            return f"{self.mean:+.2f}"
        return f"{self.mean:+.2f} ± {self.half:.2f}"


def mean(values: Sequence[float]) -> float:
    """x̄ = Σ xᵢ / n."""
    return statistics.fmean(values)


def spread(values: Sequence[float]) -> float:
    """The sample standard deviation s = √(Σ (xᵢ − x̄)² / (n − 1)); 0 for one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def interval(values: Sequence[float], confidence: float = 0.95) -> float:
    """Half the width of Student's interval of the mean: t((1 + confidence) / 2, n − 1) · s / √n.

    Args:
        values: `n` numbers, taken as independent and about normal.
        confidence: how often such intervals hold the true mean.

    Returns:
        Infinity for one value.
    """
    from scipy import stats

    if len(values) < 2:
        return math.inf
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    return quantile * spread(values) / math.sqrt(len(values))


def difference(
    row: Sequence[float], baseline: Sequence[float], confidence: float = 0.95
) -> Difference:
    """The paired difference of a row to another: xᵢ − yᵢ for each seed i.

    Args:
        row: `n` numbers, one per seed.
        baseline: `n` numbers of the same seeds, in the same order.
        confidence: of the interval.

    Raises:
        ValueError: the rows have different numbers of seeds, or none.
    """
    if not row or len(row) != len(baseline):
        raise ValueError(
            f"{len(row)} and {len(baseline)} numbers: expected one of each row for every seed"
        )
    pairs = [a - b for a, b in zip(row, baseline, strict=True)]
    return Difference(mean(pairs), spread(pairs), interval(pairs, confidence), len(pairs))


def summary(rows: Mapping[str, Sequence[float]], baseline: str) -> list[dict[str, object]]:
    """What each row is worth, ready for a JSON file.

    Args:
        rows: name to one number per seed, all with the same seeds in the same order.
        baseline: the row that the others are compared with.

    Returns:
        For each row `row`, `values`, `mean`, `spread`, and `above` with `mean`, `spread`, `half`
        and `clear`; `above` is None for the baseline itself, `half` for one seed.
    """
    result: list[dict[str, object]] = []
    for name, values in rows.items():
        gain = None if name == baseline else difference(values, rows[baseline])
        result.append(
            {
                "row": name,
                "values": [round(value, 3) for value in values],
                "mean": round(mean(values), 3),
                "spread": round(spread(values), 3),
                "above": gain
                and {
                    "mean": round(gain.mean, 3),
                    "spread": round(gain.spread, 3),
                    "half": round(gain.half, 3) if math.isfinite(gain.half) else None,
                    "clear": gain.clear,
                },
            }
        )
    return result


def table(rows: Mapping[str, Sequence[float]], baseline: str, what: str) -> list[str]:
    """The lines of a Markdown table: mean ± spread, and the difference with its 95 % interval.

    A difference whose interval does not hold 0 is in bold type.

    Args:
        rows: as for `summary`.
        baseline: as for `summary`.
        what: heading of the numbers' column.
    """
    lines = [f"| row | {what} | above `{baseline}` |", "|---|---|---|"]
    for name, values in rows.items():
        text = f"{mean(values):.2f}"
        if len(values) > 1:
            text += f" ± {spread(values):.2f}"
        gain = None if name == baseline else difference(values, rows[baseline])
        above = "" if gain is None else f"**{gain}**" if gain.clear else str(gain)
        lines.append(f"| `{name}` | {text} | {above} |")
    return lines
