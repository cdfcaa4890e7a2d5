"""What a report is made of: sections of blocks, from which Markdown and HTML are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from markupsafe import Markup

from mentee.report.tables import Cells, markdown_table


@dataclass(frozen=True)
class Text:
    """A paragraph; `code` and *emphasis* as in Markdown."""

    text: str

    def markdown(self) -> str:
        """In Markdown."""
        return self.text


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        cells: rows, the first one its head.
        bars: the name of a column of shares in [0, 1] that has a bar behind each number.
        folded: on a page: what the table is called, which is closed at first.
        in_markdown: whether Markdown has it.
    """

    cells: Cells
    bars: str = ""
    folded: str = ""
    in_markdown: bool = True

    def markdown(self) -> str:
        """In Markdown."""
        return markdown_table(self.cells) if self.in_markdown else ""

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, and are aligned to the right."""
        _, *columns = zip(*self.cells[1:], strict=True)  # the first has names
        return [False, *(all(not c or is_number(c) for c in column) for column in columns)]

    @property
    def bar_column(self) -> int:
        """The number of the column with bars; −1: there is none."""
        return list(self.cells[0]).index(self.bars) if self.bars in self.cells[0] else -1


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    texts: Sequence[str]

    def markdown(self) -> str:
        """In Markdown."""
        return "\n".join(f"- {text}" for text in self.texts)


@dataclass(frozen=True)
class Code:
    """A text to copy.

    Attributes:
        text: the content.
        language: of it.
        folded: as for `Table`.
        in_markdown: the same.
    """

    text: str
    language: str = ""
    folded: str = ""
    in_markdown: bool = True

    def markdown(self) -> str:
        """In Markdown."""
        return f"```{self.language}\n{self.text.strip()}\n```" if self.in_markdown else ""


@dataclass(frozen=True)
class Figures:
    """Plots side by side.

    Attributes:
        plots: SVG.
        caption: how to read them.
        file: beside the report that has the same in it, for Markdown; "": Markdown has none.
    """

    plots: Sequence[Markup]
    caption: str = ""
    file: str = ""

    def markdown(self) -> str:
        """In Markdown."""
        return f"![]({self.file})" if self.file else ""


@dataclass(frozen=True)
class Confused:
    """Pairs of classes that are taken for one another with some examples, on a page alone.

    Attributes:
        pairs: a mapping each: `true`, `predicted`, `count`, `of`, and `examples`, each with `id`,
            `confidence` and an `image` (a data URL) or a `text`.
    """

    pairs: Sequence[Mapping[str, Any]]

    def markdown(self) -> str:
        """Markdown has none."""
        return ""


Block: TypeAlias = Text | Table | Items | Code | Figures | Confused


@dataclass(frozen=True)
class Section:
    """A heading and its blocks; one without blocks is left out.

    Attributes:
        title: the heading.
        blocks: below it.
        level: 2, or 3 of a section within the one before.
    """

    title: str
    blocks: Sequence[Block]
    level: int = 2


@dataclass(frozen=True)
class Figure:
    """A number that a page begins with.

    Attributes:
        label: what it is.
        value: the number.
        note: a line below it.
    """

    label: str
    value: str
    note: str = ""


def markdown(title: str, sections: Sequence[Section]) -> str:
    """A report in Markdown; a section without a title is its introduction."""
    parts = [f"# {title}"]
    for section in sections:
        blocks = [text for block in section.blocks if (text := block.markdown())]
        if blocks:
            parts += [f"{'#' * section.level} {section.title}"] if section.title else []
            parts += blocks
    return "\n\n".join(parts) + "\n"


def is_number(cell: str) -> bool:
    """Whether a cell begins as a number does.

    Example:
        >>> [is_number(cell) for cell in ("0.5", "+0.1 [0.0, 0.2]", "−3", "1,234", "1 min", "kd")]
        [True, True, True, True, True, False]
    """
    return cell.lstrip("+-−±[ ")[:1].isdigit()


@dataclass(frozen=True)
class Head:
    """What stands before a comparison that ends something else: title, verdict, sections."""

    title: str
    verdict: str
    sections: Sequence[Section]


@dataclass(frozen=True)
class Page:
    """A page of HTML.

    Attributes:
        kind: what it is of, over the title.
        title: of the page.
        about: short facts below the title.
        verdict: what was found, in a sentence.
        figures: the numbers that it begins with.
        sections: all the rest.
    """

    kind: str
    title: str
    about: Sequence[str]
    verdict: str
    figures: Sequence[Figure]
    sections: Sequence[Section]
