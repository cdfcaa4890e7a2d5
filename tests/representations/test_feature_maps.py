"""Maps: how tokens are laid out, at which resolution two sides meet, and what is no map."""

import pytest
import torch

from mentee.errors import MenteeError, PairError
from mentee.representations import attention, feature_maps, gaussian, paraphraser


def test_the_finer_map_is_averaged_to_the_coarser():
    s_adapter, t_adapter = feature_maps((3, 8, 6), (5, 4, 12))
    x, y = torch.randn(2, 3, 8, 6), torch.randn(2, 5, 4, 12)
    torch.testing.assert_close(s_adapter.precompute(x), x.view(2, 3, 4, 2, 6).mean(3))
    torch.testing.assert_close(t_adapter.precompute(y), y.view(2, 5, 4, 6, 2).mean(4))
    assert (s_adapter.reduction, t_adapter.reduction) == ("map of 4x6", "map of 4x6")
    same, _ = feature_maps((3, 4, 4), (3, 4, 4))
    assert same.reduction == ""


@pytest.mark.parametrize("before", range(6))
def test_tokens_are_laid_out_without_those_before_the_patches(before):
    tokens = torch.randn(2, before + 16, 5)
    _, side = feature_maps((3, 4, 4), (before + 16, 5))
    laid_out = side.precompute(tokens)
    assert laid_out.shape == (2, 5, 4, 4)
    for number in range(16):
        row, column = divmod(number, 4)
        assert torch.equal(laid_out[:, :, row, column], tokens[:, before + number])


@pytest.mark.parametrize(
    ("student", "teacher", "text"),
    [
        ((3, 4, 4), (7,), r"the teacher's feature is one vector of 7, expected a map or tokens"),
        ((7,), (3, 4, 4), r"the student's feature is one vector of 7"),
        ((3, 4, 4), (24, 7), r"24 tokens make no square"),
    ],
)
@pytest.mark.parametrize("word", [feature_maps, attention, gaussian, paraphraser])
def test_what_is_no_map_is_refused(word, student, teacher, text):
    with pytest.raises(PairError, match=rf"{word.__name__}: {text}"):
        word(student, teacher)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(MenteeError, match="power is 0, expected at least 1"):
        attention((3, 4, 4), (3, 4, 4), power=0)
    with pytest.raises(
        MenteeError, match=r"variance is 1\.0 and eps 2\.0, expected variance > eps"
    ):
        gaussian((3, 4, 4), (3, 4, 4), variance=1.0, eps=2.0)
    with pytest.raises(MenteeError, match=r"share is 0.0, expected one in \(0, 1\]"):
        paraphraser((3, 4, 4), (3, 4, 4), share=0.0)
    with pytest.raises(MenteeError, match="steps is 5 and learn is joint"):
        paraphraser((3, 4, 4), (3, 4, 4), learn="joint", steps=5)


def test_a_paraphraser_learns_to_reconstruct():
    _, side = paraphraser((4, 6, 6), (4, 6, 6), learn="joint")
    x = torch.randn(16, 4, 1, 1).expand(16, 4, 6, 6).relu()
    optimizer = torch.optim.AdamW(side.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = side.aux_loss(side.aux_input(x, side(x)), lambda logits: logits, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    expected = (side.decoder(side.encoder(x)) - x).square().mean()
    assert side.aux_loss(side.aux_input(x, side(x)), lambda z: z, 0).item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    assert losses[-1] < 0.8 * losses[0]


def test_a_paraphraser_that_learned_first_learns_no_more():
    _, side = paraphraser((4, 6, 6), (4, 6, 6), steps=7)
    assert side.steps == 7
    assert not side.own_objective_only
    assert not any(p.requires_grad for p in side.parameters())
