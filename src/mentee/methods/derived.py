"""Forms that any method has, derived from its terms: `cktf(X)` and `standardized(X)`.

CKTF's claim that transfer methods are cases of one framework (its "generalized agreement"), made
literal: the representation of a method under another loss, or in another form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mentee.errors import MenteeError
from mentee.methods.method import Component, Method, Term

WEIGHT = 10.0
"""Of every contrast within the batch; docs/decisions/0027-contrast-within-the-batch.md."""

VECTORS = (
    "as_is",
    "pooled",
    "frames",
    "to_teacher",
    "compress",
    "compressed_logits",
    "probe",
    "pca",
    "random",
)
"""Representations whose entries can be standardized: an example's vector, not yet of unit length,
nor the parameters of a distribution."""

CONTRASTS = ("contrast", "info_nce", "class_info_nce", "sigmoid_contrast", "dcd")
"""Losses of unit vectors, which a form leaves as they are."""

OF_BOTH = ("semckd",)
"""Representations that depend on both networks at once, so that no head can read one of them."""

MAPS = ("stem", "stages")
"""Layers that have maps."""

IN_ONE_SPACE = (
    "standardized",
    "attention",
    "paraphraser",
    "to_teacher",
    "probe",
    "compressed_logits",
)
"""Representations whose entries mean the same in both networks: classes, positions, the teacher's
entries."""


def contrast(
    layers: str | tuple[str, str],
    of: Component | None = None,
    *,
    weight: float = WEIGHT,
    temperature: float | None = None,
) -> Term:
    """InfoNCE within the batch at one layer, of each position of maps, or of vectors.

    Args:
        layers: where both networks are read.
        of: the representation that is compared; None: the features.
        weight: of the term.
        temperature: of the loss; None: its own.
    """
    params = {} if temperature is None else {"temperature": temperature}
    loss, representation = Component("info_nce", params), Component("dense_to_teacher", {}, of)
    return Term(layers, loss, weight, representation)


def bank_contrast(
    layers: str | tuple[str, str],
    weight: float,
    *,
    draw: str = "shared",
    batch_axis: bool = False,
) -> Term:
    """The term of CRD at one layer: heads and a bank of its own, negatives of other classes.

    Args:
        layers: where both networks are read.
        weight: of the term.
        draw: of the negatives.
        batch_axis: of `project`.
    """
    return Term(
        layers,
        Component("contrast", {"temperature": 0.1}),
        weight,
        Component("project", {"width": 128, "batch_axis": batch_axis}),
        Component("bank", {"negatives": 16384, "draw": draw, "momentum": 0.5, "class_aware": True}),
    )


def cktf_form(method: Method) -> Method:
    r"""The representation of a method under CKTF's contrast, at the method's layers.

    .. math:: L = L_{task} + \sum_k w_k \, info\_nce(W r_k(S_k), r_k(T_k))

    Each representation once, whatever the number of losses on it; terms of the contrast stay as
    they are. No term has an exclusive warmup. Where a method's structure lies in its loss (`rkd`,
    `pkt`, `sp`), the form is the contrast of the features.

    Args:
        method: any with a term.

    Returns:
        A method of the name `cktf(NAME)`.

    Raises:
        MenteeError: it has no term, or one whose representation depends on both networks at once.
    """
    if not method.terms:
        raise MenteeError(f"cktf({method.name}): the method has no term that could be contrasted")
    for term in method.terms:
        if term.representation.name in OF_BOTH:
            raise MenteeError(
                f"cktf({method.name}): {term.representation.name} weighs the features of both "
                f"networks, and a head reads those of one; take {method.name}+cktf, their sum"
            )
    terms = [term if term.loss.name in CONTRASTS else _contrasted(term) for term in method.terms]
    return Method(
        f"cktf({method.name})",
        tuple(term for number, term in enumerate(terms) if term not in terms[:number]),
        reuse=method.reuse,
        about=f"What {method.name} compares, under CKTF's contrast.",
        source=method.source,
    )


def standardized_form(method: Method) -> Method:
    r"""A method whose vectors are compared by their z-scores, at the same weights.

    .. math:: \tilde r = (r - \bar r) / \sigma_r

    over the entries of each example, of both networks: logit standardization for any method of
    logits.

    Args:
        method: one whose terms compare plain vectors.

    Returns:
        A method of the name `standardized(NAME)`.

    Raises:
        MenteeError: its terms compare something else, or there are none.
    """
    if not method.terms:
        raise MenteeError(f"standardized({method.name}): the method has no term")
    if method.reuse:
        raise MenteeError(
            f"standardized({method.name}): the teacher's classifier reads the features, and not "
            "its z-scores; take the method as it is"
        )
    for term in method.terms:
        if not _compares_vectors(term):
            raise MenteeError(
                f"standardized({method.name}): {term.loss.name} of {term.representation} at "
                f"{term.layer_pair[0]} does not compare plain vectors; expected one of logits "
                "(kd, dkd, dist) or of embeddings (pkt, rkd)"
            )

    def changed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(
            replace(term, representation=_standardized(term.representation)) for term in terms
        )

    return replace(
        method,
        name=f"standardized({method.name})",
        terms=changed(method.terms),
        summed_terms=None if method.summed_terms is None else changed(method.summed_terms),
        unlabeled_terms=None if method.unlabeled_terms is None else changed(method.unlabeled_terms),
        about=f"{method.name}, of each example's z-scores.",
    )


FORMS: dict[str, Callable[[Method], Method]] = {
    "cktf": cktf_form,
    "standardized": standardized_form,
}
"""Every form by name."""


def _contrasted(term: Term) -> Term:
    """What a term compares, under the contrast.

    Vectors whose entries mean the same in both networks need no head of the student's.
    """
    plain = term.representation == Component("as_is")
    of = None if plain else term.representation
    at_logits = term.layer_pair[0] == "logits"
    if (plain and at_logits) or term.representation.name in IN_ONE_SPACE:
        return Term(term.layers, Component("info_nce"), 1.0, Component("unit", {}, of))
    return contrast(term.layers, of)


def _compares_vectors(term: Term) -> bool:
    """Whether the compared entries can be standardized: not maps, nor unit vectors."""
    is_maps = term.representation.name == "as_is" and term.layer_pair[0].partition(".")[0] in MAPS
    return term.representation.name in VECTORS and term.loss.name not in CONTRASTS and not is_maps


def _standardized(component: Component) -> Component:
    return (
        Component("standardized")
        if component == Component("as_is")
        else Component("standardized", of=component)
    )
