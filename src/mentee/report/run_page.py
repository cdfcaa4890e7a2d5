"""The page of a run: its verdict, and the report's sections with figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from mentee.report.blocks import Block, Code, Figure, Page, Section, Table, Text
from mentee.report.citations import citations
from mentee.report.curves import training_curves
from mentee.report.page import RunFiles, run_title, score_rows, sections
from mentee.report.run_figures import (
    confusion_figures,
    corruption_figures,
    layer_figures,
    monitor_figures,
    probe_figures,
    reliability_figures,
    score_figure,
)
from mentee.report.tables import signed


def run_page(run: RunFiles) -> Page:
    """The page of a run, from the files of its folder alone."""
    summary = run.summary
    more: dict[str, list[Block]] = {
        "Scores": score_figure(run),
        "Training": training_curves(summary, run.metrics),
        "Quality of the embedding": monitor_figures(run.metrics),
        "Scores with few labels": probe_figures(run.probe),
        "Out of domain": corruption_figures(summary),
        "Confusions": confusion_figures(run),
    }
    parts = []
    for section in sections(run):
        # A matrix that is drawn needs no sentence on its rows, listed pairs none on the worst.
        old = [b for b in section.blocks if section.title != "Confusions" or isinstance(b, Table)]
        new = more.get(section.title, [])
        parts.append(replace(section, blocks=[*new, *(old if new else section.blocks)]))
        if section.title == "Confusions":
            parts.append(Section("Calibration", reliability_figures(run)))
            layers = layer_figures(run.diagnostics.get("layers") or {})
            parts.append(Section("Similarity of layers", layers))
    parts += [Section("Environment", environment_blocks(run.environment))]
    parts += [Section("Citation", citation_blocks([summary["method"]]))]
    return Page(
        "Run",
        run_title(summary),
        [*about(run)],
        verdict(run),
        [*key_figures(run)],
        parts,
    )


def main_score(summary: Mapping[str, Any]) -> tuple[str, str, float] | None:
    """(part, name, value) of the score that the run is judged by; None: it has none."""
    for part in ("test", "validation"):
        scores = summary.get(part) or {}
        name = (summary.get("score") or {}).get("name") or next(iter(scores), "")
        if name in scores:
            return part, name, scores[name]
    return None


def compared(run: RunFiles) -> Iterator[tuple[str, float, int | None]]:
    """(who, score, examples) of scratch and of each teacher on the part of the main score."""
    main = main_score(run.summary)
    if main is None:
        return
    part, name, _ = main
    scratch = ((run.scratch or {}).get(part) or {}).get(name)
    if scratch is not None:
        yield "scratch", scratch, None
    for label, row in score_rows(run.summary):
        if label.startswith("teacher") and label.endswith(f", {part}") and name in row["scores"]:
            yield f"the {label.removesuffix(f', {part}')}", row["scores"][name], row["examples"]


def verdict(run: RunFiles) -> str:
    """What the run found, in a sentence."""
    main = main_score(run.summary)
    if main is None:
        return "There are no labels to score against."
    part, name, value = main
    parts = []
    for who, score, _ in compared(run):
        way = "above" if value > score else "below" if value < score else ""
        parts.append(f"{abs(value - score):.4f} {way} {who}" if way else f"equal to {who}")
    text = f"{part.capitalize()} {name.replace('_', ' ')} {value:.4f}"
    lower = (run.summary.get("score") or {}).get("higher_is_better") is False
    return f"{', '.join([text, *parts])}{' (lower is better)' * lower}."


def key_figures(run: RunFiles) -> Iterator[Figure]:
    """The numbers that the page begins with."""
    summary = run.summary
    main = main_score(summary)
    if main is not None:
        part, name, value = main
        details = (summary.get("details") or {}).get(part) or {}
        interval = details.get("interval") or {}
        count = details.get("examples", summary["examples"].get(part))
        ends = f"95 % [{interval['low']:.4f}, {interval['high']:.4f}], " if interval else ""
        yield Figure(
            f"{name.replace('_', ' ')}, {part}", f"{value:.4f}", f"{ends}{count:,} examples"
        )
        for who, score, examples in compared(run):
            beside = "same seed; one seed gives no verdict" if examples is None else ""
            of = f"of {examples:,} examples" if examples not in (None, count) else beside
            note = ", ".join(filter(None, [f"{who.removeprefix('the ')} {score:.4f}", of]))
            yield Figure(f"against {who}", signed(value - score), note)
    sizes = summary["parameters"]
    note = ""
    if sizes.get("teacher"):
        note = f"teacher {sizes['teacher']:,}, {sizes['teacher'] / sizes['student']:.2f}×"
    yield Figure("parameters", f"{sizes['student']:,}", note)


def about(run: RunFiles) -> Iterator[str]:
    """Data, teacher, seed and day of a run."""
    recipe = recipe_of(run.recipe)
    data, teacher = recipe.get("data") or {}, recipe.get("teacher") or {}
    if isinstance(data, dict) and data.get("source"):
        yield f"data {data['source']}"
    if isinstance(teacher, dict):
        name = teacher.get("network") or teacher.get("record") or teacher.get("classifier")
        names = [str(name)] if name else [str(n) for n in teacher.get("teachers") or {}]
        if names:
            yield f"teacher{'s' * (len(names) > 1)} {', '.join(names)}"
    if run.summary.get("seed") is not None:
        yield f"seed {run.summary['seed']}"
    if began := run.environment.get("began"):
        yield str(began)[:10]


def recipe_of(text: str) -> dict[str, Any]:
    """A recipe as a mapping; empty where it is none."""
    try:
        recipe = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def environment_blocks(environment: Mapping[str, Any]) -> list[Block]:
    """Versions, machine and command; fingerprints of the data."""
    if not environment:
        return []
    packages = {k: v for k, v in (environment.get("packages") or {}).items() if v}
    data = environment.get("data") or {}
    command = environment.get("command")
    facts = {
        "mentee": " ".join(filter(None, map(environment.get, ("mentee", "commit")))),
        "python": environment.get("python"),
        **packages,
        "platform": environment.get("platform"),
        "cores, threads, processes": ", ".join(
            str(environment[key])
            for key in ("cores", "threads", "processes")
            if environment.get(key) is not None
        ),
        "CUDA": environment.get("cuda"),
        "began": environment.get("began"),
        "command": " ".join(map(str, command)) if isinstance(command, list) else command,
        **{f"fingerprint of {name}": value for name, value in data.items()},
        "fingerprint of the teacher": environment.get("teacher"),
    }
    rows = [[name, str(value)] for name, value in facts.items() if value]
    return [Table([["what", "value"], *rows], folded="Versions, machine, command and fingerprints")]


def citation_blocks(methods: Sequence[str]) -> list[Block]:
    """The papers of methods as BibTeX."""
    text = citations(methods)
    return [Text("The papers of the method, as BibTeX."), Code(text, "bibtex")] if text else []
