r"""Docstrings of components in parts, their LaTeX formulas as plain text."""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

FORMULA = re.compile(r"^\.\. math::(.*?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r":math:`([^`]*)`")
ENTRY = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", re.DOTALL | re.MULTILINE)
SECTION = r"^{}:\n(.*?)(?:\n\n|\Z)"

SIGNS = {
    "sum": "Σ",
    "quad": " ",
    "cdot": "·",
    "odot": "⊙",
    "le": "≤",
    "ge": "≥",
    "ne": "≠",
    "leftarrow": "←",
    "sim": "~",
    "angle": "∠",
    "mid": "|",
    "lor": "∨",
    "infty": "∞",
    "nabla": "∇",
    "top": "ᵀ",
    "arg": "arg ",
    "ell": "ℓ",
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "lambda": "λ",
    "mu": "μ",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "varphi": "φ",
    "Lambda": "Λ",
}
"""Commands without an argument; others are written as their name, as `log` is."""

OPEN, CLOSE = {"langle": "⟨", "lVert": "‖"}, {"rangle": "⟩", "rVert": "‖"}
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
SIZES = re.compile(r"\\[bB]ig[glr]+\s*|\\left\b|\\right\b")
RAISED = str.maketrans("0123456789−+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)


@dataclass(frozen=True)
class ParsedDocstring:
    """A docstring in parts, each in plain text.

    Attributes:
        summary: its first line.
        formula: its displayed formulas.
        arguments: the description of each argument.
        memory: the order of the memory it needs or stores.
    """

    summary: str
    formula: str
    arguments: dict[str, str]
    memory: str


def parse_docstring(function: Callable[..., object]) -> ParsedDocstring:
    """The parts of a function's or class's docstring.

    Example:
        >>> from mentee.losses import l1
        >>> parse_docstring(l1).formula, parse_docstring(l1).arguments["student"]
        ('ℓ_i = 1/d Σ_c |x_ic − y_ic|', '`[b, ...]`.')
    """
    text = inspect.getdoc(function) or ""
    arguments = re.search(SECTION.format("Args"), text, re.DOTALL | re.MULTILINE)
    memory = re.search(r"^Memory: (.*?)\.(?:\s|$)", text, re.DOTALL | re.MULTILINE)
    return ParsedDocstring(
        _line(text.partition("\n\n")[0]),
        "; ".join(map(latex_to_text, FORMULA.findall(text))),
        {name: _line(about) for name, about in ENTRY.findall(arguments[1] if arguments else "")},
        _line(memory[1]) if memory else "",
    )


def _line(text: str) -> str:
    """On one line, with formulas in plain text."""
    return " ".join(INLINE.sub(lambda match: latex_to_text(match[1]), text).split())


def latex_to_text(latex: str) -> str:
    r"""A formula of a `.. math::` block in one line of text.

    Example:
        >>> latex_to_text(r"\ell_i = T^2 \sum_c p_{ic} (\log p_{ic} - \log q_{ic}), \quad e^{-s}")
        'ℓ_i = T² Σ_c p_ic (log p_ic − log q_ic), e^(−s)'
        >>> latex_to_text(r"\frac{\lVert \hat x - \bar y \rVert}{\sqrt{b + 1}}")
        '‖x̂ − ȳ‖/√(b + 1)'
    """
    text = re.sub(r"\\begin\{cases\}(.*?)\\end\{cases\}", _cases, latex, flags=re.DOTALL)
    plain = _Reader(TOKEN.findall(SIZES.sub("", text))).group()
    return re.sub(r"\s+", " ", plain).strip()


def _cases(match: re.Match[str]) -> str:
    """`{a if b; c else}`."""
    rows = [[part.strip() for part in row.split("&")] for row in match[1].split(r"\\")]
    cases = [
        f"{row[0]} \\text{{ else}}" if "else" in row[-1] else r" \text{ if } ".join(row)
        for row in rows
    ]
    return r"\{" + "; ".join(cases) + r"\}"


class _Reader:
    """Reads a formula token by token."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def group(self) -> str:
        """The rest of the formula, or all up to the closing brace."""
        out = ""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token == "}":
                break
            out = self._append(out, token)
        return out

    def _append(self, out: str, token: str) -> str:
        """The text so far, and one more token with its arguments."""
        name = token[1:] if token.startswith("\\") else ""
        if token.isspace() or token in (r"\,", r"\;"):
            return out if out.endswith((" ", "(", "⟨")) else out + " "
        if token == "{":
            return out + self.group()
        if token in ("_", "^"):
            return out.rstrip() + (_subscript if token == "_" else _superscript)(self._argument())
        if token == ")" or name in CLOSE:
            return out.rstrip() + CLOSE.get(name, ")")
        if name in OPEN:
            self._skip()
            return out + OPEN[name]
        if name in ACCENTS:
            letter = self._argument()
            return out + unicodedata.normalize("NFC", letter[:1] + ACCENTS[name]) + letter[1:]
        if name == "frac":
            above, below = self._argument(), self._argument()
            quotient = f"{_bracketed(above)}/{_bracketed(below)}"
            return f"{out.rstrip()}({quotient})" if out.rstrip().endswith("log") else out + quotient
        if name == "sqrt":
            return f"{out}√{_bracketed(self._argument())}"
        if name == "overline":
            return f"{out}mean({self._argument()})"
        if name in ("mathrm", "text"):
            return out + self._argument(strip=False)
        return out + ("−" if token == "-" else SIGNS.get(name, name or token))

    def _skip(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1

    def _argument(self, *, strip: bool = True) -> str:
        """The content of the next braces, or the next token."""
        self._skip()
        token = self.tokens[self.at]
        self.at += 1
        text = self.group() if token == "{" else self._append("", token)
        return text.strip() if strip else text


def _bracketed(x: str) -> str:
    """In brackets, unless it is a single factor already."""
    whole = re.fullmatch(r"[^\s−+·()]+|[^\s()]*\([^()]*\)[²³]?|‖[^‖]*‖²?|⟨[^⟨⟩]*⟩", x)
    return x if whole else f"({x})"


def _subscript(x: str) -> str:
    close = re.sub(r"\s", "", x)
    return f"_{close}" if re.fullmatch(r"[\w·']+", close) else f"_({x})"


def _superscript(x: str) -> str:
    if x == "ᵀ":
        return x
    raised = x.translate(RAISED)
    if re.fullmatch(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", raised):
        return raised
    return f"^{x}" if re.fullmatch(r"[^\W_]+|\([^()]*\)", x) else f"^({x})"
