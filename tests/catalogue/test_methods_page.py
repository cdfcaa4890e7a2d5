"""docs/methods.md has the tables of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentee.catalogue.methods_page import BLOCK, TABLES, fill_page, main, methods_table
from mentee.methods import Component, Method, Term

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    return {name: write() for name, write in TABLES.items()}


def test_the_committed_page_has_these_tables(
    tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {match[1] for match in BLOCK.findall(text)} == set(TABLES)
    for name, table in tables.items():
        monkeypatch.setitem(TABLES, name, lambda table=table: table)
    assert fill_page(text) == text, "run: make methods-doc"


def test_prose_is_kept_and_tables_are_written_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- table: memories -->\nold\n<!-- end -->\n\nAfter | it.\n")
    main([str(page)])
    text = page.read_text()
    assert text.startswith("Before.\n\n<!-- table: memories -->\n| memory | what it stores |")
    assert text.endswith("|\n<!-- end -->\n\nAfter | it.\n")
    assert "old" not in text
    main([str(page)])
    assert page.read_text() == text


@pytest.mark.parametrize("name", TABLES)
def test_every_line_of_a_table_has_as_many_cells(name: str, tables: dict[str, str]) -> None:
    lines = tables[name].splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1


def test_a_row_of_your_own_is_written_too() -> None:
    head = Component("project", {"width": 8}, Component("attention"))
    terms = (
        Term("stages", Component("contrast"), 0.5, head, Component("queue")),
        Term("embedding", Component("mse"), 2.0, ramp=0.5),
    )
    row = Method("mine", terms, 0.1, summed_terms=terms, source="Mine.", note="not yet | published")
    assert methods_table({"mine": row}).splitlines()[2] == (
        r"| `mine` | Mine.; not yet \| published |  | an embedding, stages, equal widths, a memory "
        "| 21,552 parameters, memory 3.2 MB, record 2.8 kB "
        "| 0.5 · `contrast` of `project`(width=8) of `attention` at `stages`, negatives from "
        "`queue`, plus 2 · `mse` of `as_is` at `embedding`, weight ramped up over the first 50.0% "
        "of the steps; the task's loss at 0.1; in a sum 0.5, 2 and the task's at 1 |"
    )


def test_terms_that_differ_in_place_and_weight_are_one() -> None:
    terms = tuple(Term(place, Component("kl"), w) for place, w in (("stem", 0.5), ("logits", 2.0)))
    line = methods_table({"mine": Method("mine", terms)}).splitlines()[2]
    assert "| `kl` of `as_is`: 0.5 at `stem`, 2 at `logits` |" in line
