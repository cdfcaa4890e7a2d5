"""Records in object storage: written shard by shard, resumed, read by ranges, refused in words."""

import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

from mentee.data.loader import batches
from mentee.errors import DataError, MenteeError, RunError
from mentee.files import located
from mentee.records import Record, open_record, reader, stored_rows, write_record
from mentee.records.columns import with_components
from mentee.records.folders import is_network_record, splits_of
from mentee.records.repair import repair_record
from mentee.teachers import RecordedTeacher
from mentee.types import CLEAN
from mentee.urls import Url
from tests.records.jobs import (
    CELLS,
    MEAN,
    VIEWS,
    Stopped,
    content,
    exact,
    images,
    interrupt,
    joined,
    network_job,
)


@pytest.fixture
def bucket():
    """An empty storage; what is in it by name is `bucket.store`."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()


URL = Url("memory://bucket/r")


def objects(bucket, prefix="/bucket/r/"):
    """The bytes of all objects below a prefix, by name."""
    return {
        name.removeprefix(prefix): bytes(file.getvalue())
        for name, file in sorted(bucket.store.items())
        if name.startswith(prefix)
    }


def test_the_same_objects_as_files_and_the_same_rows(bucket, tmp_path):
    job = network_job(columns=with_components((MEAN, CELLS), {CELLS.name: 3}))
    write_record(tmp_path / "r", job, shard_rows=3)
    made = write_record(URL, job, shard_rows=3)
    assert objects(bucket) == content(tmp_path / "r")
    local = Record.open(tmp_path / "r")
    order = [7, 0, 7, 4, 9]
    for record in (made, Record.open(URL), pickle.loads(pickle.dumps(Record.open(str(URL))))):
        assert (record.remote, local.remote) == (True, False)
        assert record.fingerprint() == local.fingerprint()
        for view in (CLEAN, 0, 1):
            there, here = record.read(order, view), local.read(order, view)
            assert all(torch.equal(there[name], here[name]) for name in here)
    every = Record.open(URL)
    for rows in every.of_views([0]):
        rows.load()
    bucket.store.clear()  # in memory by now
    assert torch.equal(
        joined(every.read(order, 0), job.columns), joined(local.read(order, 0), job.columns)
    )


def test_neighbors_are_fetched_together_and_not_too_much_at_once(bucket, monkeypatch):
    job = network_job(columns=(MEAN,), count=0)
    record = write_record(URL, job, shard_rows=4)
    asked = []

    def counted(self, paths, starts, ends, **options):
        rows = [(stop - start) // 12 for start, stop in zip(starts, ends, strict=True)]
        asked.append([*zip((Path(each).stem for each in paths), rows, strict=True)])
        return fetch(self, paths, starts, ends, **options)

    fetch = MemoryFileSystem.cat_ranges
    monkeypatch.setattr(MemoryFileSystem, "cat_ranges", counted)
    monkeypatch.setattr(stored_rows, "GAP", 12)
    order = [9, 5, 4, 0, 3, 5]
    assert torch.equal(record.read(order)[MEAN.name], exact(job, order, CLEAN))
    assert asked == [
        [("shard-00000", 1), ("shard-00000", 1), ("shard-00001", 2), ("shard-00002", 1)]
    ]
    asked.clear()
    monkeypatch.setattr(stored_rows, "AT_ONCE", 30)
    assert torch.equal(record.read(order)[MEAN.name], exact(job, order, CLEAN))
    assert [sum(rows for _, rows in each) for each in asked] == [2, 2, 2]


def test_it_is_found_by_split(bucket):
    write_record(URL / "train", network_job())
    assert is_network_record(str(URL))
    assert not is_network_record(str(URL), "test")
    assert splits_of(URL) == [URL / "train"]
    assert len(open_record("memory://bucket/r/")) == len(open_record(URL / "train")) == 10
    with pytest.raises(DataError, match=r"memory://bucket/r has no record of split 'test': known"):
        open_record(URL, "test")
    with pytest.raises(DataError, match=r"there is no folder memory://bucket/nothing"):
        open_record("memory://bucket/nothing")


@pytest.mark.parametrize(("stop", "whole"), [(1, 1), (4, 5), (7, 9)])
def test_an_interrupted_recording_is_resumed_to_the_same_bytes(bucket, tmp_path, stop, whole):
    write_record(tmp_path / "r", network_job(), shard_rows=3)
    job = network_job()
    interrupt(URL, job, stop, shard_rows=3)
    assert "manifest.json" not in objects(bucket)
    assert sum(name.endswith(".npy") for name in objects(bucket)) == whole
    write_record(URL, job, shard_rows=3)
    assert job.read.calls == 10  # the batch that a shard ended in twice
    assert objects(bucket) == content(tmp_path / "r")


def test_a_lost_connection_keeps_the_shards_there_and_the_next_recording_resumes(
    bucket, monkeypatch, tmp_path
):
    write_record(tmp_path / "r", network_job(), shard_rows=3)
    opened = MemoryFileSystem.open

    def lost(self, path, mode="rb", **options):
        if path.endswith("view-000/shard-00001.npy") and mode == "wb":
            raise TimeoutError
        return opened(self, path, mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "open", lost)
        with pytest.raises(RunError, match=r"view-000/shard-00001.npy cannot be written: Timeout"):
            write_record(URL, network_job(), shard_rows=3)
    assert "view-000/shard-00000.npy" in objects(bucket)
    write_record(URL, network_job(), shard_rows=3)
    assert objects(bucket) == content(tmp_path / "r")


def test_an_interruption_never_leaves_half_a_manifest(bucket, monkeypatch, tmp_path):
    write_record(tmp_path / "r", network_job())
    opened = MemoryFileSystem.open

    def interrupted(self, path, mode="rb", **options):
        """A file that Ctrl-C ends before its content is written; it is closed like any other."""
        file = opened(self, path, mode, **options)
        if path.endswith("manifest.json") and mode == "wb":
            monkeypatch.setattr(file, "write", stop)
        return file

    def stop(content):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "open", interrupted)
        with contextlib.suppress(Stopped):
            write_record(URL, network_job())
    write_record(URL, network_job())
    assert objects(bucket) == content(tmp_path / "r")


def test_a_whole_one_does_not_grow_and_is_replaced_when_asked(bucket, tmp_path):
    write_record(URL, network_job(count=1))
    before = objects(bucket)
    same = network_job(count=1)
    write_record(URL, same)
    assert same.read.calls == 0
    assert objects(bucket) == before
    for more in (network_job(count=2), network_job(columns=(CELLS,)), network_job(n=12)):
        with pytest.raises(DataError, match="in object storage none grows: copy it to a folder"):
            write_record(URL, more)
    assert objects(bucket) == before
    write_record(URL, network_job(count=0), overwrite=True)
    write_record(tmp_path / "r", network_job(count=0))
    assert objects(bucket) == content(tmp_path / "r")
    bucket.pipe_file("/bucket/photos/a.jpg", b"1")
    with pytest.raises(DataError, match=r"is no record \(it has a.jpg\)"):
        write_record(Url("memory://bucket/photos"), network_job(), overwrite=True)


def test_what_an_interrupted_one_of_something_else_left_is_refused(bucket):
    interrupt(URL, network_job(), 4)
    with pytest.raises(DataError, match=r"which this one cannot resume: .*dtype"):
        write_record(URL, network_job(dtype="float16"))
    write_record(URL, network_job(dtype="float16"), overwrite=True)
    assert Record.open(URL, verify=True).manifest.dtype == "float16"


def test_a_process_killed_when_it_was_whole_leaves_a_record(bucket, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mentee.records.writer.put_in_place", lambda out: None)
        write_record(URL, network_job())
    assert "plan.json" in objects(bucket)
    assert len(Record.open(URL)) == 10
    write_record(URL, network_job())
    assert not [name for name in objects(bucket) if name.endswith(("plan.json", "shards.json"))]


def test_damage_is_named_and_repaired(bucket):
    job = network_job()
    write_record(URL, job, shard_rows=4)
    before = objects(bucket)
    file = "/bucket/r/view-001/shard-00001.npy"
    whole = bucket.cat_file(file)
    bucket.pipe_file(file, whole[:-1] + b"\x00")
    Record.open(URL)  # of the same size: its content is compared when it is asked for
    with pytest.raises(DataError, match=r"view-001/shard-00001.npy is damaged: its checksum"):
        Record.open(URL, verify=True)
    bucket.pipe_file(file, whole[:-9])
    with pytest.raises(DataError, match=r"view-001/shard-00001.npy is damaged: it has \d+ bytes"):
        Record.open(URL)
    bucket.rm_file(file)
    with pytest.raises(DataError, match=r"memory://bucket/r/view-001/shard-00001.npy is missing"):
        Record.open(URL)
    repair_record(URL, network_job())
    assert objects(bucket) == before


def test_what_happens_to_it_while_it_is_read_is_told(bucket, monkeypatch):
    record = write_record(URL, network_job(columns=(MEAN,), count=0), shard_rows=4)
    bucket.pipe_file("/bucket/r/clean/shard-00001.npy", b"short")
    with pytest.raises(DataError, match=r"clean/shard-00001.npy is damaged: it has 0 of the 12"):
        record.read([5])
    bucket.rm_file("/bucket/r/clean/shard-00001.npy")
    with pytest.raises(DataError, match="r/clean lacks a file that was there before"):
        record.read([5])

    def lost(*_, **__):
        raise ConnectionError("the endpoint is gone")

    monkeypatch.setattr(MemoryFileSystem, "cat_ranges", lost)
    with pytest.raises(RunError, match=r"r/clean cannot be read: the endpoint is gone; .*resumes"):
        record.read([0])
    monkeypatch.setattr(MemoryFileSystem, "info", lost)
    with pytest.raises(RunError, match=r"manifest.json cannot be read: the endpoint is gone"):
        Record.open(URL)  # not "there is no record"


def test_local_urls_are_paths_and_others_need_their_package(tmp_path):
    write_record(located(f"file://{tmp_path}/r"), network_job())
    assert isinstance(Record.open(f"file://{tmp_path}/r").folder, Path)
    with pytest.raises(DataError, match=r"nosuch://a/b/\S+ cannot be opened: Protocol not known"):
        open_record("nosuch://a/b")
    with pytest.raises(DataError, match=r"cannot be opened: .*gcsfs.*pip install gcsfs"):
        open_record("gs://bucket/r")
    with pytest.raises(MenteeError, match="s3:/bucket/r is a URL that was made a Path"):
        located(Path("s3://bucket/r"))


def test_a_teacher_reads_the_next_batch_ahead_from_there_alone(bucket, tmp_path):
    job = network_job()
    stored = write_record(URL, job)
    teacher = RecordedTeacher(stored, job.examples)
    common = {"batch": 4, "views": VIEWS, "view": 1, "seed": 0, "epoch": 0}
    expected = [teacher(batch) for batch in batches(job.examples, **common)]
    coming = teacher.read_ahead(batches(job.examples, **common))
    first = next(coming)
    coming.close()  # what is read by now has come, and no more will
    bucket.store.clear()
    there = teacher(first)
    assert all(torch.equal(there[name], value) for name, value in expected[0].items())
    local = RecordedTeacher(write_record(tmp_path / "r", network_job()), job.examples)
    plain = batches(job.examples, **common)
    assert local.read_ahead(plain) is plain


def test_wide_rows_are_summed_up_in_smaller_chunks(bucket, monkeypatch):
    job = network_job()
    record = write_record(URL, job)
    whole = record.fit(range(10), MEAN)
    asked = []

    def counted(self, index):
        asked.append(len(index))
        return read(self, index)

    read = stored_rows.RangedRows.read
    monkeypatch.setattr(stored_rows.RangedRows, "read", counted)
    monkeypatch.setattr(reader, "CHUNK_BYTES", 4 * 5 * 4)  # of two columns, 5 numbers
    torch.testing.assert_close(record.fit(range(10), MEAN).std, whole.std)
    assert asked == [4, 4, 2]


def test_a_forked_process_connects_anew(bucket):
    bucket.pipe_file("/bucket/a", b"1")
    url = Url("memory://bucket/a")
    assert url.size() == 1
    url._kept = (os.getpid() + 1, None, "of another process")
    assert url.size() == 1


def test_the_cache_of_fsspec_holds_whole_files(bucket, tmp_path):
    job = network_job(columns=(MEAN,), count=0)
    write_record(URL, job, shard_rows=4)
    record = Record.open(f"simplecache::{URL}")
    order = [9, 5, 4, 0, 3, 5]
    assert torch.equal(record.read(order)[MEAN.name], exact(job, order, CLEAN))
    for name in [each for each in bucket.store if each.endswith(".npy")]:
        bucket.rm_file(name)
    assert torch.equal(record.read(order)[MEAN.name], exact(job, order, CLEAN))


def test_an_embedders_statistics_come_from_there(bucket, tmp_path):
    from mentee.recording.embedders import record_examples
    from tests.records.jobs import Fake

    local = record_examples(Fake(), images(), tmp_path / "r", shard_rows=4)
    there = record_examples(Fake(), images(), URL, shard_rows=4)
    assert objects(bucket) == content(tmp_path / "r")
    assert torch.equal(there.statistics.components, local.statistics.components)
    bucket.rm_file("/bucket/r/statistics.safetensors")
    assert torch.equal(Record.open(URL).statistics.mean, local.statistics.mean)
    assert "statistics.safetensors" in objects(bucket)
    assert np.array_equal(there.keys, local.keys)
