"""The table of methods: names, parameters and papers."""

from __future__ import annotations

from mentee.methods.derived import bank_contrast, contrast
from mentee.methods.features import FEATURE_METHODS, RELATION_METHODS
from mentee.methods.logits import LOGIT_METHODS, soft_targets
from mentee.methods.method import Component, Method, Term


def _east(
    name: str,
    representation: Component,
    loss: str = "distance_correlation",
    *,
    share: float = 0.6,
    about: str,
    source: str = "",
    note: str = "",
) -> Method:
    """(1 - λ) · task + λ · loss at the embedding; in a sum the same ratio, the task at 1."""
    compared = Component(loss)
    return Method(
        name,
        (Term("embedding", compared, share, representation),),
        task=round(1 - share, 3),
        summed_terms=(Term("embedding", compared, round(share / (1 - share), 3), representation),),
        unlabeled_terms=(Term("embedding", compared, 1.0, representation),),
        about=about,
        source=source,
        note=note,
    )


def _similarity(weight: float) -> Term:
    """Similarities to a queue of the teacher's vectors."""
    return Term(
        "embedding",
        Component("similarity_kl", {"temperature": 0.07}),
        weight,
        Component("to_teacher"),
        Component("queue", {"negatives": 1024, "class_aware": False}),
    )


def _probe(loss: Component, weight: float) -> Term:
    """Soft labels of a probe of the teacher's embedding."""
    return Term(("logits", "embedding"), loss, weight, Component("probe"))


def _ec_kd(loss: str, weight: float) -> tuple[Term, ...]:
    """EAsT-KD's shares, 0.7 of the embedding and 0.3 of the soft labels, of one compressor."""
    soft = Component(loss, {"temperature": 2.0})
    return (
        Term("embedding", Component("distance_correlation"), round(0.7 * weight, 3), _COMPRESS),
        Term(("logits", "embedding"), soft, round(0.3 * weight, 3), Component("compressed_logits")),
    )


def _ec(task: float) -> tuple[Term, ...]:
    """The compressor is trained first; its vectors weigh 0.1, its probe's soft labels 0.3."""
    h = Component("compress", {"width": 64, "gain": 0.01, "learn": "first"})
    soft, logits = Component("soft_labels", {"temperature": 2.0}), Component("compressed_logits")
    near, alike = (round(share / task, 3) for share in _EC_SHARES)
    return (
        Term("embedding", Component("distance_correlation"), near, h),
        Term(("logits", "embedding"), soft, alike, logits),
    )


_EC_SHARES = 0.1, 0.3
"""Of embedding compression; docs/decisions/0033-compressed-and-soft-labels.md."""
_COMPRESS = Component("compress", {"width": 64, "gain": 0.01})
_EC_SOURCE = "Embedding Compression (Ding and Lerch 2024, arXiv:2402.06761)"


def _cktf_bank(theta: float, beta: float, *, exact: bool = False) -> tuple[Term, ...]:
    """The term of CRD at the stem, every stage and the embedding."""
    draw = "exact" if exact else "shared"
    return (
        bank_contrast("stem", theta, draw=draw),
        bank_contrast("stages", theta, draw=draw, batch_axis=exact),
        bank_contrast("embedding", beta, draw=draw),
    )


_CKTF = (contrast("stages"), contrast("embedding"))
# Without labels what is alike has to stay so: a higher temperature, and less of the positions;
# docs/decisions/0034-contrast-without-labels.md.
_CRD_ALONE = contrast("embedding", weight=0.3, temperature=0.3)
_CKTF_ALONE = (contrast("stages", weight=0.1), _CRD_ALONE)
# Published: θ and β with the task's loss, and without labels.
_CKTF_BANK, _CKTF_BANK_ALONE = _cktf_bank(0.1, 0.8), _cktf_bank(0.04, 1.0)
# The second table of the paper, where a method is added: all contrasts weigh the same.
_CKTF_BANK_ADDED = _cktf_bank(0.8, 0.8)
_CRD_SOURCE = "Contrastive Representation Distillation (Tian et al. 2020, arXiv:1910.10699)"
_CKTF_SOURCE = "Contrastive Knowledge Transfer Framework (Zhao et al. 2023, arXiv:2303.07599)"
_IN_BATCH = (
    "contrasted within the batch, without a memory; the teacher's side has no head; without labels "
    "the temperature at the embedding is 0.3; weights and temperature are Mentee's"
)

_METHODS = (
    Method("none", about="No teacher: the student from scratch, the yardstick of every method."),
    *LOGIT_METHODS,
    Method(
        "crd",
        (contrast("embedding"),),
        unlabeled_terms=(_CRD_ALONE,),
        about="Contrast of the embedding: any two networks, also of other classes.",
        source=_CRD_SOURCE,
        note=_IN_BATCH,
    ),
    Method(
        "crd-bank",
        (bank_contrast("embedding", 0.8),),
        unlabeled_terms=(bank_contrast("embedding", 1.0),),
        about="CRD with its memory of negatives, one draw of them a batch: for long training.",
        source=_CRD_SOURCE,
        note="one draw of negatives a batch",
    ),
    Method(
        "crd-exact",
        (bank_contrast("embedding", 0.8, draw="exact"),),
        unlabeled_terms=(bank_contrast("embedding", 1.0, draw="exact"),),
        about="CRD as published, K draws of negatives for each example: for reproduction; slow.",
        source=_CRD_SOURCE,
    ),
    Method(
        "cktf",
        _CKTF,
        unlabeled_terms=_CKTF_ALONE,
        about="Contrast of every stage, position by position, and of the embedding: structure at "
        "every depth.",
        source=_CKTF_SOURCE,
        note=f"maps position by position; {_IN_BATCH}",
    ),
    Method(
        "cktf+kd",
        (*_CKTF, soft_targets(1.0)),
        unlabeled_terms=(*_CKTF_ALONE, soft_targets(1.0)),
        about="CKTF and softened logits together: strong between networks of the same classes.",
        source=_CKTF_SOURCE,
        note="as cktf",
    ),
    Method(
        "cktf-bank",
        _CKTF_BANK,
        summed_terms=_CKTF_BANK_ADDED,
        unlabeled_terms=_CKTF_BANK_ALONE,
        about="CKTF with its memories of negatives at the stem, every stage and the embedding: for "
        "long training.",
        source=_CKTF_SOURCE,
        note="without its norm over the batch axis and its padding; one draw of negatives a batch",
    ),
    Method(
        "cktf-bank+kd",
        (*_CKTF_BANK, soft_targets(1.0)),
        unlabeled_terms=(*_CKTF_BANK_ALONE, soft_targets(1.0)),
        about="CKTF with memories and softened logits: the paper's strongest method.",
        source=_CKTF_SOURCE,
        note="as cktf-bank",
    ),
    Method(
        "cktf-exact",
        _cktf_bank(0.1, 0.8, exact=True),
        unlabeled_terms=_cktf_bank(0.04, 1.0, exact=True),
        about="CKTF as its authors' code has it (batch-axis norm, padding, K draws per anchor): "
        "for reproduction; slow, and an example's representation depends on its batch.",
        source=_CKTF_SOURCE,
    ),
    *RELATION_METHODS,
    *FEATURE_METHODS,
    _east(
        "east",
        Component("pooled"),
        about="Embeddings as teachers: the batch's distances follow the teacher's, whatever task "
        "it was trained on.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
    ),
    _east(
        "east-cosine",
        Component("pooled", {"scale": "center"}),
        "cosine_distance_difference",
        about="Embeddings as teachers, by differences of cosines in place of distances.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
    ),
    Method(
        "east-kd",
        (
            Term("embedding", Component("distance_correlation"), 0.42, Component("pooled")),
            _probe(Component("binary_kd", {"temperature": 2.0}), 0.18),
        ),
        task=0.4,
        about="EAsT and soft labels of a probe, for several classes at once.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
    ),
    Method(
        "ec",
        _ec(1.0),
        task=0.6,
        summed_terms=_ec(0.6),
        about="Embedding compression: the student follows what the task needs of the embedding.",
        source=_EC_SOURCE,
        note="reconstructed; that the compressor is trained first, from near zero, the soft labels "
        "of its probe, and the weights are Mentee's",
    ),
    _east(
        "ec-published",
        Component("compress", {"width": 64}),
        about="Embedding compression as reconstructed: for reproduction.",
        source=_EC_SOURCE,
        note="reconstructed: its code and numbers are not public",
    ),
    Method(
        "ec-kd",
        _ec_kd("kl", 0.6),
        task=0.4,
        summed_terms=_ec_kd("kl", 1.5),
        about="Embedding compression and soft labels of its own probe, one class an example.",
        source="Embedding Compression (Ding and Lerch 2024, arXiv:2402.06761)",
        note="reconstructed; the shares are those of east-kd",
    ),
    Method(
        "ec-binary-kd",
        _ec_kd("binary_kd", 0.6),
        task=0.4,
        summed_terms=_ec_kd("binary_kd", 1.5),
        about="Embedding compression and soft labels of its own probe, for several classes at "
        "once.",
        source="Embedding Compression (Ding and Lerch 2024, arXiv:2402.06761)",
        note="reconstructed; the shares are those of east-kd",
    ),
    _east(
        "pca",
        Component("pca", {"width": 64}),
        about="Control of ec: the embedding's first principal directions.",
    ),
    _east(
        "random",
        Component("random", {"width": 64}),
        about="Control of ec: the embedding through a random matrix.",
    ),
    _east(
        "to-teacher",
        Component("to_teacher"),
        "cosine",
        about="A head of the student's own maps it into the embedding's space.",
        source="S-SONDO (Adlouni et al. 2026, arXiv:2604.24933)",
    ),
    _east(
        "phi-s",
        Component("to_teacher", {"scale": "phi-s"}),
        "mse",
        about="A head predicts the teacher's embedding, rotated until every entry varies alike: "
        "for several teachers at once.",
        source="PHI-S, PHI standardization (Ranzinger et al. 2024, arXiv:2410.01680)",
        note="the weight is Mentee's",
    ),
    Method(
        "similarity",
        (_similarity(0.6),),
        task=0.4,
        unlabeled_terms=(_similarity(1.0),),
        about="Similarities to a queue of the teacher's embeddings, as distributions.",
        source="LightlyTrain, distillation v1",
    ),
    Method(
        "probe-kd",
        (_probe(Component("kl", {"temperature": 2.0}), 0.6),),
        task=0.4,
        summed_terms=(_probe(Component("kl", {"temperature": 2.0}), 1.0),),
        about="Soft labels of a probe of the embedding, one class an example: ec+probe-kd.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
    ),
    Method(
        "probe-binary-kd",
        (_probe(Component("binary_kd", {"temperature": 2.0}), 0.6),),
        task=0.4,
        summed_terms=(_probe(Component("binary_kd", {"temperature": 2.0}), 1.0),),
        about="Soft labels of a probe of the embedding, for several classes at once.",
        source="Embeddings as Teachers (Ding and Lerch 2023, arXiv:2306.17424)",
    ),
)

METHODS: dict[str, Method] = {method.name: method for method in _METHODS}
"""Every method by name."""
