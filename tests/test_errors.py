"""Hints for misspelled names."""

import pytest

from mentee import errors
from mentee.errors import MenteeError, suggest


@pytest.mark.parametrize(
    ("given", "known", "text"),
    [
        ("crt", ["kd", "crd"], "did you mean 'crd'? (known: crd, kd)"),
        ("zzz", ["kd", "crd"], "known: crd, kd"),
        ("zzz", [], "there are none"),
        ("a9", [f"a{i}" for i in range(20)], "did you mean 'a9' or 'a19'"),
        ("zzz", (f"a{i:02}" for i in range(60)), "known: a00, a01"),
    ],
)
def test_the_close_names_are_named_or_all_where_they_are_few(given, known, text):
    assert suggest(given, known).startswith(text)


def test_a_long_list_is_cut():
    assert len(suggest("zzz", [f"a{i:02}" for i in range(60)]).split(", ")) == 40


def test_every_exception_is_a_mistake_that_the_user_can_mend():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in kinds if kind.__module__ == errors.__name__]
    assert len(kinds) > 5
    assert all(issubclass(kind, MenteeError) for kind in kinds)
    assert issubclass(MenteeError, ValueError)
