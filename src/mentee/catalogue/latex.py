r"""A formula of a docstring as a line of plain text: `\frac{1}{b} \sum_i x_i^2` is 1/b Σ_i x_i²."""

from __future__ import annotations

import re
import unicodedata

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
"""Commands without an argument; one that is not here stands as its name, as `log` does."""

OPEN, CLOSE = {"langle": "⟨", "lVert": "‖"}, {"rangle": "⟩", "rVert": "‖"}
ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304"}
SIZES = re.compile(r"\\[bB]ig[glr]+\s*|\\left\b|\\right\b")
RAISED = str.maketrans("0123456789−+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)


def plain(latex: str) -> str:
    r"""A formula in one line of text.

    Args:
        latex: as it stands behind `.. math::`.

    Example:
        >>> plain(r"\ell_i = T^2 \sum_c p_{ic} (\log p_{ic} - \log q_{ic}), \quad e^{-s}")
        'ℓ_i = T² Σ_c p_ic (log p_ic − log q_ic), e^(−s)'
        >>> plain(r"\frac{\lVert \hat x - \bar y \rVert}{\sqrt{b + 1}}")
        '‖x̂ − ȳ‖/√(b + 1)'
    """
    text = re.sub(r"\\begin\{cases\}(.*?)\\end\{cases\}", _cases, latex, flags=re.DOTALL)
    said = _Reader(TOKEN.findall(SIZES.sub("", text))).whole()
    return re.sub(r"\s+", " ", said).strip()


def _cases(found: re.Match[str]) -> str:
    """`{a if b; c else}`."""
    rows = [[part.strip() for part in row.split("&")] for row in found[1].split(r"\\")]
    said = [
        f"{row[0]} \\text{{ else}}" if "else" in row[-1] else r" \text{ if } ".join(row)
        for row in rows
    ]
    return r"\{" + "; ".join(said) + r"\}"


class _Reader:
    """Reads a formula token by token."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def whole(self) -> str:
        """All that is left, or all up to the brace that closes."""
        out = ""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            if token == "}":
                break
            out = self._with(out, token)
        return out

    def _with(self, out: str, token: str) -> str:
        """What is read so far, and one more token with its arguments."""
        name = token[1:] if token.startswith("\\") else ""
        if token.isspace() or token in (r"\,", r"\;"):
            return out if out.endswith((" ", "(", "⟨")) else out + " "
        if token == "{":
            return out + self.whole()
        if token in ("_", "^"):
            return out.rstrip() + (_below if token == "_" else _above)(self._argument())
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
            quotient = f"{_closed(above)}/{_closed(below)}"
            return f"{out.rstrip()}({quotient})" if out.rstrip().endswith("log") else out + quotient
        if name == "sqrt":
            return f"{out}√{_closed(self._argument())}"
        if name == "overline":
            return f"{out}mean({self._argument()})"
        if name in ("mathrm", "text"):
            return out + self._argument(strip=False)
        return out + ("−" if token == "-" else SIGNS.get(name, name or token))

    def _skip(self) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1

    def _argument(self, *, strip: bool = True) -> str:
        """What stands in the next braces, or the next token."""
        self._skip()
        token = self.tokens[self.at]
        self.at += 1
        found = self.whole() if token == "{" else self._with("", token)
        return found.strip() if strip else found


def _closed(x: str) -> str:
    """In brackets, unless it is one thing already."""
    whole = re.fullmatch(r"[^\s−+·()]+|[^\s()]*\([^()]*\)[²³]?|‖[^‖]*‖²?|⟨[^⟨⟩]*⟩", x)
    return x if whole else f"({x})"


def _below(x: str) -> str:
    close = re.sub(r"\s", "", x)
    return f"_{close}" if re.fullmatch(r"[\w·']+", close) else f"_({x})"


def _above(x: str) -> str:
    if x == "ᵀ":
        return x
    raised = x.translate(RAISED)
    if re.fullmatch(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", raised):
        return raised
    return f"^{x}" if re.fullmatch(r"[^\W_]+|\([^()]*\)", x) else f"^({x})"
