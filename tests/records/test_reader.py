"""Opening, reading and distrusting a record."""

import json
import os
import shutil

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.recording.embedders import record_examples
from mentee.records import Record, integrity, open_record
from mentee.records.manifest import checksum as sum_of
from mentee.records.manifest import read_manifest
from mentee.types import Statistics
from tests.records.jobs import Fake, expected, images

OUTSIDE = {"file": "../x.npy", "rows": 10, "bytes": 1, "checksum": "0" * 32}


@pytest.fixture
def made(tmp_path):
    return record_examples(Fake(), images(10), tmp_path / "r", dtype="float32", shard_rows=4)


def test_rows_come_in_the_order_asked_for(made):
    wanted = expected(images(10))
    for order in ([3], [9, 0, 4, 3, 8], [5, 5, 5], list(range(10))[::-1]):
        np.testing.assert_allclose(made.vectors(order), wanted[order], rtol=1e-6)
    assert made.vectors([]).shape == (0, 5)
    made.vectors([1])[:] = 7  # a copy, never the file
    np.testing.assert_allclose(made.vectors([1]), wanted[[1]], rtol=1e-6)


@pytest.mark.parametrize("row", [10, -1])
def test_rows_that_are_not_there_are_refused(made, row):
    with pytest.raises(DataError, match=r"were asked of Record\('fake', 10 examples.*rows 0 to 9"):
        made.vectors([0, row])


def test_rows_are_found_by_the_examples_keys(made):
    some = images(10).take([7, 2, 5])
    np.testing.assert_allclose(made.of(some.keys), expected(some), rtol=1e-6)
    with pytest.raises(DataError, match=r"10 of 10 examples have no row in .*: 'x/0.png', 'x/1"):
        made.positions(images(10, name="x").keys, images(10, name="x").ids)


def test_a_damaged_shard_is_named(made):
    path = made.folder / "clean" / "shard-00001.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"shard-00001.npy is damaged: its checksum is another one; record what is",
    ):
        Record.open(made.folder)
    Record.open(made.folder, verify=False)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"shard-00001.npy is damaged: it has 207 bytes of 208"):
        Record.open(made.folder, verify=False)
    path.unlink()
    with pytest.raises(
        DataError, match=r"shard-00001.npy is missing; record what is damaged again"
    ):
        Record.open(made.folder)


def test_a_shard_that_was_whole_is_read_again_where_it_changed_or_is_forgotten(made, monkeypatch):
    read = []
    scan = integrity._scanned
    monkeypatch.setattr(
        integrity, "_scanned", lambda path, *rest: read.append(path.name) or scan(path, *rest)
    )
    names = [each.file for each in read_manifest(made.folder).parts[0].shards]
    Record.open(made.folder)
    read.clear()
    Record.open(made.folder)
    assert not set(names) & set(read)
    path = made.folder / "clean" / names[0]
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    Record.open(made.folder)
    assert [name for name in read if name in names] == names[:1]
    read.clear()
    integrity.forget_checksums()
    Record.open(made.folder)
    assert [name for name in read if name in names] == names


def test_damaged_ids_are_found(made):
    path = made.folder / "ids.json"
    path.write_text(path.read_text().replace("/1.png", "/x.png"))
    with pytest.raises(DataError, match=r"ids.json is damaged"):
        Record.open(made.folder, verify=False)
    path.unlink()
    with pytest.raises(DataError, match=r"ids.json is missing"):
        Record.open(made.folder)


def test_a_shard_of_another_type_is_not_read(made):
    path = made.folder / "clean" / "shard-00000.npy"
    np.save(path, np.zeros((4, 5), np.int32))
    with pytest.raises(
        DataError, match=r"holds int32 \[4, 5\], the manifest says float32 \[4, 5\]"
    ):
        Record.open(made.folder, verify=False).read([0])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"groups": []}, r"groups: Tuple should have at least 1 item"),
        ({"kind": "smell"}, r"kind: .*'smell' is none of image, audio, text"),
        ({"rows": 11}, r"says 11 rows and clean has 10"),
        ({"parts": [{"view": -1, "group": 0, "shards": [OUTSIDE]}]}, "file"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(made, change, text):
    manifest = read_manifest(made.folder).model_dump(mode="json") | change
    path, digest = made.folder / "manifest.json", sum_of(json.dumps(manifest, sort_keys=True))
    path.write_text(json.dumps(manifest | {"checksum": digest}, indent=2) + "\n")
    with pytest.raises(DataError, match=text):
        read_manifest(made.folder)


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_a_manifest_that_cannot_be_read_is_refused(made, content):
    (made.folder / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest.json (cannot be read|has format None)"):
        Record.open(made.folder)


def test_statistics_are_kept_and_fitted_again_where_they_are_lost(made):
    rows = expected(images(10))
    kept = made.statistics
    torch.testing.assert_close(kept.mean, torch.tensor(rows.mean(axis=0)).float())
    torch.testing.assert_close(kept.std, torch.tensor(rows.std(axis=0)).float())
    path = made.folder / "statistics.safetensors"
    content = path.read_bytes()
    path.unlink()
    again = Record.open(made.folder).statistics
    for name, value in vars(kept).items():
        torch.testing.assert_close(value, getattr(again, name), atol=1e-6, rtol=1e-5)
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["text", "cut", "other numbers"])
def test_damaged_statistics_are_refused(made, damage):
    path = made.folder / "statistics.safetensors"
    content = path.read_bytes()
    other = content[:-4] + b"\0\0\0\x3f"
    path.write_bytes({"text": b"hello", "cut": content[:-1], "other numbers": other}[damage])
    with pytest.raises(DataError, match=r"statistics.safetensors is damaged, .* delete it, and"):
        _ = Record.open(made.folder).statistics
    path.unlink()
    assert Record.open(made.folder).statistics.mean.isfinite().all()


def test_statistics_that_another_machine_rounds_otherwise_are_not_stored(made, monkeypatch):
    path = made.folder / "statistics.safetensors"
    path.unlink()
    record = Record.open(made.folder)
    monkeypatch.setattr(
        type(record),
        "fit",
        lambda *_: Statistics(torch.ones(1), torch.ones(1), torch.ones(1, 1), torch.ones(1)),
    )
    assert record.statistics.mean.tolist() == [1.0]
    assert not path.exists()


def test_statistics_of_some_rows_are_of_those_rows_only(made):
    rows = [8, 1, 4]
    wanted = expected(images(10))[rows]
    found = made.fit(rows, made.vector)
    torch.testing.assert_close(found.mean, torch.tensor(wanted.mean(axis=0)).float())
    torch.testing.assert_close(found.std, torch.tensor(wanted.std(axis=0)).float())
    with pytest.raises(DataError, match="no rows of"):
        made.fit([], made.vector)


def test_the_fingerprint_follows_ids_and_rows(made, tmp_path):
    how = {"dtype": "float32", "shard_rows": 4}
    same = record_examples(Fake(), images(10), tmp_path / "a", **how)
    assert same.fingerprint() == made.fingerprint()
    others = [
        record_examples(Fake(scale=2.0), images(10), tmp_path / "b", **how),
        record_examples(Fake(), images(10, name="x"), tmp_path / "c", **how),
        record_examples(Fake(), images(10, seed=1), tmp_path / "d", **how),
    ]
    assert len({made.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_a_split_is_a_folder_of_its_own(tmp_path):
    for split, n in (("train", 5), ("validation", 3)):
        record_examples(Fake(), images(n), tmp_path / "fake" / split)
    assert len(open_record(tmp_path / "fake", "validation")) == 3
    assert len(open_record(tmp_path / "fake" / "train", "validation")) == 5, "the folder itself"
    with pytest.raises(DataError, match=r"no record of split 'test'.*train, validation"):
        open_record(tmp_path / "fake", "test")
    with pytest.raises(DataError, match="there is no folder"):
        open_record(tmp_path / "none", "test")
    shutil.rmtree(tmp_path / "fake" / "train")
    with pytest.raises(DataError, match=r"'train': known: validation"):
        open_record(tmp_path / "fake", "train")
