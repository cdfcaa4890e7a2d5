"""A network that is looked up: the right row of the right view, or a refusal."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mentee.data import limit, read_batch
from mentee.errors import DataError, MenteeError, PairError
from mentee.records.network_record import NetworkRecord
from mentee.records.network_writer import write_network_record
from mentee.teachers import RecordedNetworkTeacher
from mentee.types import CLEAN, Mixup
from tests.records.test_network_record import CELLS, LOGITS, MEAN, recording


@pytest.fixture
def said():
    return recording(n=12, columns=(MEAN, CELLS, LOGITS))


@pytest.fixture
def made(said, tmp_path):
    write_network_record(tmp_path / "r", said, shard_rows=5)
    return NetworkRecord.open(tmp_path / "r")


def batch_of(said, examples, rows, view):
    return read_batch(examples, np.array(rows), views=said.views, view=view)


@pytest.mark.parametrize("view", [CLEAN, 0, 1])
def test_the_rows_of_a_view_are_what_the_network_says_of_that_view(said, made, view):
    part = limit(said.examples, 7, seed=1)
    batch = batch_of(said, part, [6, 0, 3], view)
    live = said.says(batch)
    for clean in (False, True):
        teacher = RecordedNetworkTeacher(made, part, clean=clean)
        found = teacher(batch)
        assert found.keys() == live.keys()
        exact = said.says(batch_of(said, part, [6, 0, 3], CLEAN)) if clean else live
        for name, value in exact.items():
            torch.testing.assert_close(found[name], value)
            assert not found[name].requires_grad


def test_places_have_the_shapes_that_the_network_has_there(said, made):
    teacher = RecordedNetworkTeacher(made, said.examples)
    assert {p.name: p.shape for p in teacher.places} == {"stages.0": (3, 4, 4), "logits": (2,)}


def test_a_view_that_is_not_there_and_mixed_examples_are_refused(said, made):
    teacher = RecordedNetworkTeacher(made, said.examples)
    with pytest.raises(DataError, match="view 2 was asked of"):
        teacher(batch_of(said, said.examples, [1], 2))
    batch = batch_of(said, said.examples, [1, 2], 0)
    with pytest.raises(DataError, match=r"a mixture was not recorded; set train.mixup to null"):
        teacher(replace(batch, mixed=Mixup(torch.tensor([1, 0]), 0.7)))


def test_examples_without_a_row_are_refused(made):
    with pytest.raises(DataError, match="2 of 14 examples have no row"):
        RecordedNetworkTeacher(made, recording(n=14).examples)


def test_statistics_are_of_the_vectors_of_the_clean_examples(said, made):
    def sample():
        yield batch_of(said, said.examples, range(12), CLEAN)

    teacher = RecordedNetworkTeacher(made, said.examples, sample=sample)
    vectors = said.say(np.arange(12), CLEAN, (MEAN,))
    np.testing.assert_allclose(teacher.statistics("stages.0").mean, vectors.mean(0), rtol=1e-5)
    np.testing.assert_allclose(teacher.statistics("stages.0").std, vectors.std(0), rtol=1e-4)
    assert teacher.statistics("logits").mean.shape == (2,)
    with pytest.raises(PairError, match=r"has no vectors of stem, only stages.0 \| mean"):
        teacher.statistics("stem")
    with pytest.raises(MenteeError, match="no examples to measure"):
        RecordedNetworkTeacher(made, said.examples).statistics("logits")


def test_the_fingerprint_follows_what_was_said(said, made, tmp_path):
    again = write_network_record(tmp_path / "again", recording(n=12, columns=(MEAN, CELLS, LOGITS)))
    other = write_network_record(tmp_path / "other", recording(n=12, columns=(MEAN, LOGITS)))
    prints = [RecordedNetworkTeacher(r, said.examples).fingerprint() for r in (made, again, other)]
    assert prints[0] != prints[2]
    assert len(prints[0]) == 32
    # shards of other sizes are other files
    assert prints[0] != prints[1]
