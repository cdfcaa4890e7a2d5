"""The figures of a run beside its curves: scores, classes, calibration, layers, domains, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mentee.metrics import mean_interval
from mentee.report.blocks import Block, Confused, Figures, Text
from mentee.report.curves import drawn, grouped
from mentee.report.page import RunFiles, score_rows, scored_part
from mentee.report.plots import Estimate, forest, heat_map, lines, reliability
from mentee.report.svg import Number

NUMBERED = 12
"""The most classes whose confusions are numbers too."""


def score_figure(run: RunFiles) -> list[Block]:
    """The main score of student, scratch and teachers with their intervals, on one axis."""
    summary = run.summary
    rows = score_rows(summary)
    by = (summary.get("score") or {}).get("name") or next(
        (n for _, r in rows for n in r["scores"]), ""
    )
    shown = []
    for label, row in rows:
        if by not in row["scores"]:
            continue
        own = not label.startswith("teacher")
        interval = row.get("interval") or {}
        known = interval if interval.get("score") == by else {}
        name = f"student, {label}" if own else label
        shown.append(
            Estimate(
                name,
                row["scores"][by],
                known.get("low"),
                known.get("high"),
                "helps" if own else "neutral",
            )
        )
        scratch = ((run.scratch or {}).get(label) or {}).get(by) if own else None
        if scratch is not None:
            beside = (((run.scratch or {}).get("details") or {}).get(label) or {}).get("interval")
            ends = (beside["low"], beside["high"]) if beside else (None, None)
            shown.append(Estimate(f"scratch, {label}", scratch, *ends))
    if len(shown) < 2:
        return []
    return [Figures([forest(shown, by.replace("_", " "), zero=False, width=260)])]


def confusion_figures(run: RunFiles) -> list[Block]:
    """The confusion matrix, and the most frequent confusions with examples."""
    part = scored_part(run.summary)
    details = (run.summary.get("details") or {}).get(part) or {}
    counts, names = details.get("confusion") or [], list(details.get("classes") or {})
    blocks: list[Block] = []
    if counts:
        shares, hints = [], []
        for i, row in enumerate(counts):
            total = max(sum(row), 1)
            shares.append([(n / total) ** (1 if i == j else 0.5) for j, n in enumerate(row)])
            hints.append(
                [f"{names[i]} as {names[j]}: {n:,} of {total:,}" for j, n in enumerate(row)]
            )
        shown = [[v or None for v in row] for row in shares]
        few = len(names) <= NUMBERED
        texts = [[f"{n:,}" if n else "" for n in row] for row in counts] if few else None
        plot = heat_map(
            shown,
            names,
            names,
            f"confusion matrix on {part}",
            texts=texts,
            hints=hints,
            diagonal=True,
            across="predicted class",
            down="true class",
        )
        caption = (
            f"On {part}. Blue: right, by the share of the class; orange: wrong, by the square root "
            "of the share, so that rare confusions show."
        )
        blocks.append(Figures([plot], caption))
    if pairs := run.diagnostics.get("confused"):
        part = run.diagnostics.get("part", part)
        text = (
            f"The most frequent confusions on {part}, with the examples the student was surest of."
        )
        blocks += [Text(text), Confused(pairs)]
    return blocks


def reliability_figures(run: RunFiles) -> list[Block]:
    """The reliability diagram."""
    bins = run.diagnostics.get("reliability") or []
    if not bins:
        return []
    part = run.diagnostics.get("part", "")
    several = "ece" not in (run.summary.get(part) or {})
    right = "share positive" if several else "accuracy"
    sure = "probability" if several else "confidence"
    ece = (run.summary.get(part) or {}).get("ece")
    measured = "" if ece is None else f" Expected calibration error {ece:.4f}."
    caption = (
        f"On {part}. On the dashed line the student is right as often as it is sure, below it less "
        f"often. Lines: 95 % intervals; bars: how many examples.{measured}"
    )
    return [Figures([reliability(bins, "reliability diagram", sure, right)], caption)]


def layer_figures(layers: Mapping[str, Any]) -> list[Block]:
    """CKA of the student's layers with each teacher's."""
    if not layers:
        return []
    plots = []
    for name, each in layers["teachers"].items():
        teacher = f"teacher {name}".strip()
        texts = [[f"{value:.2f}" for value in row] for row in each["cka"]]
        title = f"CKA of layers, student and {teacher}"
        rows, columns = layers["student"], each["layers"]
        plots.append(
            heat_map(each["cka"], rows, columns, title, texts=texts, across=teacher, down="student")
        )
    caption = (
        f"Debiased linear CKA on {layers['examples']:,} examples of {layers['part']}, maps by "
        "their mean: 1, the same up to rotation and scale; 0, unrelated."
    )
    return [Figures(plots, caption)]


def corruption_figures(summary: Mapping[str, Any]) -> list[Block]:
    """The main score by kind and severity of corruption."""
    by = (summary.get("score") or {}).get("name", "accuracy")
    grids: dict[str, dict[str, dict[str, float]]] = {}
    for label, each in (summary.get("out_of_domain") or {}).items():
        name, slash, corruption = label.partition("/")
        kind, dash, severity = corruption.rpartition("-")
        if slash and dash and by in each["scores"]:
            grids.setdefault(name, {}).setdefault(kind, {})[severity] = each["scores"][by]
    plots = []
    for name, grid in grids.items():
        severities = sorted({s for row in grid.values() for s in row})
        values = [[row.get(s) for s in severities] for row in grid.values()]
        texts = [["" if v is None else f"{v:.2f}" for v in row] for row in values]
        title = f"{name}: {by} by severity"
        plots.append(heat_map(values, list(grid), severities, title, texts=texts, across=title))
    return [Figures(plots)] if plots else []


def monitor_figures(metrics: Sequence[Mapping[str, Any]]) -> list[Block]:
    """The scores of the monitor over the epochs."""
    scores = grouped(metrics, "monitor", None)
    plot = drawn({k: scores[k] for k in ("knn", "probe") if k in scores}, "monitored examples")
    return [Figures([plot])] if plot else []


def probe_figures(probe: Mapping[str, Any] | None) -> list[Block]:
    """The scores of probes by the number of labels, and differences to the untrained student."""
    rows = probe["rows"] if probe else []
    by = ((probe or {}).get("settings") or {}).get("by", "score")
    scores: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for row in rows:
        labels = scores.setdefault((row["way"], row["who"]), {}).setdefault(row["labels"], {})
        labels[row.get("seed", 0)] = row["score"]
    plots = []
    for way in dict.fromkeys(way for way, _ in scores):
        means = {
            who: [(n, *mean_and_ends(list(seeds.values()))) for n, seeds in sorted(each.items())]
            for (of, who), each in scores.items()
            if of == way
        }
        series = {who: [(n, mean) for n, mean, _, _ in points] for who, points in means.items()}
        bands = {
            who: [(n, low, high) for n, _, low, high in points if low is not None is not high]
            for who, points in means.items()
        }
        if max(map(len, series.values())) > 1:
            title = f"{way}: {by}"
            plots.append(lines(series, title, across="labels", logarithmic=True, bands=bands))
    gains = differences(scores)
    forests = [forest(gains, f"{by}: difference to the untrained student")] if gains else []
    text = "Bars: 95 % intervals of the mean over draws of the labels, of three draws or more."
    colored = " Filled: the interval leaves out 0; nothing is corrected for the number of rows."
    captions = (text, text + colored)
    both = zip((plots, forests), captions, strict=True)
    return [Figures(each, caption) for each, caption in both if each]


def differences(
    scores: Mapping[tuple[str, str], Mapping[int, Mapping[int, float]]],
) -> list[Estimate]:
    """Each network minus the untrained student, paired by the draw of the labels."""
    gains = []
    for (way, who), by_labels in scores.items():
        base = scores.get((way, "untrained"), {}) if who != "untrained" else {}
        for labels, seeds in sorted(by_labels.items()):
            beside = base.get(labels, {})
            pairs = [score - beside[seed] for seed, score in seeds.items() if seed in beside]
            if pairs:
                mean, low, high = mean_and_ends(pairs)
                clear = low is not None and high is not None and low * high > 0
                style = ("helps" if mean > 0 else "hurts") if clear else "neutral"
                gains.append(Estimate(f"{who}, {way}, {labels:,} labels", mean, low, high, style))
    return gains


def mean_and_ends(values: Sequence[Number]) -> tuple[float, float | None, float | None]:
    """The mean and its 95 % interval, which is known of three values or more."""
    mean, _, half = mean_interval(values)
    if half is None or len(values) < 3:
        return mean, None, None
    return mean, mean - half, mean + half
