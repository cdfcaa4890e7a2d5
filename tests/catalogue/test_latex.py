"""Formulas of docstrings as lines of text."""

from __future__ import annotations

import pytest

from mentee.catalogue.docstrings import latex_to_text, parse_docstring
from mentee.losses import LOSSES
from mentee.memory import MEMORIES
from mentee.representations import REPRESENTATIONS


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"x_i^2 - y_{ij}", "x_i² − y_ij"),
        (r"\frac{1}{b^2} \sum_{ij} p_{ij}", "1/b² Σ_ij p_ij"),
        (r"\frac{a + b}{c}", "(a + b)/c"),
        (r"\frac{a}{\sqrt{b + 10^{-9}}}", "a/√(b + 10⁻⁹)"),
        (r"\log \frac{p}{q} + 1", "log(p/q) + 1"),
        (r"\sum_{c \ne y} \hat p_c \log \hat q_c", "Σ_(c ≠ y) p̂_c log q̂_c"),
        (r"\sum_{i=1}^{b-1} z", "Σ_(i=1)^(b−1) z"),
        (r"\bigl( 1 - \frac{1}{b} \bigr), \quad \rho(u, v)", "(1 − 1/b), ρ(u, v)"),
        (r"\lVert q q^\top \rVert_F^2", "‖q qᵀ‖_F²"),
        (r"\langle \hat x_{if}, \tilde y \rangle", "⟨x̂_if, ỹ⟩"),
        (r"\overline{A B} \; \bar a_{i \cdot}", "mean(A B) ā_i·"),
        (r"\arg\max_c z^t_{ic}", "arg max_c z^t_ic"),
        (r"f^{(l+1)} e^{-s} e^{a_c}", "f^(l+1) e^(−s) e^(a_c)"),
        (r"\mathrm{softmax}(z / T)", "softmax(z / T)"),
        (
            r"h = \begin{cases} z^2 & |z| < \beta \\ 0 & \text{else} \end{cases}",
            "h = {z² if |z| < β; 0 else}",
        ),
    ],
)
def test_a_formula_as_a_line_of_text(latex: str, text: str) -> None:
    assert latex_to_text(latex) == text


EVERY = {
    **{name: entry.function for name, entry in LOSSES.items()},
    **REPRESENTATIONS,
    **MEMORIES,
}


@pytest.mark.parametrize("name", EVERY)
def test_every_components_docstring_can_be_read(name: str) -> None:
    doc = parse_docstring(EVERY[name])
    assert doc.summary.endswith((".", "?"))
    assert "\\" not in doc.formula
    assert doc.formula.count("{") == doc.formula.count(" else}")
    assert doc.formula.count("(") == doc.formula.count(")")
    assert all(about and ":math:" not in about for about in doc.arguments.values())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_formula(name: str) -> None:
    assert parse_docstring(LOSSES[name].function).formula


def test_a_docstring_is_taken_apart() -> None:
    def function(a: int, *, long: float = 1.0) -> None:
        r"""Says :math:`x^2` of it.

        .. math:: y = a

        More words.

        .. math:: z = \sigma,
                  w = \tau

        Args:
            a: the first.
            long: one that goes on
                in a second line: here.

        Returns:
            Nothing.

        Memory: O(b k). Source: no one.
        """

    doc = parse_docstring(function)
    assert doc.summary == "Says x² of it."
    assert doc.formula == "y = a; z = σ, w = τ"
    assert doc.arguments == {
        "a": "the first.",
        "long": "one that goes on in a second line: here.",
    }
    assert doc.memory == "O(b k)"
    assert parse_docstring(lambda: None).summary == ""
