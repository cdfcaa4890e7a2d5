"""Recording: what is in the folder, and that it is whole or not there."""

import errno
import json
import os
import signal
import sys
import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mentee.data import open_arrays
from mentee.data.examples import with_seconds
from mentee.errors import DataError, MenteeError, RunError
from mentee.recording.embedders import record_examples
from mentee.records import Record
from tests.records.jobs import Fake, content, expected, images

resource = pytest.importorskip("resource", reason="no limits on this system")


def test_the_folder_is_plain_npy_json_and_safetensors(tmp_path):
    examples, folder = images(10), tmp_path / "r" / "train"
    record_examples(Fake(), examples, folder, shard_rows=4, batch=3)
    files = sorted(folder.glob("clean/shard-*.npy"))
    parts = [np.load(path, mmap_mode="r") for path in files]
    assert [part.shape for part in parts] == [(4, 5), (4, 5), (2, 5)]
    assert {part.dtype for part in parts} == {np.dtype("float16")}
    np.testing.assert_allclose(np.concatenate(parts), expected(examples), rtol=2**-11)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["clean", "ids.json", "manifest.json", "statistics.safetensors"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert json.loads((folder / "ids.json").read_text()) == list(examples.ids)
    assert manifest["teacher"] == {
        "name": "fake",
        "fingerprint": Fake().fingerprint(),
        "contract": {"pooling": "powers of the mean"},
    }
    assert manifest["data"] == {
        "name": "pictures",
        "fingerprint": examples.fingerprint(labels=False),
        "rows": 10,
        "contents": manifest["data"]["contents"],  # tests/records/test_joined.py
    }
    (group,) = manifest["groups"]
    assert [(each["layer"], each["shape"]) for each in group["columns"]] == [("embedding", [5])]
    assert (manifest["format"], manifest["dtype"], manifest["count"]) == (3, "float16", 0)
    (part,) = manifest["parts"]
    assert [shard["bytes"] for shard in part["shards"]] == [path.stat().st_size for path in files]
    stored = np.concatenate(parts).astype(np.float64)
    assert manifest["statistics"]["vectors"] == 10
    assert manifest["statistics"]["mean"] == pytest.approx(stored.mean())
    assert manifest["statistics"]["std"] == pytest.approx(np.sqrt(stored.var(axis=0).mean()))
    assert [path.name for path in folder.parent.iterdir()] == ["train"]
    assert folder.stat().st_mode & 0o777 == 0o755
    record_examples(Fake(), examples, tmp_path / "s", shard_rows=4, batch=3)
    assert content(tmp_path / "s") == content(folder), "the bytes depend on nothing else"


@settings(deadline=None, max_examples=12)
@given(
    n=st.integers(1, 23),
    batch=st.integers(1, 9),
    shard_rows=st.integers(1, 30),
    frames=st.booleans(),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_what_is_written_is_read_again(tmp_path_factory, n, batch, shard_rows, frames, dtype):
    examples = images(n)
    made = record_examples(
        Fake(),
        examples,
        tmp_path_factory.mktemp("r") / "r",
        frames=frames,
        dtype=dtype,
        batch=batch,
        shard_rows=shard_rows,
    )
    again = Record.open(made.folder)
    assert again.ids == examples.ids
    assert again.vector.shape == ((3, 5) if frames else (5,))
    wanted = expected(examples)
    if frames:
        wanted = wanted[:, None] + np.arange(3)[:, None]
    order = np.random.default_rng(n).permutation(n)
    got = again.vectors(order)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got, wanted[order], rtol=2e-3 if dtype == "float16" else 1e-5)
    again.check(examples)


def test_progress_is_told_after_each_batch(tmp_path):
    told = []
    record_examples(
        Fake(),
        images(10),
        tmp_path / "r",
        batch=4,
        progress=lambda done, all: told.append((done, all)),
    )
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_a_record_that_is_there_stays(tmp_path):
    teacher = Fake()
    record_examples(teacher, images(3), tmp_path / "r")
    calls = teacher.calls
    with pytest.raises(DataError, match=r"is a record already.*--overwrite"):
        record_examples(teacher, images(4), tmp_path / "r")
    assert teacher.calls == calls, "said before anything was computed"
    assert len(record_examples(teacher, images(4), tmp_path / "r", overwrite=True)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_numbers_too_large_for_float16_are_refused(tmp_path):
    bright = images(6)
    with pytest.raises(DataError, match=r"entry 0 of 'pictures/0.png' is .*record as float32"):
        record_examples(Fake(scale=1e6), bright, tmp_path / "r")
    assert not list(tmp_path.iterdir())
    record_examples(Fake(scale=1e6), bright, tmp_path / "r", dtype="float32")


def test_numbers_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"entry 0 of 'pictures/0.png' is nan"):
        record_examples(Fake(scale=float("nan")), images(3), tmp_path / "r", dtype="float32")
    assert not list(tmp_path.iterdir())


class Wrong(Fake):
    def pooled(self, contents):
        return torch.zeros(len(contents), 7)


class Longer(Fake):
    def frames(self, contents):
        self.calls += 1
        return torch.zeros(len(contents), self.calls, self.width)


def test_a_teacher_that_breaks_its_word_is_told(tmp_path):
    with pytest.raises(MenteeError, match=r"fake returned \[3, 7\], expected \[3, 5\]"):
        record_examples(Wrong(), images(3), tmp_path / "r")
    with pytest.raises(DataError, match=r"'pictures/0.png' have shape \[2, 5\].*one length"):
        record_examples(Longer(), images(3), tmp_path / "r", frames=True, batch=2)


def test_data_that_the_teacher_does_not_read_are_refused(tmp_path):
    with pytest.raises(DataError, match="fake reads text, pictures is image"):
        record_examples(Fake(kind="text"), images(3), tmp_path / "r")


def test_clips_of_one_length_say_their_seconds(tmp_path):
    clips = [np.linspace(0.0, 1 - n / 1000, n, dtype=np.float32) for n in (100, 900)]
    whole = open_arrays({"audio": clips, "sample_rate": 8000}, sample_rate=8000, name="clips")
    teacher = Fake(kind="audio", sample_rate=8000, width=1)
    assert "seconds" not in record_examples(teacher, whole, tmp_path / "r").manifest.data
    cut = record_examples(teacher, with_seconds(whole, 0.05), tmp_path / "s", frames=True)
    assert cut.manifest.data["seconds"] == 0.05
    cut.check(whole)


def test_an_error_on_the_way_leaves_nothing(tmp_path):
    class Broken(Fake):
        def pooled(self, contents):
            if self.calls == 2:
                raise OSError(errno.EIO, "the network share is gone")
            return super().pooled(contents)

    with pytest.raises(OSError, match="the network share is gone"):
        record_examples(Broken(), images(9), tmp_path / "r", batch=2)
    assert not list(tmp_path.iterdir())


class Slow(Fake):
    def pooled(self, contents):
        time.sleep(0.02)
        return super().pooled(contents)


def child(work):
    """The number of a process of its own that does some work; it ends with 0 where that is done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        number = os.fork()
    if number == 0:
        try:
            work()
        finally:
            os._exit(0 if sys.exc_info()[0] is None else 1)
    return number


def record_slowly(out):
    """A process that records for a long time, once it has written some shards."""
    number = child(lambda: record_examples(Slow(), images(500), out, batch=2, shard_rows=2))
    begin = time.monotonic()
    while len(list(out.parent.glob(".*/clean/shard-*.npy"))) < 3:
        assert time.monotonic() - begin < 30
        time.sleep(0.01)
    return number


def test_a_killed_recording_leaves_no_record_and_is_resumed(tmp_path):
    out, how = tmp_path / "r", {"batch": 2, "shard_rows": 2}
    process = record_slowly(out)
    with pytest.raises(RunError, match="is in use: process"):
        record_examples(Fake(), images(500), out, **how)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert not out.exists()
    with pytest.raises(DataError, match=r"left by an interrupted recording.*examples: "):
        record_examples(Fake(), images(4), out)
    teacher = Fake()
    record_examples(teacher, images(500), out, **how)
    assert 0 < teacher.calls < 248
    record_examples(Fake(), images(500), tmp_path / "s", **how)
    assert content(out) == content(tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "s"]


def test_what_a_killed_recording_left_can_be_replaced(tmp_path):
    process = record_slowly(tmp_path / "r")
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    assert len(record_examples(Fake(), images(4), tmp_path / "r", overwrite=True)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_disk_that_fills_up_is_one_clear_error(tmp_path):
    def work():
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        try:
            record_examples(Fake(width=100), images(50), tmp_path / "here" / "r", batch=8)
        except RunError as error:
            said = os.open(tmp_path / "said", os.O_CREAT | os.O_WRONLY)
            os.write(said, str(error).encode())

    assert os.waitpid(child(work), 0)[1] == 0
    said = (tmp_path / "said").read_text()
    assert said.startswith("cannot write ")
    assert "shard-00000.npy: files may not grow that large there" in said
    assert not (tmp_path / "here").exists()


def test_int8_needs_scales_that_only_a_networks_record_has(tmp_path):
    text = "--dtype int8 needs a scale .* of vectors expected float32, float16, bfloat16$"
    with pytest.raises(DataError, match=text):
        record_examples(Fake(), images(3), tmp_path / "r", dtype="int8")
    assert not list(tmp_path.iterdir())
