"""A record that holds more than a run reads, and several splits of one teacher in one run."""

import pickle

import numpy as np
import pytest
import torch

from mentee import train
from mentee.data import open_arrays
from mentee.errors import DataError
from mentee.recording.embedders import import_vectors, record_examples
from mentee.records import Record
from mentee.records.joined import JoinedRecord, open_record_of
from tests.records.jobs import Fake, changed, expected, images

A, B = images(10), images(8, seed=5, name="rest")


@pytest.fixture
def root(tmp_path):
    record_examples(Fake(), A, tmp_path / "r/train", dtype="float32")
    record_examples(Fake(), B, tmp_path / "r/unlabeled", dtype="float16")
    return tmp_path / "r"


def both(*parts):
    pixels = np.concatenate([x.read(np.arange(len(x))).numpy() for x in parts])
    return open_arrays(
        {"image": pixels, "id": [text for x in parts for text in x.ids]}, name="both"
    )


def test_rows_come_from_the_record_that_has_them(root):
    examples = both(B, A).take([3, 12, 0, 17, 9])
    record = open_record_of(root, "train", examples)
    assert isinstance(record, JoinedRecord)
    rows = record.of(examples.keys)
    torch.testing.assert_close(rows, torch.tensor(expected(examples)).float(), atol=1e-3, rtol=0)
    record.check(examples)
    everything = np.concatenate([expected(A), expected(B)])
    torch.testing.assert_close(
        record.statistics.mean, torch.tensor(everything.mean(0)).float(), atol=1e-3, rtol=0
    )
    again = pickle.loads(pickle.dumps(record))
    torch.testing.assert_close(again.of(examples.keys), rows)
    assert record.read([])["embedding"].shape == (0, 5)
    assert open_record_of(root, "train", A.take([1, 2])).folder == root / "train"
    assert type(open_record_of(root, "train", A.take([1, 2]))) is Record


@pytest.mark.parametrize("folder", ["rest", "rest/train"])
def test_it_is_found_in_a_folder_of_its_own(root, folder):
    (root / "unlabeled").rename(root / "moved")
    (root / folder).parent.mkdir(exist_ok=True)
    (root / "moved").rename(root / folder)
    assert len(open_record_of(root, "train", both(A, B))) == 18


def test_an_id_in_two_records_is_that_of_the_first(root):
    record_examples(Fake(scale=3.0), both(B, A), root / "all", dtype="float32")
    examples = both(A, B)
    first = Record.open(root / "train")
    joined = JoinedRecord([first, Record.open(root / "all")])
    torch.testing.assert_close(joined.of(A.keys), first.of(A.keys), rtol=0, atol=0)
    torch.testing.assert_close(
        joined.of(B.keys), 3 * torch.tensor(expected(B)).float(), rtol=1e-5, atol=0
    )
    assert len(examples) == 18


def test_records_of_two_teachers_are_not_joined(root):
    record_examples(Fake(width=4), B, root / "b", dtype="float32")
    (root / "unlabeled").rename(root / ".hidden")
    with pytest.raises(DataError, match=r"r/train and .*r/b are records of different teachers"):
        open_record_of(root, "train", both(A, B))


@pytest.mark.parametrize("rows", [[7], [0, 3, 9], list(range(10))[::-1]])
def test_a_record_may_hold_more_than_is_read(tmp_path, rows):
    record = record_examples(Fake(), both(A, B), tmp_path / "r")
    record.check(A.take(rows))
    other = changed(10, rows[0]).take(rows)
    with pytest.raises(DataError, match=rf"contents of 1 of {len(rows)} .*pictures/{rows[0]}.png"):
        record.check(other)
    with pytest.raises(DataError, match=r"3 of 13 examples have no row: 'x/0.png'"):
        record.check(both(A, images(3, name="x")))


def test_a_part_of_a_record_that_was_changed_is_found_in_its_split(root):
    record = open_record_of(root, "train", both(A, B))
    with pytest.raises(DataError, match=r"r/train does not fit .*contents"):
        record.check(both(changed(10, 4), B))


VECTORS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def splits():
    pixels = np.random.default_rng(1).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    ids = [f"clip {i}" for i in range(60)]
    first, rest, all_of = slice(0, 24), slice(24, 60), slice(0, 60)
    label = np.arange(60) % 3
    return {
        name: {"image": pixels[part], "id": ids[part], "label": label[part]}
        for name, part in (("train", first), ("more", rest), ("all", all_of))
    }


ARRANGEMENTS = {
    "a record for each split": {"train": "r/train", "more": "r/more"},
    "one in a folder of its own": {"train": "r/train", "more": "r/other/train"},
    "one record of all": {"all": "r/train"},
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_labeled_and_unlabeled_examples_learn_from_what_was_imported(tmp_path, arrangement):
    data = splits()
    np.savez(tmp_path / "v.npz", embedding=VECTORS, ids=data["all"]["id"])
    for split, folder in arrangement.items():
        made = import_vectors(
            tmp_path / "v.npz", data, tmp_path / "new", split=split, extra=True, say=str
        )
        (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
        made.folder.rename(tmp_path / folder)
    recipe = {
        "data": {
            "source": "arrays",
            "views": "none",
            "validation": None,
            "test": None,
            "unlabeled": {"split": "more"},
        },
        "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8]}},
        "teacher": {"record": str(tmp_path / "r")},
        "method": "east",
        "train": {"epochs": 1, "batch": 16},
        "select": {"keep": "last"},
    }
    steps = []
    train(recipe, data=data, out=tmp_path / "run", quiet=True, on_step=steps.append)
    assert LOSSES.setdefault("first", [s.loss for s in steps]) == pytest.approx(
        [s.loss for s in steps], rel=1e-6
    )
    assert len(steps) == 4


LOSSES: dict[str, list[float]] = {}
