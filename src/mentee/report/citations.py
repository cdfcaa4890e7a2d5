"""The papers of methods as BibTeX, from `papers.bib`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from mentee.errors import MenteeError
from mentee.methods import find

ENTRY = re.compile(r"^@\w+{(\w+),$.*?^}$", re.DOTALL | re.MULTILINE)
EPRINT = re.compile(r"eprint = {([^}]*)}")
PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})|(\w+)[^()]* (\d{4}), [^(]*?(?:CVPR|NeurIPS)")


def citations(methods: Sequence[str]) -> str:
    """The entries of the papers that the table names for these methods, each once.

    Args:
        methods: names of methods, forms and sums; those of a user's own have no paper here.

    Example:
        >>> print(citations(["kd"]).splitlines()[0])
        @misc{hinton2015distilling,
    """
    known = entries()
    cited = dict.fromkeys(paper for name in methods for paper in papers(name))
    return "\n\n".join(known[paper] for paper in cited if paper in known)


def papers(name: str) -> list[str]:
    """The papers of a method: their numbers at arXiv, else author and year; none of a user's own.

    Example:
        >>> papers("cktf+kd"), papers("fsp")
        (['2303.07599'], ['yim2017'])
    """
    try:
        cited = PAPER.findall(find(name).source)
    except MenteeError:
        return []
    return [number or f"{author.lower()}{year}" for number, author, year in cited]


def entries() -> dict[str, str]:
    """The entries of `papers.bib` by the numbers at arXiv, else by author and year."""
    text = (files("mentee.report") / "papers.bib").read_text("utf-8")
    known = {}
    for entry in ENTRY.finditer(text):
        number = EPRINT.search(entry[0])
        known[number[1] if number else entry[1].rstrip("abcdefghijklmnopqrstuvwxyz")] = entry[0]
    return known
