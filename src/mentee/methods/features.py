"""Rows that read features: relations of examples, maps and tokens at the stages."""

from __future__ import annotations

from mentee.methods.row import Method, Term, Word


def _rkd(name: str, about: str, *, distance: float = 25.0, angle: float = 50.0) -> Method:
    word = Word("rkd", {"distance": distance, "angle": angle})
    return Method(
        name,
        (Term("embedding", word, 1.0),),
        about=about,
        source="Park et al. 2019, arXiv:1904.05068",
    )


# Published with a trained head on the teacher's side too, which learns to say nothing: here random.
_CC = Word("random", {"width": 128, "student_head": "linear"})

RELATION_ROWS = (
    Method(
        "sp",
        (Term("stages.last", Word("sp"), 3000.0),),
        about="Which examples of the batch are alike, at the last stage: any two networks.",
        source="Tung and Mori 2019, arXiv:1907.09682",
    ),
    _rkd("rkd", "Distances and angles among the embeddings of the batch: any two networks."),
    _rkd("rkd-distance", "The distances of rkd alone.", angle=0.0),
    _rkd("rkd-angle", "The angles of rkd alone.", distance=0.0),
    Method(
        "pkt",
        (Term("embedding", Word("pkt"), 30000.0),),
        about="Neighbours in the batch as probabilities: any two networks; strong for its cost.",
        source="Passalis and Tefas 2018, arXiv:1803.10837",
    ),
    Method(
        "cc",
        (Term("embedding", Word("cc"), 0.02, _CC),),
        about="Gaps of neighbours in the batch, as RepDistiller has it: for its tables; weak.",
        source="Peng et al. 2019, arXiv:1904.01802",
    ),
    Method(
        "cka",
        (Term("embedding", Word("cka"), 1.0),),
        about="Centred kernel alignment of the embeddings: any two networks; the weight is not "
        "published.",
        source="Kornblith et al. 2019, arXiv:1905.00414",
    ),
)
