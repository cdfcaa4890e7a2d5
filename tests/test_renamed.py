"""Names of version 0.1 are answered with the names of today."""

from collections.abc import Mapping
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import mentee
from mentee import cli, renamed
from mentee.distillation.terms import look_up
from mentee.errors import MenteeError, RecipeError
from mentee.methods import Component, adjust, find
from mentee.recipe import read

SMALL = {"data": "embedded:digits", "student": "resnet8-cifar"}
TERM = {"layers": "logits", "loss": "kl", "weight": 1.0}


def nested(key: str, value: object) -> dict[str, Any]:
    """The recipe with a value at a dotted key; terms are a list of one."""
    first, dot, rest = key.partition(".")
    inner = nested(rest, value) if dot else value
    return {first: [inner] if first == "terms" else inner}


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[key] = laid_over(old, value) if both else value
    return found


BESIDE = {
    "student.input.sample_rate": {"student": {"input": {"seconds": 1.0}}},
    "teacher.input.sample_rate": {"teacher": {"input": {"seconds": 1.0}}},
    "teacher.dropout": {"teacher": {"teachers": {"one": {"network": "resnet8-cifar"}}}},
}
"""What else a recipe needs for the key to be read."""


@pytest.mark.parametrize("old", renamed.KEYS)
def test_an_old_key_is_answered_with_the_new_one(old: str) -> None:
    new = renamed.KEYS[old]
    content: dict[str, Any] = {
        "data": {"source": "embedded:digits"},
        "student": {"network": "resnet8-cifar"},
        **({"teacher": {"network": "resnet8-cifar"}} if "teacher.input" in old else {}),
    }
    content = laid_over(content, BESIDE.get(new, {}))
    numbered = [name.replace("terms.", "terms.0.") for name in (old, new)]
    with pytest.raises(RecipeError) as caught:
        read(laid_over(content, nested(old, 1)))
    message = "{} is called {} since 0.2".format(*numbered)
    assert f"  - {message}" in str(caught.value).splitlines()
    with pytest.raises(RecipeError) as caught:  # the new one exists: only its value is refused
        read(laid_over(content, nested(new, object())))
    assert any(numbered[1] in line for line in str(caught.value).splitlines())
    assert f"{numbered[1]}: there is no such key, " not in str(caught.value) + ", "
    assert "is called" not in str(caught.value)


def test_the_parameters_of_a_component_are_no_longer_its_numbers() -> None:
    term = {**TERM, "loss": {"name": "kl", "numbers": {"temperature": 2.0}}}
    with pytest.raises(RecipeError, match=r"0\.loss\.numbers is called method.*0\.loss\.params"):
        read({**SMALL, "method": {"name": "own", "terms": [term]}})


@pytest.mark.parametrize("old", renamed.COMMANDS)
def test_an_old_command_is_answered_with_the_new_one(old: str) -> None:
    found = CliRunner().invoke(cli.app, [old, "x"])
    assert found.exit_code == 2
    assert renamed.COMMANDS[old] in typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert f"mentee {old} is called mentee {renamed.COMMANDS[old]} since 0.2" in found.output


@pytest.mark.parametrize("old", renamed.PYTHON)
def test_an_old_name_of_the_package_is_answered_with_the_new_one(old: str) -> None:
    assert getattr(mentee, renamed.PYTHON[old]) is not None
    with pytest.raises(AttributeError, match=f"mentee.{old} is called mentee.*since 0.2"):
        getattr(mentee, old)


@pytest.mark.parametrize("old", renamed.METHODS)
def test_an_old_form_is_answered_with_the_new_one(old: str) -> None:
    assert find(f"{renamed.METHODS[old]}(kd)").terms
    with pytest.raises(MenteeError, match=f"{old} is called {renamed.METHODS[old]} since 0.2"):
        find(f"{old}(kd)")


def test_a_parameter_of_an_old_component_is_answered_with_the_new_one() -> None:
    with pytest.raises(MenteeError, match=r"^regress\.resize is called regressor\.resize since"):
        adjust(find("fitnet"), {"regress.resize": False}, {})


@pytest.mark.parametrize("old", renamed.COMPONENTS)
def test_an_old_component_is_answered_with_the_new_one(old: str) -> None:
    from mentee.losses import LOSSES
    from mentee.representations import REPRESENTATIONS

    assert renamed.COMPONENTS[old] in {**LOSSES, **REPRESENTATIONS}
    with pytest.raises(MenteeError, match=f"{old} is called {renamed.COMPONENTS[old]} since 0.2"):
        look_up("representation", Component(old), REPRESENTATIONS)
