"""Labels mean the same in whatever form they come: missing ones, numbers as texts, shares."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee.data import Examples, open_examples
from mentee.errors import DataError
from mentee.tasks import read_labels

NAN = float("nan")


def from_csv(cells: list[Any], folder: Path) -> Any:
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["text", "label"], *([f"t{i}", c] for i, c in enumerate(cells))]
        )
    return folder / "train.csv"


def from_metadata(cells: list[Any], folder: Path) -> Any:
    from PIL import Image

    names = [f"{i}.png" for i in range(len(cells))]
    for i, name in enumerate(names):
        Image.new("L", (4, 4), i).save(folder / name)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["file_name", "label"], *zip(names, cells, strict=True)])
    return folder


def from_json(cells: list[Any], folder: Path) -> Any:
    rows = [{"text": f"t{i}", "label": c} for i, c in enumerate(cells)]  # NaN as Python writes it
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "train.jsonl"


def from_parquet(cells: list[Any], folder: Path) -> Any:
    table = from_dataset(cells, folder)
    table.to_parquet(folder / "train.parquet")
    return folder / "train.parquet"


def from_dataset(cells: list[Any], folder: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict(
        {"text": [f"t{i}" for i in range(len(cells))], "label": cells}
    )


def from_list(cells: list[Any], folder: Path) -> Any:
    return {"text": [f"t{i}" for i in range(len(cells))], "label": cells}


def from_npz(cells: list[Any], folder: Path) -> Any:
    np.savez(folder / "x.npz", label=np.array([NAN if c is None else c for c in cells]))
    return from_list(cells, folder) | {"label": np.load(folder / "x.npz")["label"]}


TYPED = [from_json, from_parquet, from_dataset, from_list]
ALL = [from_csv, from_metadata, *TYPED]
Form = Callable[[list[Any], Path], Any]


def known(examples: Examples) -> list[str | None]:
    """The name of each example's class, None where it has no label."""
    assert examples.labels is not None
    assert examples.classes is not None
    has = np.ones(len(examples), bool) if examples.labeled is None else examples.labeled
    return [
        examples.classes[label] if labeled else None
        for label, labeled in zip(examples.labels, has, strict=True)
    ]


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("missing", ["", "nan", "NaN", "  ", "-1", None])
def test_a_missing_name_is_no_class(form: Form, missing: str | None, tmp_path: Path) -> None:
    examples = open_examples(form(["cat", missing, "dog"], tmp_path))
    assert examples.classes == ("cat", "dog")
    assert known(examples) == ["cat", None, "dog"]


@pytest.mark.parametrize("form", [*ALL, from_npz])
@pytest.mark.parametrize("missing", [None, -1])
def test_a_missing_number_is_no_class(form: Form, missing: int | None, tmp_path: Path) -> None:
    examples = open_examples(form([1, missing, 0], tmp_path))
    assert known(examples) == ["1", None, "0"]
    assert examples.task.name == "single"


@pytest.mark.parametrize("form", [from_json, from_dataset, from_list, from_npz])
def test_numbers_beside_nan_are_classes(form: Form, tmp_path: Path) -> None:
    assert known(open_examples(form([2.0, NAN, 1.0, 0.0], tmp_path))) == ["2", None, "1", "0"]


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("cells", [["0.0", "1.0", "", "2.0"], [" 0", "1", "nan", "2 "]])
def test_texts_of_whole_numbers_are_numbers(form: Form, cells: list[str], tmp_path: Path) -> None:
    assert known(open_examples(form(cells, tmp_path))) == ["0", "1", None, "2"]


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("ending", [".0", ".00"])
@pytest.mark.parametrize("task", [None, "single"])
def test_classes_that_are_numbers_are_in_order(
    form: Form, ending: str, task: str | None, tmp_path: Path
) -> None:
    cells = [f"{number}{ending}" for number in range(1, 12)]
    examples = open_examples(form(cells, tmp_path), task=task)
    assert examples.classes == tuple(str(number) for number in range(1, 12))
    assert examples.labels is not None
    assert examples.labels.tolist() == list(range(11))


def test_a_class_may_be_called_nan() -> None:
    labels = read_labels(["nan", "", "roti"], classes=["nan", "roti"])
    assert labels.values is not None
    assert labels.values.tolist() == [0, -1, 1]


@pytest.mark.parametrize("values", [["a", None, "b"], [1, None, 0], [0.0, NAN, 1.0]])
def test_columns_of_pandas(values: list[Any]) -> None:
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(values, index=[7, 8, 9])
    for column in (series, series.convert_dtypes()):
        labels = read_labels(column)
        assert labels.known is not None
        assert labels.known.tolist() == [True, False, True]


@pytest.mark.parametrize("form", TYPED)
def test_sets_of_numbers_are_in_order(form: Form, tmp_path: Path) -> None:
    examples = open_examples(form([["2", "10"], None, ["1"]], tmp_path))
    assert examples.classes == ("1", "2", "10")
    assert examples.mask is not None
    assert examples.mask.all(1).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("values", "classes"),
    [([1, 2], ["2", "1"]), (["1", "2"], ["2", "1"]), (["1.0", "2.0"], ["2", "1"])],
    ids=["numbers", "texts", "floats"],
)
def test_classes_named_by_numbers_are_these_numbers(values: list[Any], classes: list[str]) -> None:
    labels = read_labels(values, classes=classes)
    assert labels.values is not None
    assert labels.values.tolist() == [1, 0]


@pytest.mark.parametrize("form", TYPED)
def test_probabilities_are_no_labels(form: Form, tmp_path: Path) -> None:
    rows = [[0.4, 0.35, 0.25], [1.0, 0.0, 0.0], [0.1, 0.2, 0.7]]
    with pytest.raises(DataError, match=r"shares of one whole, .*data.task: multi"):
        open_examples(form(rows, tmp_path))
    asked = open_examples(form(rows, tmp_path), task="multi")
    assert asked.labels is not None
    assert asked.labels.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert asked.notes[0].startswith("6 of 9 labels are shares between 0 and 1")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_probabilities_in_an_array_are_no_labels(dtype: Any) -> None:
    logits = np.random.default_rng(0).normal(size=(50, 10))
    rows = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(dtype)
    with pytest.raises(DataError, match=r"arrays: each row of labels has shares of one whole"):
        open_examples({"text": ["a"] * 50, "label": rows})


def objects(*rows: Any) -> Any:
    """An array of one axis that holds these, as pandas has columns of lists."""
    made = np.empty(len(rows), object)
    made[:] = rows
    return made


@pytest.mark.parametrize(
    ("values", "read"),
    [
        pytest.param(np.array([["1", "0"], ["", "1"]]), [[1, 0], [None, 1]], id="texts of numbers"),
        pytest.param(np.array([["a", "b"], ["a", "c"]]), [[1, 1, 0], [1, 0, 1]], id="names"),
        pytest.param(np.zeros((1, 2), "U4"), [[None, None]], id="blank texts"),
        pytest.param(np.array([[1, 0], [None, 1]], object), [[1, 0], [None, 1]], id="objects"),
        pytest.param(objects(["a"], ["a", "b"]), [[1, 0], [1, 1]], id="lists of names"),
        pytest.param([np.array([1, 0]), None], [[1, 0], [None, None]], id="arrays in a list"),
    ],
)
def test_arrays_of_texts_and_objects_are_read_as_lists_are(values: Any, read: Any) -> None:
    labels = read_labels(values)
    assert labels.mask is not None
    known = np.where(labels.mask, labels.values, None)  # type: ignore[call-overload]
    assert known.tolist() == read


def test_probabilities_in_an_array_of_objects_are_no_labels() -> None:
    with pytest.raises(DataError, match="each row of labels has shares of one whole"):
        read_labels(np.array([[0.2, 0.8], [0.7, 0.3]], object))


@pytest.mark.parametrize("form", TYPED)
@pytest.mark.parametrize("rows", [[[1, 0], [0, 1], [1, 0]], [["a"], ["b"], ["a"]]])
def test_one_class_in_each_row_is_told(form: Form, rows: list[Any], tmp_path: Path) -> None:
    (note,) = open_examples(form(rows, tmp_path)).notes
    assert note.startswith("each example has exactly one class, and rows of labels are read as")
    assert not open_examples(form(rows, tmp_path), task="multi").notes
    assert not open_examples(form([[1, 1], [0, 1], [1, 0]], tmp_path)).notes


@pytest.mark.parametrize("form", [from_csv, from_json, from_list])
def test_the_message_names_the_source(form: Form, tmp_path: Path) -> None:
    name = "arrays" if form is from_list else r"train\.(csv|jsonl)"
    with pytest.raises(DataError, match=f"{name}: label 50000000 of row 1 is no class number"):
        open_examples(form([0, 50_000_000], tmp_path))


@pytest.mark.parametrize("form", [from_csv, from_list, from_dataset])
def test_a_source_without_any_label_has_none(form: Form, tmp_path: Path) -> None:
    examples = open_examples(form([None, None], tmp_path))
    assert examples.labels is None
    assert examples.classes is None
