"""Rows in memory: the same rows, refused where there is not enough; and shared by processes."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mentee.errors import RunError
from mentee.recording.embedders import record_examples
from mentee.records import Record, stored_rows, write_record
from mentee.types import CLEAN
from tests.records.jobs import LOGITS, MEAN, Fake, exact, images, joined, network_job

linux = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc/self/smaps")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_in_memory_are_the_rows_of_the_files(tmp_path, dtype):
    made = record_examples(Fake(), images(10), tmp_path / "r", dtype=dtype, shard_rows=4)
    wanted = made.vectors([9, 0, 4])
    loaded = Record.open(tmp_path / "r")
    stored_rows.load_rows(loaded.of_views([CLEAN]), name="r")
    for path in made.folder.glob("clean/*.npy"):
        path.unlink()  # nothing is read there any more
    np.testing.assert_array_equal(loaded.vectors([9, 0, 4]), wanted)
    loaded.vectors([1])[:] = 7
    np.testing.assert_array_equal(loaded.vectors([9, 0, 4]), wanted)


def test_what_is_too_large_is_refused_before_it_is_copied(tmp_path, monkeypatch):
    found = write_record(tmp_path / "r", network_job())
    records = found.of_views([0, 1])
    size = sum(each.part.bytes for each in records)
    assert size == sum(os.stat(p).st_size for p in tmp_path.rglob("view-*/*.npy"))
    monkeypatch.setattr(stored_rows, "available", lambda: size)
    stored_rows.load_rows(records, name="r")
    monkeypatch.setattr(stored_rows, "available", lambda: size - 1)
    again = Record.open(tmp_path / "r").of_views([0, 1])
    text = r"teacher.in_memory: r needs 0.0 MB and 0.0 MB are available; leave it out"
    with pytest.raises(RunError, match=text):
        stored_rows.load_rows(again, name="r")
    assert all(isinstance(rows.base, np.memmap) for each in again for rows in each.arrays)
    monkeypatch.setattr(stored_rows, "available", lambda: size)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(RunError, match=r"needs 0.0 MB for 2 processes and"):
        stored_rows.load_rows(again, name="r")
    monkeypatch.setattr(stored_rows, "available", lambda: None)
    stored_rows.load_rows(again, name="r")  # a system that does not say


def test_memory_is_what_the_machine_and_the_container_leave(tmp_path):
    assert stored_rows.available(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  999 kB\nMemAvailable:   500 kB\nHuge: 0\n")
    assert stored_rows.available(tmp_path) == 500 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000\n")
    assert stored_rows.available(tmp_path) == 500 * 1024
    (group / "memory.max").write_text("5000\n")
    assert stored_rows.available(tmp_path) == 4000
    (group / "memory.stat").write_text("anon 7\ninactive_file 300\n")
    assert stored_rows.available(tmp_path) == 4300


class Reads(Dataset):
    """Batches of a record, and what the process that reads them has of its files."""

    def __init__(self, record):
        self.record = record

    def __len__(self):
        return 8

    def __getitem__(self, index):
        rows = np.arange(index * 500, index * 500 + 500)
        said = self.record.read(rows, 0)
        return os.getpid(), rows, said, mapped(self.record.folder)


def mapped(folder):
    """Bytes of a folder's files that a process has mapped, and how many of them it changed."""
    size = changed = 0
    ours = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            ours = line.endswith(".npy") and str(folder) in line
        elif ours and words[0] == "Size:":
            size += int(words[1]) * 1024
        elif ours and words[0] in ("Private_Dirty:", "Shared_Dirty:", "Anonymous:"):
            changed += int(words[1]) * 1024
    return size, changed


@linux
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_map_the_same_files_and_copy_no_more_than_their_batch(tmp_path, start, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # where a new process finds `Reads`
    job = network_job(n=4000, count=1, batch=500)
    made = write_record(tmp_path / "r", job, shard_rows=1500)
    os.sync()  # a page that is not yet on the disk counts as changed
    made.read([0], 0)  # here the files are mapped already
    made.positions(job.examples.keys)
    size = sum(os.stat(path).st_size for path in (tmp_path / "r/view-000").glob("*.npy"))
    # What a worker is sent: the ids once, no rows.
    sent, ids = (len(pickle.dumps(each)) for each in (made, made.ids))
    assert sent < ids + 10_000 < ids + size
    loader = DataLoader(Reads(made), batch_size=None, num_workers=2, multiprocessing_context=start)
    processes = set()
    for pid, rows, got, (here, changed) in loader:
        processes.add(int(pid))
        torch.testing.assert_close(joined(got, (MEAN, LOGITS)), exact(job, rows, 0))
        assert here >= size, "the worker has the files mapped"
        assert changed == 0, "and no copy of its own of any page"
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_another_process_maps_what_is_in_memory_here(tmp_path):
    made = write_record(tmp_path / "r", network_job(n=4000, count=1, batch=500))
    stored_rows.load_rows(made.of_views([0]), name="r")
    again = pickle.loads(pickle.dumps(made))
    assert "arrays" not in again.parts[0, 0].__dict__
    for name, value in made.read([7, 3], 0).items():
        assert torch.equal(again.read([7, 3], 0)[name], value)
