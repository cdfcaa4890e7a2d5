"""Tables of plain text: long cells, columns and keys that are there twice, and what is said."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.errors import DataError
from mentee.records import import_record

LONG = "word " * 40_000  # 200,000 characters


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", f"text,label\n{LONG},a\nb,b\n"),
        ("train.csv", f'text,label\n"{LONG}",a\nb,b\n'),
        ("train.tsv", f"text\tlabel\n{LONG}\ta\nb\tb\n"),
    ],
    ids=["csv", "quoted", "tsv"],
)
def test_a_cell_may_be_long(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    examples = open_examples(tmp_path / name)
    assert examples.read(np.array([0, 1])) == [LONG, "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b'text,label\n"a,b\n', r"\(line 2: unexpected end of data\); mend it, or"),
        ("train.csv", b'text,label\n"a"x,b\n', r"\(line 2: ',' expected after '\"'\); mend it"),
        ("train.csv", b"text,label\n\xff,b\n", r"write it again in UTF-8"),
        ("train.jsonl", b'{"text": 1', r"cannot be read \(Expecting .*\); mend it"),
    ],
)
def test_only_an_encoding_is_called_one(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_examples(tmp_path / name, kind="text")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", "text,label,label\na,x,y\n", "has 2 columns 'label': give each its own"),
        ("train.csv", "text,label,text\na,x,y\n", "has 2 columns 'text': give each its own"),
        ("train.tsv", "id\ttext\tid\na\tx\ty\n", "has 2 columns 'id': give each its own"),
        ("train.jsonl", '{"text": "a", "label": 0, "label": 1}', "has the key 'label' twice"),
    ],
)
def test_a_name_that_is_there_twice_is_refused(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        open_examples(tmp_path / name)


def test_columns_that_nobody_reads_may_be_called_alike(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label,,\na,x,,\nb,y,,\n")
    assert open_examples(tmp_path / "train.csv").classes == ("x", "y")


def texts(ids: list[str], folder: Path) -> Path:
    folder.mkdir()
    lines = ["id,text", *(f"{id},text {row}" for row, id in enumerate(ids))]
    (folder / "train.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


NFC, NFD = (
    [unicodedata.normalize(form, text) for text in ("café", "Ångström", "plain")]
    for form in ("NFC", "NFD")
)


def npz(ids: list[str], path: Path) -> Path:
    np.savez(path / "v.npz", ids=np.array(ids), embedding=np.eye(3, dtype=np.float32))
    return path / "v.npz"


def csv_vectors(ids: list[str], path: Path) -> Path:
    rows = zip(ids, np.eye(3).tolist(), strict=True)
    lines = ["id,e0,e1,e2", *(",".join(map(str, [id, *row])) for id, row in rows)]
    (path / "v.csv").write_text("\n".join(lines), encoding="utf-8")
    return path / "v.csv"


@pytest.mark.parametrize("write", [npz, csv_vectors])
@pytest.mark.parametrize(("there", "here"), [(NFC, NFD), (NFD, NFC)], ids=["NFD data", "NFC data"])
def test_ids_are_the_same_in_another_unicode_form(
    write: Callable[[list[str], Path], Path], there: list[str], here: list[str], tmp_path: Path
) -> None:
    examples = open_examples(texts(here, tmp_path / "here"))
    vectors = write(there[::-1], tmp_path)
    made = import_record(vectors, examples, tmp_path / "record", name="eye")
    assert made.vectors(range(3)).argmax(1).tolist() == [2, 1, 0]
    other = open_examples(texts(there, tmp_path / "there"))
    made.check(other)
    made.check(other.take([0, 2]))
    assert made.of(other.keys).argmax(1).tolist() == [2, 1, 0]


@pytest.mark.parametrize("names", [("train.csv", "train.jsonl"), ("train.ndjson", "train.tsv"),
                                   ("train-0.csv", "train-0.tsv")])  # fmt: skip
def test_a_split_that_is_there_in_two_formats_is_refused(
    names: tuple[str, str], tmp_path: Path
) -> None:
    for name in names:
        rows = '{"text": "a", "label": "b"}\n' if "json" in name else "text,label\na,b\n"
        (tmp_path / name).write_text(rows.replace(",", "\t") if "tsv" in name else rows)
    with pytest.raises(DataError) as error:
        open_examples(str(tmp_path), kind="text")
    assert str(error.value) == (
        f"{tmp_path} holds {names[0]} and {names[1]}, so split 'train' is there twice; move one of "
        "them away, or name the file that is meant as the source"
    )
