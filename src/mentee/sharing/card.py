"""`mentee card`: the model card of a run, `README.md` as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mentee import files
from mentee.catalogue.equation import describe_by_layers, formulas
from mentee.errors import MenteeError, first_few, shortened
from mentee.evaluation.evaluator import finished_files, plain_content_errors
from mentee.methods import METHODS
from mentee.recipe.method import MethodRecipe
from mentee.report.blocks import Block, Items, Section, Table, Text, markdown
from mentee.report.page import RunFiles, run_title, scored_part, sections
from mentee.report.run_page import citation_blocks, compared, main_score, recipe_of, verdict
from mentee.report.teachers import interval_text, teacher_notes, teachers_of
from mentee.sharing.local_paths import cleaned, local_names, pattern, without_paths
from mentee.sharing.metadata import NOT_GIVEN, Licenses, data_name, metadata

CARD = "README.md"
USE = {
    "model.onnx": "`export/model.onnx` runs with onnxruntime; `python export/predict.py FILE...` "
    "reads files and prints their classes.",
    "model.pt2": '`export/model.pt2` runs with torch: `torch.export.load("export/model.pt2")'
    ".module()`.",
    "timm": '`export/timm` runs with timm: `timm.create_model("local-dir:export/timm", '
    "pretrained=True)`.",
    "safetensors": "`export/safetensors` runs with torch: `load()` of its `network.py` is the "
    "network with its weights.",
}
"""The files of `mentee export`, and how each is run."""
NOTES = ("notes", "data_notes", "network_notes", "compute_notes")


def card(
    run: str | Path,
    *,
    license: str | None = None,
    teacher_license: str | None = None,
    data_license: str | None = None,
    dataset: str | None = None,
    out: str | Path | None = None,
) -> Path:
    """Write the model card of a finished run, `README.md` in its folder.

    Args:
        run: the run's folder.
        license: of the student, a name of the hub's list, such as `apache-2.0`.
        teacher_license: of the teacher.
        data_license: of the data.
        dataset: the name of the data, where the recipe names a local file; `owner/name` on the hub.
        out: another folder for the card, which holds `export/`, too.

    Returns:
        The file.

    Raises:
        RunError: there is no run, or it is not finished.
    """
    folder = Path(run if out is None else out)
    licenses = {"Student": license, "Teacher": teacher_license, "Data": data_license}
    known = finished_files(run)
    with plain_content_errors(run):
        public = public_run(known, Path(run))
        files.write_text(folder / CARD, card_text(public, folder, licenses, dataset))
    return folder / CARD


def public_run(run: RunFiles, path: Path) -> RunFiles:
    """A run's files for others: no path of this machine, command, notes on files, or examples."""
    recipe = recipe_of(run.recipe)
    local = pattern(local_names(path, [recipe, run.probe]))
    seen = {key: each for key, each in run.diagnostics.items() if key != "confused"}
    environment = {key: each for key, each in run.environment.items() if key != "command"}
    return replace(
        run,
        summary=cleaned({**run.summary, **{name: [] for name in NOTES}}, local),
        recipe=yaml.safe_dump(without_paths(recipe, []), sort_keys=False, allow_unicode=True),
        probe=cleaned(run.probe, local),
        environment=cleaned(environment, local),
        diagnostics=cleaned(seen, local),
        benchmark=cleaned(run.benchmark, local),
    )


def card_text(
    run: RunFiles, path: Path, licenses: Licenses = NOT_GIVEN, dataset: str | None = None
) -> str:
    """The card: metadata in YAML, then Markdown; of files that `public_run` gives."""
    recipe = recipe_of(run.recipe)
    data = dataset or data_name(recipe)
    by_title = {each.title: each.blocks for each in sections(run)}
    usage = [text for name, text in USE.items() if (path / "export" / name).exists()]
    parts = [
        Section("", [Text(introduction(run, recipe, data))]),
        Section(
            "Use", [Items(usage or ["There is no exported file; `mentee export` writes them."])]
        ),
        Section("Data", [*data_blocks(run, recipe, data), *by_title["Data"][:1]]),
        Section("Training", [*training(run, recipe)]),
        Section("Scores", [Text(verdict(run)), *by_title["Scores"], *scratch(run)]),
        Section("Quality of the embedding", by_title["Quality of the embedding"]),
        Section("Limits", [Items([*limits(run)]), *by_title["Out of domain"]]),
        Section(
            "Licenses", [Items([f"{who}: {each or 'not given'}" for who, each in licenses.items()])]
        ),
        Section("Environment", [Text(environment(run))]),
    ]
    plain = [part if part.title == "Use" else escaped(part) for part in parts]
    cited = Section("Citation", citation_blocks([run.summary["method"]]))
    text = markdown(escape(run_title(run.summary)), [*plain, cited])
    return f"---\n{metadata(run, recipe, data, licenses).to_yaml()}\n---\n\n{text}"


def teacher_name(teacher: Any) -> str:
    """A teacher's name; of a record none, as it is a path."""
    if not isinstance(teacher, Mapping):
        return "no teacher"
    if "teachers" in teacher:
        return ", ".join(f"{n} ({teacher_name(t)})" for n, t in teacher["teachers"].items())
    if "networks" in teacher:
        return " and ".join(map(teacher_name, teacher["networks"]))
    if "ema" in teacher:
        return "its own moving average"
    if "record" in teacher:
        names = f" of {', '.join(teacher['record'])}" if isinstance(teacher["record"], dict) else ""
        return f"the recorded outputs{names}"
    return str(teacher.get("network"))


def introduction(run: RunFiles, recipe: Mapping[str, Any], data: str) -> str:
    """What the student is, in a sentence."""
    summary, method, teacher = run.summary, run.summary["method"], recipe.get("teacher")
    how = "without a teacher" if method == "none" else f"by the method {method}"
    if method != "none" and teacher:
        how += f" from {teacher_name(teacher)}"
    return (
        f"{summary['student']['network']} with {summary['parameters']['student']:,} parameters, "
        f"trained {how} on {data} with Mentee."
    )


def data_blocks(run: RunFiles, recipe: Mapping[str, Any], name: str) -> Iterator[Block]:
    """The data's name and classes, and what the student reads."""
    data, student = recipe.get("data") or {}, recipe.get("student") or {}
    kind = data.get("kind") or "image"
    reads = {
        "image": f"images of {data.get('channels')} channel(s)",
        "audio": f"audio at {data.get('sample_rate')} Hz",
        "text": f"texts of up to {data.get('max_bytes')} bytes",
    }.get(kind, kind)
    text = f"Data: {name}. The student reads {reads}"
    if isinstance(student.get("input"), Mapping) and "mean" in student["input"]:
        mean, std = (", ".join(map(str, student["input"][key])) for key in ("mean", "std"))
        text += f" in [0, 1], normalized by mean {mean} and std {std}"
    yield Text(f"{text}.")
    classes = run.summary.get("classes")
    if isinstance(classes, list):
        yield Text(f"Classes: {first_few([shortened(str(c), 60) for c in classes], 50)}.")


def training(run: RunFiles, recipe: Mapping[str, Any]) -> Iterator[Block]:
    """Method, teacher and optimizer; the loss as an equation."""
    summary, train = run.summary, recipe.get("train") or {}
    weights = summary.get("weights_used") or summary.get("weights") or {}
    yield Text(
        f"Method {summary['method']}; teacher: {teacher_name(recipe.get('teacher'))}; "
        f"{summary['epochs']} epochs, {summary['steps']:,} steps of {train.get('batch')} examples; "
        f"{train.get('optimizer')}, learning rate {train.get('lr')} ({train.get('schedule')}), "
        f"weight decay {train.get('weight_decay')}, {train.get('precision')}; seed "
        f"{summary.get('seed')}. Weights of epoch {summary['selected']['epoch']}."
    )
    terms = " + ".join(f"{weight:.4g} · {name}" for name, weight in weights.items())
    yield Text(f"Loss: L = {terms}")
    try:
        method = MethodRecipe.model_validate(recipe["method"]).method(METHODS)
    except (MenteeError, KeyError):  # of the user's own
        return
    parts = [f"{name}: {text}" for name, text in formulas(method).items()]
    if lines := [*describe_by_layers(method.terms), *parts]:
        yield Items(lines)


def scratch(run: RunFiles) -> list[Block]:
    """The score of the same student without a teacher, with its interval."""
    main = main_score(run.summary)
    score = next((score for who, score, _ in compared(run) if who == "scratch"), None)
    if main is None or score is None:
        return []
    details = ((run.scratch or {}).get("details") or {}).get(main[0]) or {}
    ends = interval_text(details.get("interval"))
    text = f"From scratch with the same seed: {main[0]} {main[1]} {score:.4f} {ends}"
    return [Text(f"{text.rstrip()}.")]


def limits(run: RunFiles) -> Iterator[str]:
    """What is known of where the student is weak."""
    summary, part = run.summary, scored_part(run.summary)
    scores, main = summary.get(part) or {}, main_score(summary)
    classes = ((summary.get("details") or {}).get(part) or {}).get("classes") or {}
    measure = next(
        (m for m in ("recall", "average_precision") for c in classes.values() if m in c), ""
    )
    known = [(c[measure], name) for name, c in classes.items() if c.get(measure) is not None]
    worst = [f"{name} {value:.4f}" for value, name in sorted(known)[:3]]
    if len(known) > 3:
        yield f"Classes with the lowest {measure.replace('_', ' ')} on {part}: {', '.join(worst)}."
    if (ece := scores.get("ece")) is not None:
        yield (
            f"Calibration: its confidence is off by {ece:.4f} on average on {part} (expected "
            "calibration error)."
        )
    yield from (f"{text}." for text in summary.get("warnings") or [])
    yield from (f"{text}." for text in teacher_notes(teachers_of(summary)))
    if not summary.get("out_of_domain"):
        yield "It was not scored on corrupted data or on other domains."
    if main is not None:
        yield "One run with one seed; the spread over seeds is not in these scores."


def environment(run: RunFiles) -> str:
    """Versions and device; neither machine nor command."""
    environment = run.environment
    versions = {"mentee": environment.get("mentee"), "python": environment.get("python")}
    versions |= environment.get("packages") or {}
    parts = [f"{name} {version}" for name, version in versions.items() if version]
    parts.append(f"CUDA {environment['cuda']}" if environment.get("cuda") else "CPU")
    return f"{', '.join(parts)}; {run.summary['seconds']:.0f} seconds."


def escaped(section: Section) -> Section:
    """A section whose texts hold nothing that Markdown or HTML would read as its own."""
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Text):
            blocks.append(Text(escape(block.text)))
        elif isinstance(block, Items):
            blocks.append(Items([escape(text) for text in block.texts]))
        elif isinstance(block, Table):
            cells = [[escape(cell) for cell in line] for line in block.cells]
            blocks.append(replace(block, cells=cells))
    return replace(section, blocks=blocks)


def escape(text: str) -> str:
    r"""A text on one line, without anything that Markdown or HTML would read as its own.

    Example:
        >>> escape("a_b <script>\n# *x*")
        'a\\_b &lt;script&gt; \\# \\*x\\*'
    """
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#~$])", r"\\\1", line)
