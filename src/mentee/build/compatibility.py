"""What a method asks of the examples, refused before anything is built."""

from __future__ import annotations

from mentee.data import Examples
from mentee.distillation.terms import takes
from mentee.errors import PairError, RecipeError
from mentee.losses import LOSSES
from mentee.methods import Method
from mentee.recipe import Recipe


def check_labels(method: Method, examples: Examples, mixup: float | None) -> None:
    """Refuse a method that asks for labels the examples do not have, or cannot do with mixup."""
    if examples.task == "none" and method.task != 0:
        raise RecipeError(
            f"{examples.name} has no labels, and method {method.name!r} gives the task's loss the "
            f"weight {method.task}; name the labels' column with data.label, or train on the "
            "transfer alone with data.label: false"
        )
    if method.task == 0 and all(term.weight == 0 for term in method.terms):
        raise RecipeError(
            f"method {method.name!r} without the task's loss learns nothing; name one that has a "
            "teacher, such as kd, crd, cktf, to-teacher or similarity"
        )
    names = [term.loss.name for term in method.terms if term.loss.name in LOSSES]
    one_class = [name for name in names if LOSSES[name].one_class]
    represented = [t.representation.name for t in method.terms if t.loss.name in one_class]
    by_class = [name for name in names if takes(LOSSES[name].function, "labels")]
    if by_class and examples.labeled is not None:
        raise PairError(
            f"method {method.name!r} asks for the class of each example ({by_class[0]}), and some "
            f"of {examples.name} have none; use a method that does not, such as kd, crd or cktf"
        )
    several = [name for name in names if LOSSES[name].several]
    if several and examples.task == "single":
        raise PairError(
            f"method {method.name!r} compares each class on its own ({several[0]}), but an example "
            f"of {examples.name} has exactly one; use kl in its place: kd, probe-kd, ec-kd"
        )
    if mixup is not None and any(term.memory for term in method.terms):
        raise PairError(
            f"method {method.name!r} keeps a row for each example, and a mixture of two is "
            "neither; set train.mixup to null, or use a method without a memory"
        )
    if examples.task == "multi" and one_class:
        raise PairError(
            f"method {method.name!r} compares distributions over classes of which one is right "
            f"({one_class[0]}), but an example of {examples.name} may have several; "
            + (
                "use binary_kd in its place: probe-binary-kd, ec+probe-binary-kd, ec-binary-kd"
                if set(represented) <= {"probe", "compressed_logits"}
                else "use binary_kd in its place: binary-kd, or a method without logits, such as "
                "crd or cktf"
            )
        )


def check_balance(method: Method, recipe: Recipe) -> None:
    """Refuse to measure gradients within a compiled student."""
    if method.balance == "gradient" and recipe.train.compile is not False:
        raise RecipeError(
            f"method.balance is gradient and train.compile is {recipe.train.compile}; gradients "
            "inside a compiled student cannot be measured: set train.compile to false, or "
            "method.balance to unit"
        )
