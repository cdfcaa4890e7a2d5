"""The pages of experiments: of a sweep, a comparison and probes of records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentee import files, report
from mentee.errors import RunError
from mentee.evaluation.evaluator import write_report
from mentee.experiments.comparison_report import figure, markdown, page
from mentee.experiments.jobs import Job, saved_jobs
from mentee.experiments.results import results
from mentee.experiments.rows import read_rows
from mentee.recipe import dump
from mentee.report.blocks import Code, Head, Page, Section, Text
from mentee.report.page import probe_blocks
from mentee.report.run_figures import probe_figures
from mentee.report.run_page import citation_blocks, environment_blocks
from mentee.report.svg import standalone
from mentee.runs.changes import DISTILL_PLAN, SWEEP_PLAN
from mentee.runs.folder import Folder

FIRST = "Of the first run; the others differ from it in student, method and seed."


def write_page(path: str | Path) -> Path:
    """Write the page of a run, a sweep, a comparison, a search or probes of records again.

    Returns:
        The page.

    Raises:
        RunError: the folder holds none of them, or is not finished.
    """
    folder = Folder(Path(path))
    if (folder.path / DISTILL_PLAN).is_file():
        from mentee.experiments.distill.result import write_pages

        advice = "give the command of the search again, which writes it"
        content = files.read_json(folder.path / DISTILL_PLAN, advice)
        if "winner" not in content:
            raise RunError(f"{folder.path} is not finished; {advice}")
        return write_pages(folder.path, content)
    if (folder.path / SWEEP_PLAN).is_file():
        jobs, compared = saved_jobs(folder.path), folder.path / "compare.json"
        if not compared.is_file():
            return write_sweep(folder.path, jobs, {})
        advice = "give the command of the comparison again, which writes it"
        return write_comparison(folder.path, "compare", files.read_json(compared, advice), jobs)
    if folder.probe.is_file() and not folder.recipe.is_file():
        return write_probe(folder)
    write_report(folder.path)
    return folder.page


def write_comparison(
    out: Path,
    name: str,
    content: Mapping[str, Any],
    jobs: Sequence[Job],
    head: Head | None = None,
    html: str = "",
) -> Path:
    """Write `NAME.md`, `NAME.svg` and `NAME.html` of a comparison, each atomically.

    `head` stands before it; `html` is another name of the last file.

    Returns:
        The page.
    """
    if plot := figure(content):
        files.write_text(out / f"{name}.svg", standalone(plot))
    files.write_text(out / f"{name}.md", markdown(content, name, head))
    target = out / (html or f"{name}.html")
    files.write_text(target, page(content, name, setup_sections(jobs), head))
    return target


def write_sweep(out: Path, jobs: Sequence[Job], failed: Mapping[str, str]) -> Path:
    """Write `sweep.md`, `sweep.svg` and `sweep.html`: scores, and differences to scratch.

    Returns:
        The page.
    """
    seeds = list(dict.fromkeys(job.seed for job in jobs))
    content = results(read_rows(jobs, failed, {}), seeds)
    return write_comparison(out, "sweep", content, jobs)


def setup_sections(jobs: Sequence[Job]) -> list[Section]:
    """Recipe, environment and papers of the runs."""
    done = next((job for job in jobs if job.finished), None)
    environment = done.folder.read_environment() if done else {}
    methods = list(dict.fromkeys(job.recipe.method.name for job in jobs))
    recipe = Code(dump(jobs[0].recipe), "yaml", "recipe.yaml")
    return [
        Section("Recipe", [Text(FIRST), recipe]),
        Section("Environment", environment_blocks(environment)),
        Section("Citation", citation_blocks(methods)),
    ]


def write_probe(folder: Folder) -> Path:
    """Write `probe.html` of the probes of records, beside `probe.json`.

    Returns:
        The page.
    """
    content = folder.read_probe()
    if content is None or not content["rows"]:
        raise RunError(f"{folder.probe} has no results yet; probe the records to the end")
    names = list(dict.fromkeys(row["who"] for row in content["rows"]))
    count = f"{len(names)} record{'s' * (len(names) != 1)}"
    best = max(content["rows"], key=lambda row: (row["labels"], row["score"]))
    by = (content.get("settings") or {}).get("by", "score")
    verdict = (
        f"With the most labels ({best['labels']:,}) the best probe is {best['way']} of "
        f"{best['who']}: {by} {best['score']:.4f}."
    )
    section = Section("Scores", [*probe_figures(content), *probe_blocks(content)])
    whole = report.html(Page("Probe", count, names, verdict, [], [section]))
    files.write_text(folder.path / "probe.html", whole)
    return folder.path / "probe.html"
