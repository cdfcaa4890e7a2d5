"""A teacher that is looked up: the right row, of the right example, wherever it stands."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mentee.data import limit, open_arrays, read_batch, split
from mentee.data.modality import build_views
from mentee.errors import DataError, PairError
from mentee.recording.embedders import record_examples
from mentee.records import import_record, write_record
from mentee.teachers import MultiTeacher, RecordedTeacher
from mentee.teachers.recorded import ExampleRows
from mentee.types import CLEAN, Batch, Mixup
from tests.records.jobs import (
    CELLS,
    LOGITS,
    MEAN,
    VIEWS,
    Fake,
    exact,
    expected,
    images,
    network_job,
    outputs,
)

CLEAN_ONLY = build_views("none", seed=0)


@pytest.fixture
def made(tmp_path):
    return record_examples(Fake(), images(30), tmp_path / "r", dtype="float32", shard_rows=7)


def batch_of(examples, rows):
    return read_batch(examples, np.array(rows), views=CLEAN_ONLY, view=0)


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_rows_of_a_cut_and_limited_split_are_found(made, memory):
    whole = images(30)
    train, validation = split(whole, fraction=0.3, seed=1)
    train = limit(train, 15, seed=2)
    teacher = RecordedTeacher(made, train, memory=memory)
    said = teacher(batch_of(train, [3, 14, 0]))
    assert list(said) == ["embedding"]
    assert said["embedding"].dtype == torch.float32
    np.testing.assert_allclose(said["embedding"], expected(train)[[3, 14, 0]], rtol=1e-6)
    for row in range(15):  # each example alone, its vector computed from its own pixels
        one = train.take([row])
        got = teacher(batch_of(train, [row]))["embedding"]
        np.testing.assert_allclose(got, expected(one), rtol=1e-6)
    with pytest.raises(DataError, match=r"2 of the 2 examples of a batch are none of pictures"):
        teacher(batch_of(validation, [0, 1]))


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_rows_of_another_view_of_the_examples_are_found_by_key(made, memory):
    whole = images(30)
    teacher = RecordedTeacher(made, whole, memory=memory)
    part = whole.take([20, 4, 11])
    got = teacher(batch_of(part, [2, 0]))["embedding"]
    np.testing.assert_allclose(got, expected(whole)[[11, 20]], rtol=1e-6)


def test_frames_have_a_place_of_their_own(tmp_path):
    made = record_examples(Fake(), images(6), tmp_path / "r", frames=True, dtype="float32")
    teacher = RecordedTeacher(made, images(6))
    assert [(place.name, place.shape) for place in teacher.layers] == [("frames", (3, 5))]
    got = teacher(batch_of(images(6), [5, 1]))["frames"]
    wanted = expected(images(6))[[5, 1], None] + np.arange(3)[:, None]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert teacher.statistics("frames").mean.shape == (5,)


def test_several_records_teach_at_once(made, tmp_path):
    other = record_examples(Fake(width=2), images(30), tmp_path / "s", frames=True, dtype="float32")
    teacher = RecordedTeacher({"a": made, "b": other}, images(30))
    assert [(place.name, place.shape) for place in teacher.layers] == [
        ("embedding.a", (5,)),
        ("frames.b", (3, 2)),
    ]
    said = teacher(batch_of(images(30), [8]))
    np.testing.assert_allclose(said["embedding.a"], expected(images(30))[[8]], rtol=1e-6)
    assert said["frames.b"].shape == (1, 3, 2)
    assert teacher.statistics("embedding.a").mean.shape == (5,)
    assert teacher.statistics("frames.b").mean.shape == (2,)
    with pytest.raises(DataError, match="there are no records"):
        RecordedTeacher({}, images(30))


def test_clean_rows_of_one_of_several_records(made, tmp_path):
    other = record_examples(Fake(width=2), images(30), tmp_path / "s", dtype="float32")
    part, rows = limit(images(30), 15, seed=2), torch.tensor([14, 3])
    teacher = RecordedTeacher({"a": made, "b": other}, part)
    found = teacher.clean_rows(rows, ["embedding.a | mean", "embedding.a"])
    assert list(found) == ["embedding.a"]
    np.testing.assert_allclose(found["embedding.a"], expected(part)[[14, 3]], rtol=1e-6)
    alone = RecordedTeacher(made, part)
    several = MultiTeacher({"x": alone}, {"x": ["embedding"]})
    of_several = several.clean_rows(rows, ["embedding.x | mean", "embedding.x"])
    assert list(of_several) == ["embedding.x"]
    assert torch.equal(of_several["embedding.x"], found["embedding.a"])


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_vectors_are_mixed_as_the_inputs_are(made, memory):
    whole = images(30)
    teacher = RecordedTeacher(made, whole, memory=memory)
    batch = batch_of(whole, [0, 1, 2])
    partner = torch.tensor([2, 0, 1])
    mixed = Batch(batch.inputs, batch.ids, batch.rows, mixed=Mixup(partner, 0.7))
    a = expected(whole)[:3]
    np.testing.assert_allclose(teacher(mixed)["embedding"], 0.7 * a + 0.3 * a[partner], rtol=1e-5)


def test_statistics_are_of_the_training_examples_only(made):
    whole = images(30)
    train, _ = split(whole, fraction=0.3, seed=1)
    for examples in (train, whole):
        rows = expected(examples)
        found = RecordedTeacher(made, examples).statistics("embedding")
        torch.testing.assert_close(found.mean, torch.tensor(rows.mean(axis=0)).float())
        torch.testing.assert_close(found.std, torch.tensor(rows.std(axis=0)).float())


def test_examples_without_a_row_are_refused(made):
    with pytest.raises(
        DataError, match=r"2 of 32 examples have no row .*: 'pictures/30.png', '\S+31"
    ):
        RecordedTeacher(made, images(32))


def test_the_vectors_are_constants(made):
    teacher = RecordedTeacher(made, images(30))
    said = teacher(batch_of(images(30), [3]))["embedding"]
    said += 1
    assert not said.requires_grad
    again = teacher(batch_of(images(30), [3]))["embedding"]
    np.testing.assert_allclose(again, expected(images(30))[[3]], rtol=1e-6)


def test_the_fingerprint_follows_records_and_names(made, tmp_path):
    other = record_examples(Fake(), images(30, seed=1), tmp_path / "s", dtype="float32")
    teachers = [made, other, {"a": made}, {"b": made}, {"a": made, "b": other}]
    found = [RecordedTeacher(each, images(30)).fingerprint() for each in teachers]
    assert len(set(found)) == len(teachers)
    assert found[0] == RecordedTeacher(made, images(30)).fingerprint()
    assert all(len(each) == 32 for each in found)


def test_half_precision_comes_back_as_it_was(tmp_path):
    n, d = 4000, 768
    ids = [str(i) for i in range(n)]
    examples = open_arrays({"text": ids, "id": ids}, name="numbers")
    np.save(
        tmp_path / "v.npy", np.arange(n, dtype=np.float16)[:, None] * np.ones(d, np.float16) / 16
    )
    made = import_record(tmp_path / "v.npy", examples, tmp_path / "r", name="x", in_order=True)
    rows = torch.randperm(n)[:64]
    batch = Batch(torch.zeros(64, 1), torch.from_numpy(examples.keys)[rows], rows)
    said = RecordedTeacher(made, examples)(batch)["embedding"]
    torch.testing.assert_close(said[:, 5], rows.half().float().div(16).half().float())


def test_examples_are_found_by_their_keys_whatever_rows_a_batch_has():
    whole = images(9)

    def batch(examples, rows):
        keys = torch.from_numpy(examples.keys)[rows]
        return Batch(torch.zeros(len(rows), 1), keys, torch.tensor(rows))

    assert ExampleRows(whole).of(batch(whole, [7, 0])).tolist() == [7, 0]
    part = whole.take([8, 3, 5])
    assert ExampleRows(whole).of(batch(part, [0, 2])).tolist() == [8, 5]
    assert ExampleRows(part).of(batch(whole, [3, 8])).tolist() == [1, 0]
    with pytest.raises(DataError, match="1 of the 2 examples of a batch are none of pictures"):
        ExampleRows(part).of(batch(whole, [3, 4]))


@pytest.fixture
def job():
    return network_job(n=12, columns=(MEAN, CELLS, LOGITS))


@pytest.fixture
def network(job, tmp_path):
    return write_record(tmp_path / "r", job, shard_rows=5)


def view_of(examples, rows, view):
    return read_batch(examples, np.array(rows), views=VIEWS, view=view)


@pytest.mark.parametrize("view", [CLEAN, 0, 1])
def test_the_rows_of_a_view_are_the_outputs_of_the_network_for_that_view(job, network, view):
    part = limit(job.examples, 7, seed=1)
    batch = view_of(part, [6, 0, 3], view)
    live = outputs(batch)
    for clean in (False, True):
        teacher = RecordedTeacher(network, part, clean=clean)
        found = teacher(batch)
        assert found.keys() == live.keys()
        exact = outputs(view_of(part, [6, 0, 3], CLEAN)) if clean else live
        for name, value in exact.items():
            torch.testing.assert_close(found[name], value)
            assert not found[name].requires_grad


def test_places_have_the_shapes_that_the_network_has_there(job, network):
    teacher = RecordedTeacher(network, job.examples)
    assert {p.name: p.shape for p in teacher.layers} == {"stages.0": (3, 4, 4), "logits": (2,)}


def test_clean_rows_are_those_of_the_columns_that_there_are(job, network):
    part, rows = limit(job.examples, 7, seed=1), torch.tensor([6, 0, 3])
    found = RecordedTeacher(network, part).clean_rows(rows, ["stages.0 | mean", "stages.0"])
    assert list(found) == ["stages.0 | mean"]
    clean = outputs(view_of(part, rows.tolist(), CLEAN))
    torch.testing.assert_close(found["stages.0 | mean"], clean["stages.0 | mean"])


def test_a_view_that_is_not_there_and_mixed_examples_are_refused(job, network):
    teacher = RecordedTeacher(network, job.examples)
    with pytest.raises(DataError, match="view 2 was asked of"):
        teacher(view_of(job.examples, [1], 2))
    batch = view_of(job.examples, [1, 2], 0)
    with pytest.raises(DataError, match=r"a mixture was not recorded; set train.mixup to null"):
        teacher(replace(batch, mixed=Mixup(torch.tensor([1, 0]), 0.7)))


def test_examples_that_a_networks_record_has_not_are_refused(network):
    with pytest.raises(DataError, match="2 of 14 examples have no row"):
        RecordedTeacher(network, network_job(n=14).examples)


def test_statistics_are_of_the_vectors_of_the_clean_examples(job, network):
    some = job.examples.take(range(0, 12, 2))
    for measured, rows in ((None, range(12)), (some, range(0, 12, 2))):
        teacher = RecordedTeacher(network, job.examples, measured=measured)
        vectors = exact(job, rows, CLEAN, (MEAN,)).numpy()
        np.testing.assert_allclose(teacher.statistics("stages.0").mean, vectors.mean(0), rtol=1e-5)
        np.testing.assert_allclose(teacher.statistics("stages.0").std, vectors.std(0), rtol=1e-4)
    assert teacher.statistics("logits").mean.shape == (2,)
    with pytest.raises(PairError, match=r"has no vectors of stem, only stages.0 \| mean"):
        teacher.statistics("stem")


def test_the_fingerprint_follows_what_was_recorded(job, network, tmp_path):
    again = write_record(tmp_path / "again", network_job(n=12, columns=(MEAN, CELLS, LOGITS)))
    other = write_record(tmp_path / "other", network_job(n=12, columns=(MEAN, LOGITS)))
    prints = [RecordedTeacher(r, job.examples).fingerprint() for r in (network, again, other)]
    assert prints[0] != prints[2]
    assert len(prints[0]) == 32
    # shards of other sizes are other files
    assert prints[0] != prints[1]
