"""For the API reference: formulas as plain text, examples as a section of their own.

A docstring has LaTeX behind `.. math::`, which needs a script from the network to be shown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

from mentee.catalogue.docstrings import latex_to_text

FORMULA = re.compile(r"^( *)\.\. math:: *(.+(?:\n\1 +\S.*)*)", re.MULTILINE)


def as_code(docstring: str) -> str:
    """The docstring with each formula as a block of code."""

    def block(found: re.Match[str]) -> str:
        indent, formula = found.groups()
        return f"{indent}```text\n{indent}{latex_to_text(' '.join(formula.split()))}\n{indent}```"

    return FORMULA.sub(block, docstring)


class PlainMath(griffe.Extension):
    """Rewrites every docstring that is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            text = as_code(obj.docstring.value)
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
