"""`mentee methods`: the rows there are, and which fit two networks."""

from __future__ import annotations

from typing import Annotated, Optional

import typer


def methods(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="A row, a form or a sum, such as crd+kd; none: list all."),
    ] = None,
    student: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="With --teacher: which rows fit the two, and what they cost."),
    ] = None,
    teacher: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Networks by name: resnet20-cifar, timm:resnet18, ..."),
    ] = None,
    size: Annotated[int, typer.Option(min=1, help="Height and width of the image.")] = 32,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="Classes of the labels.")] = 10,
    teacher_classes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Outputs of the teacher; by default as many."),
    ] = None,
    task: Annotated[
        str, typer.Option(help="One class an example, several, or no labels: single, multi, none.")
    ] = "single",
    examples: Annotated[int, typer.Option(min=64, help="Training examples.")] = 50_000,
    batch: Annotated[int, typer.Option(min=2, help="Examples of a step, for --time.")] = 64,
    time: Annotated[
        bool, typer.Option("--time", help="Measure how much longer a step of the student takes.")
    ] = False,
) -> None:
    """List the methods; show one as its sentence; or say which fit a student and a teacher."""
    from mentee.catalogue import CandidatePair, list_methods, show_method, show_pair
    from mentee.errors import MenteeError
    from mentee.methods import METHODS, find

    if (student is None) != (teacher is None):
        raise MenteeError("a pair has two networks: give --student and --teacher")
    if student is None or teacher is None:
        print(list_methods() if name is None else show_method(name))
        return
    pair = CandidatePair(
        student,
        teacher,
        size=size,
        channels=channels,
        classes=classes,
        teacher_classes=teacher_classes,
        examples=examples,
        task=task,
        batch=batch,
    )
    rows = METHODS if name is None else {name: find(name)}
    if name is not None:
        print(f"{show_method(name)}\n")
    print(show_pair(pair, rows, time=time))
