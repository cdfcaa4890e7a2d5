"""The tables of docs/methods.md, written from the table of methods and from docstrings.

    python -m mentee.catalogue.methods_page docs/methods.md

writes them between its markers, `<!-- table: rows -->` and `<!-- end -->`; the prose around them is
a person's.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mentee import files
from mentee.catalogue.docstrings import ParsedDocstring, told
from mentee.catalogue.equation import by_places, elsewhere
from mentee.catalogue.needs import asked, needs
from mentee.distillation.terms import ENGINE_ARGUMENTS
from mentee.losses import LOSSES, LossSpec
from mentee.memory import MEMORIES
from mentee.methods import METHODS, Method
from mentee.report.page import table
from mentee.representations import REPRESENTATIONS
from mentee.tasks import OUTPUTS

BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEEPS = "the student keeps the teacher's classifier, behind a projector"
BESIDE = {"pair_info", "other_adapters"}
"""What the engine passes to a representation."""


def rows(methods: Mapping[str, Method] = METHODS) -> str:
    """The rows: sentence, needs, paper."""
    lines = [
        ["row", "sentence beside the task's loss", "needs", "source, and what differs from it"]
    ]
    for row in methods.values():
        parts = [", plus ".join(by_places(row.terms, code)) or "nothing: the student from scratch"]
        parts += [f"the task's loss at {row.task:g}"] if row.task != 1 else []
        parts += elsewhere(row)
        parts += [KEEPS] if row.reuse else []
        source = "; ".join(part for part in (row.source, row.note) if part)
        lines.append([code(row.name), "; ".join(parts), ", ".join(needs(row)), source])
    return table([cells(line) for line in lines])


def agreements() -> str:
    """The agreements: what they are, their formula, their numbers, what they ask for."""
    lines = [["agreement", "what it is", "formula", "numbers", "compares", "needs"]]
    for name, entry in LOSSES.items():
        said = told(entry.function)
        numbers = numbers_of(entry.function, said, ENGINE_ARGUMENTS)
        given = [code(name), said.summary, code(said.formula), numbers, sides(said), asks(entry)]
        lines.append(given)
    return table([cells(line) for line in lines])


def representations() -> str:
    """The representations: what is compared, their numbers, what they ask for."""
    lines = [["representation", "what is compared", "formula", "numbers", "needs"]]
    for name, build in REPRESENTATIONS.items():
        said = told(build)
        numbers = numbers_of(build, said, BESIDE)
        needed = ", ".join(asked(name))
        lines.append([code(name), said.summary, code(said.formula), numbers, needed])
    return table([cells(line) for line in lines])


def memories() -> str:
    """The memories: what they keep, their numbers."""
    lines = [["memory", "what it keeps", "formula", "numbers", "of what size"]]
    for name, build in MEMORIES.items():
        said = told(build)
        numbers = numbers_of(build, said)
        lines.append([code(name), said.summary, code(said.formula), numbers, said.memory])
    return table([cells(line) for line in lines])


TABLES: dict[str, Callable[[], str]] = {
    "rows": rows,
    "agreements": agreements,
    "representations": representations,
    "memories": memories,
}
"""What stands behind each marker."""


def written(page: str) -> str:
    """A page with its tables written anew.

    Example:
        >>> written("a <!-- end --> b")
        'a <!-- end --> b'
    """
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def numbers_of(
    function: Callable[..., object], said: ParsedDocstring, given: Iterable[str] = ()
) -> str:
    """Each number with its default, and what the docstring says of it in its first sentence."""
    parameters = inspect.signature(function).parameters.values()
    parts = []
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and each.name not in given:
            about = re.split(r"(?<=\w)\.\s|\.$", said.arguments.get(each.name, ""))[0]
            parts.append(f"`{each.name}={each.default}`" + (f" {about}" if about else ""))
    return "; ".join(parts) or "none"


def sides(said: ParsedDocstring) -> str:
    """What the docstring says of the two tensors."""
    student, teacher = (said.arguments[side].rstrip(".") for side in ("student", "teacher"))
    teacher = re.sub(r"[;,] no gradient reaches (it|them)$", "", teacher)
    return student if teacher in ("as the student's", student) else f"{student}; teacher: {teacher}"


def asks(entry: LossSpec) -> str:
    """What an agreement asks for beyond its two tensors."""
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
    """A name or a formula as code; nothing of nothing."""
    return f"`{name}`" if name else ""


def cells(line: Sequence[str]) -> list[str]:
    """Texts that can stand in a table."""
    return [text.replace("|", r"\|") for text in line]


def main(paths: Sequence[str]) -> None:
    """Write the tables of some pages anew."""
    for path in map(Path, paths):
        files.write_text(path, written(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main(sys.argv[1:])
