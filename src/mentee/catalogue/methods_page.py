"""The tables of docs/methods.md, written from the table of methods and from docstrings.

    python -m mentee.catalogue.methods_page docs/methods.md

writes them between its markers, `<!-- table: methods -->` and `<!-- end -->`; the prose around them
is written by hand.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mentee import files
from mentee.catalogue.docstrings import ParsedDocstring, parse_docstring
from mentee.catalogue.equation import describe_by_layers, other_weights
from mentee.catalogue.listing import bytes_text
from mentee.catalogue.needs import needs, representation_needs
from mentee.catalogue.pairs import CandidatePair
from mentee.distillation.terms import ENGINE_ARGUMENTS
from mentee.losses import LOSSES, LossSpec
from mentee.memory import MEMORIES
from mentee.methods import METHODS, Method
from mentee.report import markdown_table
from mentee.representations import REPRESENTATIONS
from mentee.tasks import OUTPUTS

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
ENGINE_PARAMETERS = {"pair_info", "other_adapters"}
"""Parameters of a representation that are not set in a recipe."""


def methods_table(methods: Mapping[str, Method] = METHODS) -> str:
    """The methods: paper, purpose, needs, costs, terms."""
    head = ["method", "paper, and differences from it", "what it does, when to use it", "needs"]
    lines = [[*head, "costs", "terms besides the task's loss"]]
    for method in methods.values():
        terms = ", plus ".join(describe_by_layers(method.terms, code))
        parts = [terms or "none: the student from scratch"]
        parts += [f"the task's loss at {method.task:g}"] if method.task != 1 else []
        parts += other_weights(method)
        if method.reuse:
            parts.append("the student keeps the teacher's classifier, behind a projector")
        lines.append(
            [
                code(method.name),
                "; ".join(part for part in (method.source, method.note) if part),
                method.about,
                ", ".join(needs(method)),
                costs(method),
                "; ".join(parts),
            ]
        )
    return markdown_table(lines)


@functools.lru_cache
def example_pair(task: str) -> CandidatePair:
    """The pair of networks that the costs are of."""
    return CandidatePair("resnet8-cifar", "resnet20-cifar", task=task)


def costs(method: Method) -> str:
    """Parameters, memory and record of a method with the example pair."""
    outputs = {LOSSES[term.loss.name].outputs for term in method.terms}
    task = "multi" if "label logits" in outputs else "single"
    result = example_pair(task).apply(method)
    if result.problem is not None:
        return ""
    parts = [f"{result.heads:,} parameters" if result.heads else ""]
    parts += [f"{result.added:+,} in the student" if result.added else ""]
    parts += [f"memory {bytes_text(result.memory)}" if result.memory else ""]
    record = "no record" if result.record is None else f"record {bytes_text(result.record)}"
    parts += [record if method.terms else ""]
    return ", ".join(filter(None, parts)) or "none"


def losses_table() -> str:
    """The losses: description, formula, params, inputs, needs."""
    lines = [["loss", "description", "formula", "params", "inputs", "needs"]]
    for name, entry in LOSSES.items():
        doc = parse_docstring(entry.function)
        params = describe_params(entry.function, doc, ENGINE_ARGUMENTS)
        row = [code(name), doc.summary, code(doc.formula), params, inputs(doc), loss_needs(entry)]
        lines.append(row)
    return markdown_table(lines)


def representations_table() -> str:
    """The representations: description, formula, params, needs."""
    lines = [["representation", "what is compared", "formula", "params", "needs"]]
    for name, build in REPRESENTATIONS.items():
        doc = parse_docstring(build)
        params = describe_params(build, doc, ENGINE_PARAMETERS)
        needed = ", ".join(representation_needs(name))
        lines.append([code(name), doc.summary, code(doc.formula), params, needed])
    return markdown_table(lines)


def memories_table() -> str:
    """The memories: what they store, formula, params, size."""
    lines = [["memory", "what it stores", "formula", "params", "size"]]
    for name, build in MEMORIES.items():
        doc = parse_docstring(build)
        params = describe_params(build, doc)
        lines.append([code(name), doc.summary, code(doc.formula), params, doc.memory])
    return markdown_table(lines)


TABLES: dict[str, Callable[[], str]] = {
    "methods": methods_table,
    "losses": losses_table,
    "representations": representations_table,
    "memories": memories_table,
}
"""The table of each marker."""


def fill_page(page: str) -> str:
    """A page with its tables written again.

    Example:
        >>> fill_page("a <!-- end --> b")
        'a <!-- end --> b'
    """
    return BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}\n{match[3]}", page)


def describe_params(
    function: Callable[..., object], doc: ParsedDocstring, hidden: Iterable[str] = ()
) -> str:
    """Each param with its default, and the first sentence of its description."""
    parts = []
    for each in inspect.signature(function).parameters.values():
        if each.kind is each.KEYWORD_ONLY and each.name not in hidden:
            about = re.split(r"(?<=\w)\.\s|\.$", doc.arguments.get(each.name, ""))[0]
            parts.append(f"`{each.name}={each.default}`" + (f" {about}" if about else ""))
    return "; ".join(parts) or "none"


def inputs(doc: ParsedDocstring) -> str:
    """The docstring's description of the two tensors."""
    student, teacher = (doc.arguments[name].rstrip(".") for name in ("student", "teacher"))
    teacher = re.sub(r"[;,] no gradient reaches (it|them)$", "", teacher)
    return student if teacher in ("as the student's", student) else f"{student}; teacher: {teacher}"


def loss_needs(entry: LossSpec) -> str:
    """What a loss needs besides its two tensors."""
    width = {True: "equal shapes", False: "", "with memory": "equal widths with a memory"}
    memory = {"no": "", "must": "a memory", "may": "a memory or the whole batch"}
    parts = [
        memory[entry.memory],
        width[entry.same_width],
        OUTPUTS[entry.outputs] if entry.outputs else "",
        "labels" if "labels" in entry.needs else "",
        "the whole batch" if entry.whole_batch and entry.memory == "no" else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing"


def code(name: str) -> str:
    """A name or a formula as code; empty stays empty."""
    return f"`{name}`" if name else ""


def main(paths: Sequence[str]) -> None:
    """Write the tables of pages again."""
    for path in map(Path, paths):
        files.write_text(path, fill_page(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1:])
