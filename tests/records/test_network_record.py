"""A record of places: its columns, its views, and what it refuses to be."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
import torch

from mentee.data.modality import build_views
from mentee.errors import DataError, RunError
from mentee.records import network_writer, shards
from mentee.records.columns import Column, in_components, with_largest
from mentee.records.network_record import NetworkRecord, is_network_record, open_network_record
from mentee.records.network_writer import write_network_record
from mentee.records.signed import write_signed
from mentee.records.views import RecordingJob
from mentee.types import CLEAN
from tests.records.two_processes import images

MEAN = Column(place="stages.0", reduction="mean", shape=(3,), read=(3, 4, 4))
CELLS = Column(place="stages.0", reduction="2x2 cells", shape=(12,), read=(3, 4, 4))
LOGITS = Column(place="logits", reduction="", shape=(2,), read=(2,))


class Says:
    """A teacher of 4×4 images whose features are known; it counts its batches."""

    def __init__(self):
        self.calls = 0

    def __call__(self, batch, names=()):
        self.calls += 1
        x = batch.inputs.expand(-1, 3, -1, -1)
        cells = x.reshape(len(x), 3, 2, 2, 2, 2).mean((3, 5)).flatten(1)
        return {
            MEAN.name: x.mean((2, 3)),
            CELLS.name: cells,
            LOGITS.name: torch.stack([x.amax((1, 2, 3)), -x.amin((1, 2, 3))], 1),
        }


def recording(n=10, columns=(MEAN, LOGITS), count=2, **changes):
    said = RecordingJob(
        examples=images(n),
        views=build_views("crop", seed=3, pad=1),
        how={"views": "crop", "pad": 1, "view_seed": 3},
        says=Says(),
        columns=columns,
        teacher={"name": "fake", "fingerprint": "f" * 32, "network": {}},
        methods=("kd",),
        count=count,
        dtype="float32",
        batch=4,
    )
    return replace(said, **changes)


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_rows_come_by_column_and_view(tmp_path):
    said = recording()
    write_network_record(tmp_path / "r", said, shard_rows=3)
    found = NetworkRecord.open(tmp_path / "r")
    assert (len(found), found.views, [c.name for c in found.columns]) == (
        10,
        2,
        ["stages.0 | mean", "logits"],
    )
    order = [7, 0, 7, 4]
    for view in (CLEAN, 0, 1):
        got = found.read(order, view)
        wanted = torch.from_numpy(said.say(np.array(order), view, said.columns))
        assert torch.equal(torch.cat([got[MEAN.name], got[LOGITS.name]], 1), wanted)
    assert not torch.equal(found.read([1], 0)[MEAN.name], found.read([1], 1)[MEAN.name])
    with pytest.raises(DataError, match=r"view 2 was asked of .*record more with --views 3"):
        found.read([0], 2)
    found.check(said.examples)
    with pytest.raises(DataError, match="does not fit"):
        found.check(images(10, seed=1))


def test_it_is_found_by_split(tmp_path):
    write_network_record(tmp_path / "r" / "train", recording())
    assert is_network_record(tmp_path / "r")
    assert not is_network_record(tmp_path / "r", "test")
    assert (
        len(open_network_record(tmp_path / "r"))
        == len(open_network_record(tmp_path / "r" / "train"))
        == 10
    )
    with pytest.raises(DataError, match=r"no record of split 'test': known: train"):
        open_network_record(tmp_path / "r", "test")


def test_what_is_there_is_not_done_again_and_more_views_and_places_are_added(tmp_path):
    write_network_record(tmp_path / "r", recording(count=1))
    before = content(tmp_path / "r")
    more = recording(count=2, columns=(MEAN, CELLS))
    write_network_record(tmp_path / "r", more)
    # 3 batches of each: the second view of the old columns, and three views of the new one
    assert more.says.calls == 3 * (1 + 3)
    after = content(tmp_path / "r")
    assert all(after[name] == old for name, old in before.items() if name != "places.json")
    found = NetworkRecord.open(tmp_path / "r")
    assert [c.name for c in found.columns] == [c.name for c in (MEAN, LOGITS, CELLS)]
    for view in (CLEAN, 0, 1):
        got, row = found.read([5], view), np.array([5])
        columns = (MEAN, LOGITS, CELLS)
        fresh = torch.from_numpy(more.say(row, view, columns)).split([3, 2, 12], dim=1)
        wanted = {each.name: value for each, value in zip(columns, fresh, strict=True)}
        for name, value in wanted.items():
            torch.testing.assert_close(got[name], value)
    idle = recording(count=2, columns=(MEAN,))
    write_network_record(tmp_path / "r", idle)
    assert idle.says.calls == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"teacher": {"name": "fake", "fingerprint": "0" * 32, "network": {}}},
            "teacher's weights",
        ),
        ({"examples": images(10, seed=1)}, "examples"),
        ({"how": {"views": "crop", "pad": 2, "view_seed": 3}}, "views"),
        ({"dtype": "float16"}, "dtype: float32 there, float16 here"),
    ],
)
def test_a_record_of_something_else_is_not_extended(tmp_path, change, text):
    write_network_record(tmp_path / "r", recording())
    with pytest.raises(DataError, match=rf"cannot be extended.*{text}.*--overwrite"):
        write_network_record(tmp_path / "r", recording(count=3, **change))


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"is no record \(it has thesis.tex\)"):
        write_network_record(tmp_path, recording())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_disk_too_small_is_said_before_the_teacher_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda folder: type("U", (), {"free": 599}))
    said = recording()  # 3 views of 10 rows of 5 numbers of 4 bytes
    with pytest.raises(RunError, match=r"needs 0.0 MB and 0.0 MB are free"):
        write_network_record(tmp_path / "r", said)
    assert said.says.calls == 0


class Stopped(BaseException):
    """As Ctrl-C: an end that is no error."""


def test_what_was_interrupted_is_gone_on_with_to_the_same_bytes(tmp_path):
    write_network_record(tmp_path / "whole", recording(), shard_rows=4)
    for stop in range(1, 9):
        said, out = recording(), tmp_path / f"cut{stop}"

        def stopping(batch, names, said=said, stop=stop):
            if said.says.calls == stop:
                raise Stopped
            return said.says(batch, names)

        with pytest.raises(Stopped):
            write_network_record(out, replace(said, says=stopping), shard_rows=4)
        with pytest.raises(DataError, match=r"no whole record of places.*mentee record RECIPE"):
            NetworkRecord.open(out)
        write_network_record(out, said, shard_rows=4)
        assert said.says.calls == 9, "3 batches of each of 3 views, none of them twice"
        assert content(out) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dtype": "float16"}, "dtype: float32 there, float16 here"),
        ({"how": {"views": "crop", "pad": 2, "view_seed": 3}}, "teacher's views: .*'pad': 2"),
        ({"examples": images(10, seed=1)}, "examples: "),
        ({"columns": (MEAN,)}, "teacher's columns: "),
        (
            {"teacher": {"name": "fake", "fingerprint": "0" * 32, "network": {}}},
            "teacher's fingerprint: ffff.* there, 0000.* here",
        ),
    ],
)
def test_what_was_interrupted_is_not_mixed_with_something_else(tmp_path, change, text):
    out = tmp_path / "r"
    interrupt(out, recording(), 5)
    before = content(out)
    other = recording(**change)
    with pytest.raises(DataError, match=rf"left by an interrupted.*{text}.*--overwrite"):
        write_network_record(out, other)
    assert other.says.calls == 0
    assert content(out) == before
    write_network_record(out, other, overwrite=True)
    write_network_record(tmp_path / "s", other)
    assert content(out) == content(tmp_path / "s")


def interrupt(out, said, stop, **how):
    """Record until so many batches are done."""

    def stopping(batch, names, calls=said.says.calls):
        if said.says.calls == calls + stop:
            raise Stopped
        return said.says(batch, names)

    with pytest.raises(Stopped):
        write_network_record(out, replace(said, says=stopping), **how)


@pytest.mark.parametrize("stop", [1, 5, 8])
def test_a_record_that_is_overwritten_stays_until_the_new_one_is_whole(tmp_path, stop):
    out = tmp_path / "r"
    write_network_record(out, recording())
    before = content(out)
    narrow = recording(dtype="float16")
    interrupt(out, narrow, stop, overwrite=True)
    assert content(out) == before
    NetworkRecord.open(out)
    write_network_record(out, narrow, overwrite=True)
    assert narrow.says.calls == 9 + stop % 3, "whole views are not done again"
    write_network_record(tmp_path / "s", recording(dtype="float16"))
    assert content(out) == content(tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "s"]


def test_what_is_left_of_another_overwriting_is_not_gone_on_with(tmp_path):
    out = tmp_path / "r"
    write_network_record(out, recording())
    interrupt(out, recording(dtype="float16"), 5, overwrite=True)
    write_network_record(out, recording(dtype="bfloat16"), overwrite=True)
    write_network_record(tmp_path / "s", recording(dtype="bfloat16"))
    assert content(out) == content(tmp_path / "s")


def test_a_kill_between_the_two_moves_loses_nothing(tmp_path, monkeypatch):
    out = tmp_path / "r"
    write_network_record(out, recording())
    with monkeypatch.context() as patch:
        patch.setattr(network_writer, "put_in_place", lambda out: out.rename(tmp_path / ".r.old"))
        with pytest.raises(DataError):
            write_network_record(out, recording(dtype="float16"), overwrite=True)
    assert not out.exists()
    idle = recording(dtype="float16")
    write_network_record(out, idle)
    assert idle.says.calls == 0
    assert NetworkRecord.open(out).manifest.dtype == "float16"


@pytest.mark.parametrize("damage", ["places.json", "clean/manifest.json"])
def test_a_damaged_record_can_be_overwritten(tmp_path, damage):
    out = tmp_path / "r"
    write_network_record(out, recording())
    (out / damage).write_text("{")
    write_network_record(out, recording(), overwrite=True)
    NetworkRecord.open(out)


def test_several_processes_share_the_views(tmp_path):
    together, parts = Barrier(2), [recording(count=3) for _ in range(2)]

    def process(rank):
        write_network_record(tmp_path / "r", parts[rank], rank=rank, world=2, wait=together.wait)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(process, range(2)))
    assert [part.says.calls for part in parts] == [3 * 2, 3 * 2]
    write_network_record(tmp_path / "s", recording(count=3))
    assert content(tmp_path / "r") == content(tmp_path / "s")


def test_one_flipped_byte_anywhere_is_found_and_named(tmp_path):
    made = tmp_path / "r"
    write_network_record(made, recording(n=3, count=1))
    for path in sorted(made.rglob("*")):
        if not path.is_file():
            continue
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(DataError, match=path.name):
                NetworkRecord.open(made)
        path.write_bytes(whole)
    NetworkRecord.open(made)


def test_a_view_that_is_gone_or_of_another_record_is_named(tmp_path):
    write_network_record(tmp_path / "r", recording())
    write_network_record(tmp_path / "s", recording(columns=(MEAN,)))
    shutil.rmtree(tmp_path / "r" / "view-001")
    with pytest.raises(DataError, match=r"view-001 is no record"):
        NetworkRecord.open(tmp_path / "r")
    shutil.copytree(tmp_path / "s" / "view-001", tmp_path / "r" / "view-001")
    with pytest.raises(DataError, match=r"view-001 holds 10 rows of 3 numbers.*says 10 of 5"):
        NetworkRecord.open(tmp_path / "r")


def test_another_format_is_said(tmp_path):
    write_network_record(tmp_path / "r", recording())
    path = tmp_path / "r" / "places.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(
        DataError, match=r"has format 9, this version of mentee reads formats 1 and 2"
    ):
        NetworkRecord.open(tmp_path / "r")


def narrow(n=40, **changes):
    """A recording with the cells in 3 principal components and the larger of two logits."""
    dtype = changes.get("dtype", "float32")
    columns = with_largest(in_components((MEAN, CELLS, LOGITS), {CELLS.name: 3}), 1, dtype)
    return recording(n=n, columns=columns, **changes)


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-6), ("float16", 2e-3), ("int8", 2e-2)])
def test_components_and_largest_logits_are_read_as_what_they_stand_for(tmp_path, dtype, near):
    said, lines = narrow(dtype=dtype), []
    found = write_network_record(tmp_path / "r", said, say=lines.append)
    (basis,) = found.manifest.bases
    share = basis.explained[CELLS.name]
    assert lines == [
        f"stages.0 | 2x2 cells: 3 principal components have {share:.1%} of the variance"
    ]
    assert 0.7 < share < 1
    assert found.manifest.numbers == 3 + 3 + 3
    exact = {v: torch.from_numpy(said.say(np.arange(40), v, said.columns)) for v in (CLEAN, 1)}
    for view, whole in exact.items():
        mean, cells, logits = whole.split([3, 12, 2], dim=1)
        got = found.read(range(40), view)
        torch.testing.assert_close(got[MEAN.name], mean, atol=near, rtol=0)
        torch.testing.assert_close(got[LOGITS.name], logits, atol=3 * near, rtol=0)
        center = exact[CLEAN].split([3, 12, 2], dim=1)[1].mean(0)
        lost = (got[CELLS.name] - cells).square().sum() / (cells - center).square().sum()
        # The directions are those of the clean examples; views have others beside them.
        assert lost < (1 - share + near if view == CLEAN else 0.6)
    assert found.manifest.bases == write_network_record(tmp_path / "s", said).manifest.bases


def test_components_survive_interruption_growth_and_new_views(tmp_path):
    write_network_record(tmp_path / "whole", narrow(), shard_rows=16)
    for stop in (3, 12, 15, 25):  # 10 batches for the directions, then 10 a view
        said, out = narrow(), tmp_path / f"cut{stop}"
        interrupt(out, said, stop, shard_rows=16)
        write_network_record(out, said, shard_rows=16)
        assert content(out) == content(tmp_path / "whole")
    out = tmp_path / "whole"
    file = (out / "basis.safetensors").read_bytes()
    more = narrow(examples=images(50), count=3)
    found = write_network_record(out, more, shard_rows=16)
    assert (out / "basis.safetensors").read_bytes() == file, "the old rows are along the old ones"
    assert more.says.calls == 3 * 3 + 13
    got = found.read([45], 2)
    row = torch.from_numpy(more.say(np.array([45]), 2, (CELLS,))) - found.bases[0][CELLS.name].mean
    along = found.bases[0][CELLS.name].components
    wanted = found.bases[0][CELLS.name].mean + row @ along.T @ along
    torch.testing.assert_close(got[CELLS.name], wanted)
    write_network_record(
        out, recording(examples=images(50), columns=(MEAN, CELLS, LOGITS), count=4)
    )
    other = in_components((MEAN, CELLS), {CELLS.name: 2})
    with pytest.raises(DataError, match=r"2x2 cells: 3 principal components there, 2 principal"):
        write_network_record(out, recording(examples=images(50), columns=other))
    assert NetworkRecord.open(out).views == 4


def test_components_of_another_recording_are_not_taken(tmp_path):
    out = tmp_path / "r"
    interrupt(out, narrow(), 25)
    (out / "basis.safetensors").unlink()
    with pytest.raises(DataError, match=r"teacher's basis: \w+ there, None here"):
        write_network_record(out, narrow())


def test_a_damaged_or_missing_file_of_directions_is_named(tmp_path):
    out = tmp_path / "r"
    write_network_record(out, narrow(n=20))
    path = out / "basis.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), 50):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"basis.safetensors is damaged"):
            NetworkRecord.open(out)
    path.unlink()
    with pytest.raises(DataError, match=r"basis.safetensors is missing"):
        NetworkRecord.open(out)


def test_a_record_of_the_first_format_is_read_and_extended(tmp_path):
    out = tmp_path / "r"
    write_network_record(out, recording(count=1))
    path = out / "places.json"
    said = json.loads(path.read_text())
    old = {k: v for k, v in said.items() if k not in ("bases", "checksum")} | {"format": 1}
    old["groups"] = [[c.said() for c in (MEAN, LOGITS)]]
    write_signed(path, old)
    assert NetworkRecord.open(out).columns == (MEAN, LOGITS)
    more = recording(count=2)
    write_network_record(out, more)
    assert (more.says.calls, NetworkRecord.open(out).manifest.format) == (3, 2)


def test_int8_has_one_scale_an_entry_for_all_views(tmp_path):
    write_network_record(tmp_path / "r", recording(n=40, dtype="int8"))
    found = NetworkRecord.open(tmp_path / "r")
    scales = {record.manifest.scales for record in found.records.values()}
    assert len(scales) == 1
    said = recording(n=40)
    for view in (CLEAN, 1):
        got = found.read(range(40), view)
        both = torch.cat([got[MEAN.name], got[LOGITS.name]], 1)
        exact = torch.from_numpy(said.say(np.arange(40), view, said.columns))
        assert ((both - exact).abs() <= 0.5001 * torch.tensor(next(iter(scales)))).all()
