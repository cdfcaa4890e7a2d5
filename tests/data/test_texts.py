from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import encode, open_examples
from mentee.errors import DataError

ROWS = [("a1", "good", 'né, "so" good'), ("b2", "bad", ""), ("c3", "good", "NA")]


def _csv(rows: Any = ROWS, head: str = "id,label,text") -> str:
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    return "\n".join([head, *quoted]) + "\n"


def _jsonl(rows: Any = ROWS) -> str:
    return "\n".join(
        json.dumps(dict(zip(("id", "label", "text"), row, strict=True))) for row in rows
    )


def _tsv(rows: Any = ROWS) -> str:
    return "\n".join(["id\tlabel\ttext", *("\t".join(row) for row in rows)])


def _texts(examples: Any) -> list[str]:
    return examples.read(np.arange(len(examples)))


@pytest.mark.parametrize(
    ("name", "write"), [("train.csv", _csv), ("train.tsv", _tsv), ("train.jsonl", _jsonl)]
)
def test_a_table_of_texts(name: str, write: Callable[[], str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(write(), encoding="utf-8")
    for source in (tmp_path, tmp_path / name):
        examples = open_examples(source)
        assert (examples.kind, examples.channels, examples.contents.sample_rate) == (
            "text",
            1,
            None,
        )
        assert examples.ids == ("a1", "b2", "c3")
        assert examples.classes == ("bad", "good")
        assert examples.labels is not None
        assert examples.labels.tolist() == [1, 0, 1]
        assert _texts(examples) == [row[2] for row in ROWS]
        assert examples.load()
        assert _texts(examples.take([2, 0])) == ["NA", ROWS[0][2]]


def test_parquet_and_datasets(tmp_path: Path) -> None:
    import datasets

    table = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]})
    assert open_examples(table).ids == ("train/0", "train/1")
    named = table.add_column("id", [7, 8])
    named.to_parquet(tmp_path / "test.parquet")
    for examples in (open_examples(named), open_examples(tmp_path, split="test")):
        assert examples.ids == ("7", "8")
        assert _texts(examples) == ["x", "y"]
    other = named.rename_column("text", "review")
    assert _texts(open_examples(other, text="review", id="id")) == ["x", "y"]
    with pytest.raises(DataError, match="the text of 'train/1' is missing"):
        open_examples(datasets.Dataset.from_dict({"text": ["x", None]}))


def test_splits_by_name(tmp_path: Path) -> None:
    names = ["train", "dev", "test", "test_tweets", "test-2"]
    for i, name in enumerate(names):
        (tmp_path / f"{name}.csv").write_text(_csv([(f"{name}{i}", "a", name)]))
    for split, stem in [("validation", "dev"), *((n, n) for n in names if n != "dev")]:
        assert _texts(open_examples(tmp_path, split=split)) == [stem]
    (tmp_path / "test.csv").unlink()
    assert _texts(open_examples(tmp_path, split="test")) == ["test-2"]
    (tmp_path / "test-2.csv").unlink()
    with pytest.raises(DataError, match=r"no tables of texts of split 'test': .*'test_tweets'"):
        open_examples(tmp_path, split="test")
    with pytest.raises(DataError, match="has no splits"):
        open_examples(tmp_path / "train.csv", split="test")


def test_parts_of_a_split_are_one_table(tmp_path: Path) -> None:
    for i in range(2):
        (tmp_path / f"train-{i}.csv").write_text(f"text\nt{i}\n")
    examples = open_examples(tmp_path)
    assert examples.ids == ("train/0", "train/1")
    assert _texts(examples) == ["t0", "t1"]
    assert _texts(open_examples(str(tmp_path / "train-*.csv"))) == ["t0", "t1"]
    (tmp_path / "train-1.csv").write_text("text,label\nt1,a\n")
    with pytest.raises(DataError, match=r"train-1.csv has other columns than .*: text, label"):
        open_examples(tmp_path)


def test_tables_beside_images_are_not_texts(folder: Callable[..., Path]) -> None:
    root = folder("cat/a.png", "dog/b.png")
    (root / "names.csv").write_text("id,name\n1,cat\n")
    (root / "notes.csv").write_bytes(b"\xff\n")
    assert open_examples(root).kind == "image"
    (root / "train.csv").write_text("text\nhello\n")
    assert open_examples(root).kind == "text"
    assert open_examples(root, kind="image").ids == ("cat/a.png", "dog/b.png")


def test_columns_by_name(tmp_path: Path) -> None:
    head = "key,happy,angry,comment"
    (tmp_path / "train.csv").write_text(_csv([("1", "1", "", "x"), ("2", "0", "0.9", "y")], head))
    options = {"text": "comment", "id": "key", "label": ["happy", "angry"]}
    examples = open_examples(tmp_path, **options)
    assert examples.ids == ("1", "2")
    assert examples.labels is not None
    assert examples.mask is not None
    assert examples.labels.tolist() == [[1, 0], [0, 1]]
    assert examples.mask.tolist() == [[True, False], [True, True]]
    with pytest.raises(DataError, match="no column 'text'"):
        open_examples(tmp_path, kind="text")
    with pytest.raises(DataError, match="no column 'key2': did you mean 'key'"):
        open_examples(tmp_path, text="comment", id="key2")
    with pytest.raises(DataError, match="column of text is named for a source of image"):
        open_examples(tmp_path, text="comment", kind="image")
    with pytest.raises(DataError, match="column of image and of text is named"):
        open_examples(tmp_path, text="comment", image="comment")
    with pytest.raises(DataError, match="kind 'txt': did you mean 'text'"):
        open_examples(tmp_path, kind="txt")
    with pytest.raises(DataError, match=r"several label columns must hold .* 'x'"):
        open_examples(tmp_path, text="comment", label=["happy", "comment"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", "id,text\na\n", "the text of 'a' is missing; mend it"),
        ("train.csv", "id,text\n,x\n", "row 0 of .* has no id in column 'id'"),
        ("train.csv", "id,text\na,x,y\n", "row 0 of .* has 3 cells for 2 columns"),
        ("train.csv", 'id,text\na,"x\n', "train.csv cannot be read"),
        ("train.csv", "id,text\n", "is empty: give it at least one"),
        ("train.csv", b"text\n\xff\n", "train.csv cannot be read .* in UTF-8"),
        ("train.jsonl", '{"text": "x"}\n{"text": 3}', "the text of 'train/1' is 3, which is no"),
        ("train.jsonl", '{"text": "x"}\n{}', "the text of 'train/1' is missing"),
        ("train.jsonl", '{"text": NaN}', "the text of 'train/0' is missing"),
        ("train.jsonl", '{"text": "a\\u0000b"}', "the text of 'train/0' holds the character NUL"),
        ("train.jsonl", '{"text": "\\ud800"}', "the text of 'train/0' has no UTF-8 form"),
        ("train.jsonl", '{"text": "x"}\nrubbish', "train.jsonl cannot be read"),
        ("train.jsonl", "[1]", "line 1 of .* is no JSON object"),
    ],
)
def test_tables_that_are_refused(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        open_examples(path)


def test_lists_of_texts() -> None:
    examples = open_examples({"text": ["a", "b"], "label": ["x", "y"], "id": ["1", "2"]})
    assert examples.kind == "text"
    assert _texts(examples) == ["a", "b"]
    with pytest.raises(DataError, match="the text of 'train/0' is missing"):
        open_examples({"text": [math.nan]})
    with pytest.raises(DataError, match="holds text, not audio"):
        open_examples({"text": ["a"]}, kind="audio")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20), max_size=6
    ),
    st.integers(4, 30),
)
def test_bytes_are_cut_where_a_character_begins(texts: list[str], length: int) -> None:
    texts = ["aé€😀" * 9, *texts]
    rows = encode(texts, length).numpy()
    assert rows.dtype == np.uint8
    assert rows.shape == (len(texts), length)
    for row, text in zip(rows, texts, strict=True):
        kept = ""
        for character in text:
            if len((kept + character).encode()) > length:
                break
            kept += character
        assert row.tobytes() == kept.encode() + b"\0" * (length - len(kept.encode()))


def test_one_long_text_costs_its_input_alone() -> None:
    """The input `[16, 2,000,000]` takes 32 MB; of a text that is cut only its beginning counts."""
    texts = ["é" * 1_000_000, *["a"] * 15]
    for length, most in ((None, 40e6), (256, 1e5)):
        tracemalloc.start()
        encoded = encode(texts, length)
        assert encoded.shape == (16, length or 2_000_000)
        assert tracemalloc.get_traced_memory()[1] < most
        tracemalloc.stop()


def test_without_a_length_the_longest_counts() -> None:
    assert encode(["a", "né"]).tolist() == [[97, 0, 0], [110, 195, 169]]
    assert encode([""]).tolist() == [[0]]


@pytest.mark.data
def test_real_reviews(real: Callable[[str], Path]) -> None:
    root = real("sentiment")
    sizes = {"train": 7246, "validation": 1062, "test": 2064, "test_tweets": 3768}
    parts = {split: open_examples(root, split=split) for split in sizes}
    assert {split: len(part) for split, part in parts.items()} == sizes
    assert {part.classes for part in parts.values()} == {("negative", "positive")}
    assert parts["train"].ids[:2] == ("movie-3", "movie-5")
    assert _texts(parts["train"].take([0])) == ["Effective but too tepid biopic"]
    assert all(name.startswith("tweets") for name in parts["test_tweets"].ids)
