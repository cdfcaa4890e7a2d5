"""Writes the tables of docs/results/methods.md: `python benchmarks/quality/methods_page.py`.

Between `<!-- begin NAME -->` and `<!-- end -->`; the text around them stays.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))
from methods import joined

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "results" / "methods.md"


CLAIMS = (
    ("cktf", "none"),
    ("cktf", "kd"),
    ("cktf", "crd"),
    ("cktf+kd", "kd"),
    ("cktf+kd", "fitnet"),
    ("cktf+kd", "reviewkd"),
)
"""What the default contrast is compared with, at each length of training."""


RESNET8 = ("methods-5", "in-batch", "methods-20")
MOBILENET = ("mobilenet-5", "mobilenet-10", "mobilenet-20")
"""The files of a student after 5, 10 and 20 epochs."""


def measured() -> list[dict[str, Any]]:
    """What the blocks are made of."""
    names = ("methods", "methods-second", "in-batch", "forms")
    return [json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in names]


def blocks(
    content: dict[str, Any],
    other: dict[str, Any],
    in_batch: dict[str, Any],
    one_seed: dict[str, Any],
) -> dict[str, str]:
    """The tables by name."""
    return {
        "inbatch": results(in_batch),
        "forms": forms(one_seed),
        "budgets": budgets(lengths(RESNET8)),
        "claims": claims(lengths(RESNET8)),
        "budgets_mobilenet": budgets(lengths(MOBILENET)),
        "claims_mobilenet": claims(lengths(MOBILENET)),
        "results": results(content),
        "costs": lines(
            [
                "method",
                "same prediction as the teacher, %",
                "calibration error",
                "extra parameters",
            ],
            [
                [
                    f"`{row['method']}`",
                    "" if row["agreement"] is None else percent(row["agreement"]),
                    f"{row['ece']:.3f}",
                    f"{row['heads']:,.0f}",
                ]
                for row in content["rows"]
                if row["test"]
            ],
        ),
        "claim": claim(content),
        "counted": counted(content),
        "second": results(other),
    }


def counted(content: dict[str, Any]) -> str:
    """In how many of the thirteen rows each kind of form gains, and by how much in the mean."""
    formatted = []
    for kind, text in (("sum", "`X+cktf-bank`"), ("form", "`cktf(X)`, bank")):
        family = [each for each in content["claim"] if each["kind"] == kind]
        gains = [each["gain"]["mean"] for each in family]
        verdicts = [each["verdict"] for each in family]
        above = sum(gain > 0 for gain in gains)
        formatted.append(
            [
                text,
                f"{above} of {len(family)}",
                f"{verdicts.count('HELPS')}",
                f"{verdicts.count('HURTS')}",
                f"{100 * sum(gains) / len(gains):+.1f}",
                f"{100 * min(gains):+.1f} to {100 * max(gains):+.1f}",
            ]
        )
    head = ["form", "above X", "helps", "hurts", "mean gain", "gains"]
    return lines(head, formatted)


def results(content: dict[str, Any]) -> str:
    """A line for each row."""
    head = ["method", "validation", "test", "to scratch", "verdict"]
    return lines(head, [result(row) for row in content["rows"]])


def result(row: dict[str, Any]) -> list[str]:
    """A line of the results."""
    if row["test"] is None:
        return [f"`{row['method']}`", "", "", "", next(iter(row["missing"].values()))]
    return [
        f"`{row['method']}`",
        percent(row["validation"]["mean"]),
        spread(row["test"]),
        gain(row["to_scratch"]),
        "scratch" if row["verdict"] is None else row["verdict"].lower(),
    ]


def claim(content: dict[str, Any]) -> str:
    """X, `cktf(X)` and `X+cktf` side by side."""
    means = {row["method"]: row["test"]["mean"] for row in content["rows"] if row["test"]}
    measured: dict[str, dict[str, Any]] = {}
    for each in content["claim"]:
        measured.setdefault(each["row"], {})[each["kind"]] = each
    cells = []
    for name, kinds in measured.items():
        line = [f"`{name}`", percent(means[name])]
        for kind in ("form", "sum"):
            each = kinds.get(kind)
            if each is None:
                line += ["the same method", ""]
                continue
            other = each["derived"]
            own = other if other not in (f"cktf({name}), bank", f"{name}+cktf-bank") else ""
            line += [percent(means[other]) + (f" (`{own}`)" if own else "")]
            line += [f"{interval(each['gain'])}, {each['verdict'].lower()}"]
        cells.append(line)
    return lines(["X", "test", "`cktf(X)`, bank", "gain", "`X+cktf-bank`", "gain"], cells)


def lengths(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The measurements of the default contrast after 5, 10 and 20 epochs, those that there are."""
    paths = {n: HERE / f"{name}.json" for n, name in zip(("5", "10", "20"), names, strict=True)}
    contents = {
        each: json.loads(path.read_text(encoding="utf-8"))
        for each, path in paths.items()
        if path.is_file()
    }
    if "in-batch" in names:
        contents["10"] = joined(contents["10"], HERE / "methods.json")
    return contents


def budgets(by_length: dict[str, dict[str, Any]]) -> str:
    """Test scores of each method after so many epochs."""
    scores = {
        each: {row["method"]: row["test"] for row in content["rows"]}
        for each, content in by_length.items()
    }
    names = sorted(scores["5"], key=lambda name: -scores["5"][name]["mean"])
    head = ["method", *(f"{each} epochs" for each in scores)]
    cells = [
        [f"`{name}`", *(spread(each[name]) if name in each else "" for each in scores.values())]
        for name in names
    ]
    return lines(head, cells)


def claims(by_length: dict[str, dict[str, Any]]) -> str:
    """Differences with their intervals after so many epochs."""
    from mentee.experiments.statistics import difference, noise

    cells = [[f"`{one}` − `{other}`"] for one, other in CLAIMS]
    for content in by_length.values():
        rows = {row["method"]: row["test"]["scores"] for row in content["rows"] if row["test"]}
        rows = {name: rows[name] for name in dict.fromkeys(sum(CLAIMS, ())) if name in rows}
        seeds = [str(seed) for seed in content["seeds"]]
        scores = np.array([[each.get(seed, np.nan) for seed in seeds] for each in rows.values()])
        pooled, names = noise(scores), list(rows)
        for line, (one, other) in zip(cells, CLAIMS, strict=True):
            if one not in rows or other not in rows:
                line.append("")
                continue
            gain = difference(scores, names.index(one), names.index(other), pooled)
            line.append(interval({"mean": gain.mean, "low": gain.low, "high": gain.high}))
    head = ["difference", *(f"{each} epochs" for each in by_length)]
    return lines(head, cells)


def forms(content: dict[str, Any]) -> str:
    """X, its form and its sum, of one seed; gains that are more than chance in bold."""
    half = float(stats.t.ppf(0.975, 126)) * 2**0.5 * content["deviation"]

    def gained(row: dict[str, Any], key: str) -> str:
        gain = row[key] - row["test"]
        return f"**{100 * gain:+.1f}**" if abs(gain) > half else f"{100 * gain:+.1f}"

    cells = [
        [
            f"`{row['method']}`",
            percent(row["test"]),
            "" if row["form"] is None else percent(row["form"]),
            "the same method" if row["form"] is None else gained(row, "form"),
            percent(row["sum"]),
            gained(row, "sum"),
        ]
        for row in content["rows"]
    ]
    return lines(["X", "test", "`cktf(X)`", "gain", "`X+cktf`", "gain"], cells)


def percent(value: float) -> str:
    """In per cent."""
    return f"{100 * value:.1f}"


def spread(score: dict[str, Any]) -> str:
    """A mean with its deviation over the seeds, in per cent."""
    deviation = score["deviation"]
    return percent(score["mean"]) + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def gain(measured: dict[str, Any] | None) -> str:
    """A difference with its interval, in points."""
    if measured is None or measured["difference"] is None:
        return ""
    return interval(
        {"mean": measured["difference"], "low": measured["low"], "high": measured["high"]}
    )


def interval(measured: dict[str, float | None]) -> str:
    """`+1.2 [+0.4, +2.0]`."""
    formatted = f"{100 * measured['mean']:+.1f}"
    if measured["low"] is None:
        return formatted
    return f"{formatted} [{100 * measured['low']:+.1f}, {100 * measured['high']:+.1f}]"


def lines(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, of the columns in which there is anything."""
    columns = [i for i in range(len(head)) if any(row[i] for row in rows)]
    head, rows = [head[i] for i in columns], [[row[i] for i in columns] for row in rows]
    bar = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", bar, *(f"| {' | '.join(r)} |" for r in rows)])


def filled(page: str, made: dict[str, str]) -> str:
    """The page with its tables written again."""

    def table(measured: re.Match[str]) -> str:
        return f"{measured[1]}\n\n{made[measured[2]]}\n\n{measured[3]}"

    pattern = re.compile(r"(<!-- begin (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(table, page)


def main() -> None:
    """Write the page."""
    page = filled(PAGE.read_text(encoding="utf-8"), blocks(*measured()))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
