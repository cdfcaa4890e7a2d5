"""What crosses the borders: nothing is lost on the way."""

import dataclasses

import pytest
import torch

from mentee.types import CLEAN, Batch, FeatureKey, LayerPair, Mixup, Step


def test_a_batch_is_as_long_as_its_ids_and_moves_without_ids_and_rows():
    batch = Batch(
        inputs=torch.rand(3, 1, 2, 2),
        ids=torch.tensor([7, 8, 9]),
        rows=torch.arange(3),
        labels=torch.ones(3, 2),
        mask=torch.ones(3, 2, dtype=torch.bool),
        labeled=torch.tensor([True, True, False]),
        view=4,
        mixed=Mixup(torch.tensor([2, 0, 1]), 0.75),
        recorded={"teacher": {"logits": torch.rand(3, 2)}},
    )
    assert len(batch) == 3
    moved = batch.to("meta")
    for field in dataclasses.fields(Batch):
        value = getattr(moved, field.name)
        if field.name == "view":
            assert value == 4
        elif field.name == "mixed":
            assert (value.share, value.partner.device.type) == (0.75, "meta")
        elif field.name in ("ids", "rows", "recorded"):  # what is looked up by them is moved
            assert value is getattr(batch, field.name)
        else:
            assert value.device.type == "meta"
            assert value.shape == getattr(batch, field.name).shape
            assert value.dtype == getattr(batch, field.name).dtype


def test_a_batch_without_labels_has_none_anywhere():
    moved = Batch(torch.rand(1, 2), torch.zeros(1).long(), torch.zeros(1).long()).to("cpu")
    assert moved.labels is None
    assert moved.mask is None
    assert moved.view == CLEAN


def test_what_has_crossed_is_not_changed():
    step = Step(1, 0, 1, 0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.loss = 0.1
    assert step.losses == {}


def test_what_is_said_of_examples_is_mixed_as_they_are():
    mixed = Mixup(torch.tensor([1, 0]), 0.75)
    assert mixed.of(torch.tensor([[0.0], [4.0]])).tolist() == [[1.0], [3.0]]


@pytest.mark.parametrize(
    "text", ["stages.0", "stem&stages.0", "stages.vgg.0 | 4x4 cells, then pca"]
)
def test_the_text_of_a_feature_key_is_its_one_form(text):
    assert str(FeatureKey.parse(text)) == text
    assert {FeatureKey.parse(text): 1}[FeatureKey.parse(text)] == 1


def test_a_key_selects_one_layer_or_a_tuple_of_several():
    assert FeatureKey.parse("stem & b").select({"stem": 1, "b": 2, "c": 3}) == (1, 2)
    assert FeatureKey.parse("c").select({"stem": 1, "c": 3}) == 3
    assert str(LayerPair.parse("a", "a")) == "a"
    assert str(LayerPair.parse("a & b", "b&c")) == "a&b~b&c"
