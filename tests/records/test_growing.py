"""Data that grew: only what is new is computed, what is there is neither done again nor written."""

import os

import numpy as np
import pytest
import torch

from mentee.errors import DataError
from mentee.recording.embedders import record_examples
from mentee.records import Record, write_record
from mentee.records.plan import plan_recording
from mentee.types import CLEAN
from tests.records.jobs import (
    CELLS,
    LOGITS,
    MEAN,
    Fake,
    Stopped,
    changed,
    content,
    exact,
    expected,
    images,
    interrupt,
    joined,
    network_job,
)


def grown(n, seed=4):
    """The first ten of `images` and others, all in another order."""
    order = np.random.default_rng(seed).permutation(n)
    return images(n).take(order)


def same_files(folder, before):
    """Whether files of rows are still the same files, not only the same bytes."""
    return {p: os.stat(folder / p).st_ino for p in before if p.endswith(".npy")} == {
        p: inode for p, inode in before.items() if p.endswith(".npy")
    }


def inodes(folder):
    return {str(p.relative_to(folder)): p.stat().st_ino for p in folder.rglob("*.npy")}


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_only_new_examples_are_computed_in_every_view_and_the_shards_stay(tmp_path, dtype):
    out = tmp_path / "r"
    write_record(out, network_job(dtype=dtype), shard_rows=4)
    files, before = inodes(out), content(out)
    more = network_job(examples=grown(17), dtype=dtype)
    planned = plan_recording(out, more)
    assert [planned.rows(each) for each in planned.parts] == [7, 7, 7]
    assert planned.bytes == 3 * 7 * 5 * (4 if dtype == "float32" else 1)
    write_record(out, more, shard_rows=4)
    assert more.read.calls == 3 * 2, "7 new examples, 4 at once, in 3 views"
    assert same_files(out, files)
    after = content(out)
    assert all(after[name] == old for name, old in before.items() if name.endswith(".npy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]
    found = Record.open(out)
    found.check(more.examples)
    found.check(more.examples.take(np.arange(17)[::-1]))
    rows = found.positions(more.examples.keys)
    for view in (CLEAN, 0, 1):
        both = joined(found.read(rows, view), more.columns)
        near = 1e-6 if dtype == "float32" else 2e-2
        wanted = exact(more, range(17), view)
        torch.testing.assert_close(both, wanted, atol=near, rtol=1e-6)
    idle = network_job(examples=grown(17, seed=9), dtype=dtype)
    write_record(out, idle)
    assert idle.read.calls == 0


def test_it_grows_again_and_takes_views_and_places_on_the_way(tmp_path):
    out = tmp_path / "r"
    write_record(out, network_job(count=1))
    write_record(out, network_job(count=1, examples=grown(13)))
    more = network_job(count=2, columns=(MEAN, LOGITS, CELLS), examples=grown(18))
    write_record(out, more)
    # 5 new examples of 2 sheets, 18 of the new view, and of the 3 sheets of the new place
    assert more.read.calls == 2 * 2 + 5 * (1 + 3)
    found = Record.open(out)
    assert [part["rows"] for part in found.manifest.data["parts"]] == [10, 3, 5]
    rows = found.positions(more.examples.keys)
    for view in (CLEAN, 0, 1):
        both = joined(found.read(rows, view), more.columns)
        torch.testing.assert_close(both, exact(more, range(18), view))


def test_what_was_interrupted_is_resumed_and_the_record_stays_until_then(tmp_path):
    for name in ("a", "b"):
        write_record(tmp_path / name, network_job(), shard_rows=4)
    old = content(tmp_path / "a")
    write_record(tmp_path / "a", network_job(examples=grown(19)), shard_rows=4)
    for stop in (1, 2, 2, 3):
        interrupt(tmp_path / "b", network_job(examples=grown(19)), stop, shard_rows=4)
        assert content(tmp_path / "b") == old
        Record.open(tmp_path / "b").check(images(10))
    last = network_job(examples=grown(19))
    write_record(tmp_path / "b", last, shard_rows=4)
    assert last.read.calls == 1, "the last batch of the last view"
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_examples_that_were_changed_or_lost_are_refused(tmp_path):
    out = tmp_path / "r"
    write_record(out, network_job())
    write_record(out, network_job(examples=images(14)))
    before = content(out)
    for examples, text in [
        (changed(17, 3), r"rows 0 to 9 are of examples of pictures whose contents were changed"),
        (changed(17, 12), r"rows 10 to 13 are of examples"),
        (images(17).take(range(1, 17)), r"1 of its 14 rows are of no example of .*pictures/0"),
        (changed(14, 12), r"of something else: examples: "),
    ]:
        said = network_job(examples=examples)
        with pytest.raises(DataError, match=rf"cannot be extended.*{text}.*--overwrite"):
            write_record(out, said)
        assert (said.read.calls, content(out)) == (0, before)


def test_rows_of_examples_that_went_to_validation_stay_and_do_no_harm(tmp_path):
    out, whole = tmp_path / "r", images(16)
    write_record(out, network_job(examples=whole.take(range(8)), whole=images(10)))
    taught = whole.take([*range(2, 8), *range(10, 16)])
    write_record(out, network_job(examples=taught, whole=whole))
    found = Record.open(out)
    assert (len(found), found.manifest.data["rows"]) == (14, 12)
    found.check(taught, whole)
    with pytest.raises(DataError, match=r"contents of 1 of 12 examples .*: 'pictures/4.png'"):
        found.check(changed(16, 4).take([*range(2, 8), *range(10, 16)]))
    idle = network_job(examples=taught, whole=whole)
    write_record(out, idle)
    assert idle.read.calls == 0


def test_fewer_examples_do_not_make_a_record_smaller(tmp_path):
    write_record(tmp_path / "r", network_job())
    with pytest.raises(DataError, match=r"something else: examples: "):
        write_record(tmp_path / "r", network_job(examples=images(6), whole=images(10)))


def test_a_teachers_vectors_grow_too(tmp_path):
    out, teacher = tmp_path / "r", Fake()
    first = record_examples(teacher, images(10), out, shard_rows=4)
    files, teacher.calls = inodes(out), 0
    more = grown(17)
    made = record_examples(teacher, more, out, batch=4, extend=True)
    assert teacher.calls == 2
    assert same_files(out, files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]
    assert [shard.rows for shard in made.manifest.parts[0].shards] == [4, 4, 2, 7]
    again = Record.open(out)
    again.check(more)
    np.testing.assert_allclose(again.of(more.keys), expected(more), rtol=2e-3)
    vectors = again.vectors(range(17)).numpy()
    np.testing.assert_allclose(again.statistics.mean, vectors.mean(0), rtol=1e-5)
    assert first.ids == again.ids[:10]
    teacher.calls = 0
    assert len(record_examples(teacher, more, out, extend=True)) == 17
    assert teacher.calls == 0


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_growth_of_vectors_that_was_interrupted_is_gone_on_with(tmp_path, stop):
    class Stops(Fake):
        def pooled(self, contents):
            if self.calls == stop:
                raise Stopped
            return super().pooled(contents)

    out, how = tmp_path / "r", {"batch": 4, "shard_rows": 4}
    record_examples(Fake(), images(10), out, **how)
    before, files = content(out), inodes(out)
    with pytest.raises(Stopped):
        record_examples(Stops(), grown(29), out, extend=True, **how)
    assert content(out) == before
    teacher = Fake()
    made = record_examples(teacher, grown(29), out, extend=True, **how)
    assert teacher.calls == 5 - stop, "19 new examples, 4 at once; whole files are not done again"
    assert same_files(out, files)
    np.testing.assert_allclose(made.of(grown(29).keys), expected(grown(29)), rtol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scale": 2.0, "contract": {"pooling": "other"}}, "teacher's contract: "),
        ({"dtype": "float32"}, "dtype: float16 there, float32 here"),
        ({"frames": True}, r"layers: embedding \[5\] there, frames \[3, 5\] here"),
        ({"examples": changed(12, 3)}, "rows 0 to 9 are of examples of pictures whose contents"),
        ({"examples": changed(10, 3)}, "something else: examples: "),
        ({"examples": images(8)}, "2 of its 10 rows are of no example"),
    ],
)
def test_vectors_of_something_else_do_not_grow(tmp_path, change, text):
    out, teacher = tmp_path / "r", Fake()
    record_examples(teacher, images(10), out)
    before = content(out)
    fake = {key: change.pop(key) for key in ("scale", "contract") if key in change}
    examples = change.pop("examples", images(12))
    with pytest.raises(DataError, match=rf"cannot be extended.*{text}.*--overwrite"):
        record_examples(Fake(**fake), examples, out, extend=True, **change)
    assert content(out) == before


def test_where_there_are_no_links_files_are_copied(tmp_path, monkeypatch):
    out = tmp_path / "r"
    record_examples(Fake(), images(10), out, shard_rows=4)

    def refuse(*arguments):
        raise OSError("no links here")

    monkeypatch.setattr("mentee.records.shards.os.link", refuse)
    made = record_examples(Fake(), images(12), out, extend=True)
    np.testing.assert_allclose(made.of(images(12).keys), expected(images(12)), rtol=2e-3)
    Record.open(out)
