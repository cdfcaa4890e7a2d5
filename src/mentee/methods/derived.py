"""Forms of a row, derived without a line of code for the row: `cktf(X)`, `standardized(X)`.

CKTF's claim that transfer methods are cases of one framework, made literal: what a row compares is
put under another agreement, or read in another form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mentee.errors import MenteeError
from mentee.methods.row import Component, Method, Term

WEIGHT = 0.8
"""Of every contrast in the second table of CKTF, and of CRD's."""

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
nor the numbers of a distribution."""

OF_BOTH = ("semckd",)
"""Representations that depend on both sides at once: nothing can be made of one side."""

MAPS = ("stem", "stages")
"""Places that say maps."""


def contrast(
    place: str | tuple[str, str],
    weight: float,
    *,
    of: Component | None = None,
    draw: str = "shared",
    batch_axis: bool = False,
) -> Term:
    """CRD's sentence at one place: own heads, own bank, negatives of other classes.

    Args:
        place: where both networks are read.
        weight: of the term.
        of: what the heads read; None: what is read at the place.
        draw: of the negatives.
        batch_axis: of `project`.
    """
    return Term(
        place,
        Component("contrast", {"temperature": 0.1}),
        weight,
        Component("project", {"width": 128, "batch_axis": batch_axis}, of),
        Component("bank", {"negatives": 16384, "draw": draw, "momentum": 0.5, "class_aware": True}),
    )


def cktf_form(row: Method) -> Method:
    r"""The representation of a row under CKTF's contrast, at the row's places.

    .. math:: L = L_{task} + 0.8 \sum_k contrast(project(represent_k(S_k)),
              project(represent_k(T_k)))

    Each representation once, however many agreements the row puts it under; those that are under
    the contrast already stay as they are. The contrast takes no part of the steps for itself.
    Where the row's structure lies in its agreement (`rkd`, `pkt`, `sp`), what it compares are the
    features, and the form is the contrast of these.

    Args:
        row: any row with a term.

    Returns:
        A row of the name `cktf(NAME)`.

    Raises:
        MenteeError: the row compares nothing, or what depends on both sides at once.
    """
    if not row.terms:
        raise MenteeError(f"cktf({row.name}): the row compares nothing that could be contrasted")
    for term in row.terms:
        if term.representation.name in OF_BOTH:
            raise MenteeError(
                f"cktf({row.name}): {term.representation.name} weighs both networks' features by "
                f"another, and heads read one of them; take {row.name}+cktf, their sum"
            )
    terms = [term if term.loss.name == "contrast" else _contrasted(term) for term in row.terms]
    return Method(
        f"cktf({row.name})",
        tuple(term for number, term in enumerate(terms) if term not in terms[:number]),
        reuse=row.reuse,
        about=f"What {row.name} compares, under CKTF's contrast.",
        source=row.source,
    )


def standardized_form(row: Method) -> Method:
    r"""A row whose vectors are compared by their z-scores, at the same weights.

    .. math:: \tilde r = (r - \bar r) / \sigma_r

    over the entries of each example, on both sides: logit standardization for any row of logits.

    Args:
        row: one whose terms compare plain vectors.

    Returns:
        A row of the name `standardized(NAME)`.

    Raises:
        MenteeError: the row compares something else, or nothing.
    """
    if not row.terms:
        raise MenteeError(f"standardized({row.name}): the row compares nothing")
    if row.reuse:
        raise MenteeError(
            f"standardized({row.name}): the teacher's classifier reads what is compared, and not "
            "its z-scores; take the row as it is"
        )
    for term in row.terms:
        if not _compares_vectors(term):
            raise MenteeError(
                f"standardized({row.name}): {term.loss.name} of {term.representation} at "
                f"{term.layer_pair[0]} does not compare plain vectors; expected a row of logits "
                "(kd, dkd, dist) or of embeddings (pkt, rkd)"
            )

    def changed(terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(
            replace(term, representation=_standardized(term.representation)) for term in terms
        )

    return replace(
        row,
        name=f"standardized({row.name})",
        terms=changed(row.terms),
        summed_terms=None if row.summed_terms is None else changed(row.summed_terms),
        unlabeled_terms=None if row.unlabeled_terms is None else changed(row.unlabeled_terms),
        about=f"{row.name}, of each example's z-scores.",
    )


FORMS: dict[str, Callable[[Method], Method]] = {
    "cktf": cktf_form,
    "standardized": standardized_form,
}
"""Every form by name."""


def _contrasted(term: Term) -> Term:
    plain = term.representation == Component("as_is")
    return contrast(term.layers, WEIGHT, of=None if plain else term.representation)


def _compares_vectors(term: Term) -> bool:
    """Whether entries are compared that can be standardized: not maps, nor unit vectors."""
    is_maps = term.representation.name == "as_is" and term.layer_pair[0].partition(".")[0] in MAPS
    return term.representation.name in VECTORS and term.loss.name != "contrast" and not is_maps


def _standardized(word: Component) -> Component:
    return (
        Component("standardized")
        if word == Component("as_is")
        else Component("standardized", of=word)
    )
