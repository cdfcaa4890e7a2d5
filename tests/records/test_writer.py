"""The record of a network: its columns, its views, and what it refuses to be."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mentee.errors import DataError, RunError
from mentee.locks import folder_lock
from mentee.records import Record, folders, open_record, shards, write_record, writer
from mentee.records.columns import with_components, with_largest
from mentee.records.folders import is_network_record, partial_folder
from mentee.records.manifest import read_manifest, write_manifest
from mentee.types import CLEAN
from tests.records.jobs import (
    CELLS,
    LOGITS,
    MEAN,
    content,
    exact,
    images,
    interrupt,
    joined,
    network_job,
)

OTHER_TEACHER = {"teacher": {"name": "fake", "fingerprint": "0" * 32, "network": {}}}
OTHER_VIEWS = {"views": {"views": "crop", "pad": 2, "view_seed": 3}}


def test_rows_come_by_column_and_view(tmp_path):
    job = network_job()
    write_record(tmp_path / "r", job, shard_rows=3)
    record = Record.open(tmp_path / "r")
    assert (len(record), record.views) == (10, 2)
    assert [each.name for each in record.columns] == ["stages.0 | mean", "logits"]
    order = [7, 0, 7, 4]
    for view in (CLEAN, 0, 1):
        features = record.read(order, view)
        assert torch.equal(joined(features, job.columns), exact(job, order, view))
        (one,) = record.read(order, view, ["logits"]).items()
        assert torch.equal(one[1], features[one[0]])
    assert not torch.equal(record.read([1], 0)[MEAN.name], record.read([1], 1)[MEAN.name])
    with pytest.raises(DataError, match=r"view 2 was asked of .*record more with --views 3"):
        record.read([0], 2)
    with pytest.raises(DataError, match=r"has no one vector of an example, but stages.0 | mean"):
        record.vectors([0])
    record.check(job.examples)
    with pytest.raises(DataError, match="does not fit"):
        record.check(images(10, seed=1))


def test_it_is_found_by_split(tmp_path):
    write_record(tmp_path / "r" / "train", network_job())
    assert is_network_record(tmp_path / "r")
    assert not is_network_record(tmp_path / "r", "test")
    for folder in (tmp_path / "r", tmp_path / "r" / "train"):
        assert len(open_record(folder)) == 10
    with pytest.raises(DataError, match=r"no record of split 'test': known: train"):
        open_record(tmp_path / "r", "test")


def test_what_is_there_is_not_computed_again_and_more_views_and_columns_are_added(tmp_path):
    write_record(tmp_path / "r", network_job(count=1))
    before = content(tmp_path / "r")
    more = network_job(count=2, columns=(MEAN, CELLS))
    write_record(tmp_path / "r", more)
    # 3 batches of each: the second view of the old columns, and three views of the new one
    assert more.read.calls == 3 * (1 + 3)
    after = content(tmp_path / "r")
    assert all(after[name] == old for name, old in before.items() if name != "manifest.json")
    record = Record.open(tmp_path / "r")
    assert record.columns == (MEAN, LOGITS, CELLS)
    for view in (CLEAN, 0, 1):
        both = joined(record.read([5], view), record.columns)
        torch.testing.assert_close(both, exact(more, [5], view, record.columns))
    idle = network_job(count=2, columns=(MEAN,), methods=("at",))
    write_record(tmp_path / "r", idle)
    assert idle.read.calls == 0
    assert read_manifest(tmp_path / "r").methods == ("kd", "at")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (OTHER_TEACHER, "teacher's fingerprint: ffff"),
        ({"examples": images(10, seed=1)}, "examples"),
        (OTHER_VIEWS, "views"),
        ({"dtype": "float16"}, "dtype: float32 there, float16 here"),
    ],
)
def test_a_record_of_something_else_is_not_extended(tmp_path, change, text):
    write_record(tmp_path / "r", network_job())
    with pytest.raises(DataError, match=rf"cannot be extended.*{text}.*--overwrite"):
        write_record(tmp_path / "r", network_job(count=3, **change))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_things_is_left_alone(tmp_path, overwrite):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"is no record \(it has thesis.tex\)"):
        write_record(tmp_path, network_job(), overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_disk_too_small_is_told_before_the_teacher_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda folder: type("U", (), {"free": 599}))
    job = network_job()  # 3 views of 10 rows of 5 numbers of 4 bytes
    with pytest.raises(RunError, match=r"needs 0.0 MB and 0.0 MB are free"):
        write_record(tmp_path / "r", job)
    assert job.read.calls == 0
    assert not list(tmp_path.iterdir())


def test_what_was_interrupted_is_resumed_to_the_same_bytes(tmp_path):
    write_record(tmp_path / "whole", network_job(), shard_rows=4)
    for stop in range(1, 9):
        job, out = network_job(), tmp_path / f"cut{stop}"
        interrupt(out, job, stop, shard_rows=4)
        for folder in (out, partial_folder(out)):
            with pytest.raises(DataError, match=r"is no record: .* or resume one"):
                Record.open(folder)
        write_record(out, job, shard_rows=4)
        assert job.read.calls == 9, "3 batches of each of 3 views, none of them twice"
        assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dtype": "float16"}, "dtype: float32 there, float16 here"),
        (OTHER_VIEWS, "views: .*'pad': 2"),
        ({"examples": images(10, seed=1)}, "examples: "),
        ({"columns": (MEAN,)}, "columns: "),
        (OTHER_TEACHER, "teacher's fingerprint: ffff.* there, 0000.* here"),
    ],
)
def test_what_was_interrupted_is_not_mixed_with_something_else(tmp_path, change, text):
    out = tmp_path / "r"
    interrupt(out, network_job(), 5)
    before = content(tmp_path)
    other = network_job(**change)
    with pytest.raises(DataError, match=rf"left by an interrupted.*{text}.*--overwrite"):
        write_record(out, other)
    assert other.read.calls == 0
    assert content(tmp_path) == before
    write_record(out, other, overwrite=True)
    write_record(tmp_path / "s", other)
    assert content(out) == content(tmp_path / "s")


def test_fewer_views_than_an_interrupted_process_was_to_write_leave_no_others(tmp_path):
    interrupt(tmp_path / "r", network_job(count=3), 10)
    write_record(tmp_path / "r", network_job(count=1))
    write_record(tmp_path / "s", network_job(count=1))
    assert content(tmp_path / "r") == content(tmp_path / "s")


def test_an_error_leaves_the_whole_views_or_nothing(tmp_path):
    class BrokenError(RuntimeError):
        pass

    for calls, left in ((2, []), (4, [".r.partial"])):
        job = network_job()

        def fail(examples, rows, view, columns, job=job, calls=calls):
            if job.read.calls == calls:
                raise BrokenError
            return job.read(examples, rows, view, columns)

        with pytest.raises(BrokenError):
            write_record(tmp_path / "r", replace(job, read=fail))
        assert [path.name for path in tmp_path.iterdir()] == left
    again = network_job()
    write_record(tmp_path / "r", again)
    assert again.read.calls == 6


def test_one_process_at_a_time_writes_a_record(tmp_path):
    out = tmp_path / "r"
    held = folder_lock(out, beside=True)
    with held, pytest.raises(RunError, match=r"r is in use: process \d+ of .* on .* is at work"):
        write_record(out, network_job())
    write_record(out, network_job())
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_a_record_that_is_replaced_stays_until_the_new_one_is_whole(tmp_path, stop):
    out = tmp_path / "r"
    write_record(out, network_job())
    before = content(out)
    narrow = network_job(dtype="float16")
    interrupt(out, narrow, stop, overwrite=True)
    assert content(out) == before
    Record.open(out)
    write_record(out, narrow, overwrite=True)
    assert narrow.read.calls == 9 + stop % 3, "whole views are not computed again"
    write_record(tmp_path / "s", network_job(dtype="float16"))
    assert content(out) == content(tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "s"]


def test_what_another_replacement_left_is_not_resumed(tmp_path):
    out = tmp_path / "r"
    write_record(out, network_job())
    interrupt(out, network_job(dtype="float16"), 5, overwrite=True)
    write_record(out, network_job(dtype="bfloat16"), overwrite=True)
    write_record(tmp_path / "s", network_job(dtype="bfloat16"))
    assert content(out) == content(tmp_path / "s")


def test_a_kill_between_the_two_moves_loses_nothing(tmp_path, monkeypatch):
    out = tmp_path / "r"
    write_record(out, network_job())
    with monkeypatch.context() as patch:
        patch.setattr(writer, "put_in_place", lambda out: out.rename(tmp_path / ".r.old"))
        with pytest.raises(DataError):
            write_record(out, network_job(dtype="float16"), overwrite=True)
    assert not out.exists()
    idle = network_job(dtype="float16")
    write_record(out, idle)
    assert idle.read.calls == 0
    assert Record.open(out).manifest.dtype == "float16"
    assert not (out / folders.PLAN).exists()


def test_a_damaged_record_can_be_replaced(tmp_path):
    out = tmp_path / "r"
    write_record(out, network_job())
    (out / "manifest.json").write_text("{")
    write_record(out, network_job(), overwrite=True)
    Record.open(out)


def test_one_flipped_byte_anywhere_is_found_and_named(tmp_path):
    made = tmp_path / "r"
    columns = with_components((MEAN, CELLS), {CELLS.name: 2})
    write_record(made, network_job(n=5, columns=columns, count=1))
    for path in sorted(each for each in made.rglob("*") if each.is_file()):
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(DataError, match=path.name):
                Record.open(made)
        path.unlink()
        with pytest.raises(DataError, match=path.name):
            Record.open(made)
        path.write_bytes(whole)
    Record.open(made)


def test_parts_of_another_record_are_named(tmp_path):
    write_record(tmp_path / "r", network_job())
    write_record(tmp_path / "s", network_job(columns=(MEAN,)))
    shutil.rmtree(tmp_path / "r" / "view-001")
    with pytest.raises(DataError, match=r"view-001/shard-00000.npy is missing"):
        Record.open(tmp_path / "r")
    shutil.copytree(tmp_path / "s" / "view-001", tmp_path / "r" / "view-001")
    with pytest.raises(DataError, match=r"view-001/shard-00000.npy is damaged: it has 248 bytes"):
        Record.open(tmp_path / "r")
    manifest = read_manifest(tmp_path / "r")
    write_manifest(tmp_path / "r", manifest.model_copy(update={"parts": manifest.parts[:2]}))
    with pytest.raises(DataError, match="has other parts than views and groups of columns"):
        Record.open(tmp_path / "r")


@pytest.mark.parametrize(
    ("name", "old", "command"),
    [
        ("places.json", {"format": 2, "teacher": {}}, "RECIPE --out OUT"),
        (
            "manifest.json",
            {"format": 2, "teacher": {"name": "mine", "source": "v.npz"}},
            "import v.npz DATA --out OUT",
        ),
        (
            "manifest.json",
            {
                "format": 1,
                "teacher": {"name": "minilm", "asked": {"teacher": "minilm", "data": "tweets/"}},
            },
            "tweets/ --teacher minilm --out OUT",
        ),
    ],
)
def test_a_record_of_an_old_format_is_refused_with_the_command_that_makes_it_again(
    tmp_path, name, old, command
):
    folder = tmp_path / "r" / "train"
    (folder / "clean").mkdir(parents=True)
    (folder / name).write_text(json.dumps(old))
    command = command.replace("OUT", str(tmp_path / "r"))
    text = rf"recorded by mentee 0.1 .* record it again: mentee record {command} --overwrite$"
    for use in (open_record, lambda path: write_record(path / "train", network_job())):
        with pytest.raises(DataError, match=text):
            use(tmp_path / "r")
    write_record(folder, network_job(), overwrite=True)
    assert len(open_record(tmp_path / "r")) == 10


def test_the_manifest_of_a_later_format_is_refused(tmp_path):
    write_record(tmp_path / "r", network_job())
    path = tmp_path / "r" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(DataError, match=r"has format 9, this version of mentee reads format 3"):
        Record.open(tmp_path / "r")


def narrow_job(n=40, **changes):
    """The cells in 3 principal components and the larger of two logits."""
    dtype = changes.get("dtype", "float32")
    columns = with_largest(with_components((MEAN, CELLS, LOGITS), {CELLS.name: 3}), 1, dtype)
    return network_job(n=n, columns=columns, **changes)


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-6), ("float16", 2e-3), ("int8", 2e-2)])
def test_components_and_largest_logits_are_read_as_what_they_stand_for(tmp_path, dtype, near):
    job, lines = narrow_job(dtype=dtype), []
    record = write_record(tmp_path / "r", job, say=lines.append)
    (group,) = record.manifest.groups
    share = group.explained[CELLS.name]
    assert lines == [
        f"stages.0 | 2x2 cells: 3 principal components have {share:.1%} of the variance"
    ]
    assert 0.7 < share < 1
    assert record.manifest.numbers(0) == 3 + 3 + 3
    center = exact(job, range(40), CLEAN, [CELLS]).mean(0)
    for view in (CLEAN, 1):
        mean, cells, logits = exact(job, range(40), view).split([3, 12, 2], dim=1)
        features = record.read(range(40), view)
        torch.testing.assert_close(features[MEAN.name], mean, atol=near, rtol=0)
        torch.testing.assert_close(features[LOGITS.name], logits, atol=3 * near, rtol=0)
        lost = (features[CELLS.name] - cells).square().sum() / (cells - center).square().sum()
        # The directions are those of the clean examples; views have others too.
        assert lost < (1 - share + near if view == CLEAN else 0.6)
    assert write_record(tmp_path / "s", job).manifest.groups == (group,)


def test_components_survive_interruption_growth_and_new_views(tmp_path):
    write_record(tmp_path / "whole", narrow_job(), shard_rows=16)
    for stop in (3, 12, 15, 25):  # 10 batches for the directions, then 10 a view
        job, out = narrow_job(), tmp_path / f"cut{stop}"
        interrupt(out, job, stop, shard_rows=16)
        write_record(out, job, shard_rows=16)
        assert content(out) == content(tmp_path / "whole")
    out = tmp_path / "whole"
    file = (out / "basis.safetensors").read_bytes()
    more = narrow_job(examples=images(50), count=3)
    record = write_record(out, more, shard_rows=16)
    assert (out / "basis.safetensors").read_bytes() == file, "the old rows are along the old ones"
    assert more.read.calls == 3 * 3 + 13
    basis = record.bases[0][CELLS.name]
    row = exact(more, [45], 2, [CELLS]) - basis.mean
    wanted = basis.mean + row @ basis.components.T @ basis.components
    torch.testing.assert_close(record.read([45], 2)[CELLS.name], wanted)
    write_record(out, network_job(examples=images(50), columns=(MEAN, CELLS, LOGITS), count=4))
    other = with_components((MEAN, CELLS), {CELLS.name: 2})
    with pytest.raises(DataError, match=r"2x2 cells: 3 principal components there, 2 principal"):
        write_record(out, network_job(examples=images(50), columns=other))
    assert Record.open(out).views == 4


def test_int8_has_one_scale_an_entry_for_all_views(tmp_path):
    job = network_job(n=40, dtype="int8")
    record = write_record(tmp_path / "r", job)
    scales = torch.tensor(record.manifest.groups[0].scales)
    assert scales.shape == (5,)
    for view in (CLEAN, 1):
        both = joined(record.read(range(40), view), job.columns)
        assert ((both - exact(job, range(40), view)).abs() <= 0.5001 * scales).all()
    np.testing.assert_array_less(0, scales)
