"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")]
Run = Annotated[Path, typer.Argument(help="The run's folder.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: --set train.epochs=20."),
]
Live = Annotated[bool, typer.Option("--live", help="Record nothing; run the teacher every step.")]
Views = Annotated[
    int | None,
    typer.Option(min=0, help="Views to record besides the clean one.", show_default="8"),
]
Processes = Annotated[
    int | None,
    typer.Option(min=1, help="Runs at once.", show_default="one for each core; on a GPU one"),
]
Executor = Annotated[
    str,
    typer.Option(
        metavar="local|ray[:ADDRESS]|slurm",
        help="Where runs train; with options: slurm:partition=gpu,timeout_min=60.",
    ),
]
Image = Annotated[int, typer.Option("--size", min=1, help="Height and width of the images.")]
Channels = Annotated[int, typer.Option(min=1, help="Channels of the images.")]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="KEY=NAME", help="Of the data: --column label=genre."),
]
TeacherOptions = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Of the teacher: --option size=128."),
]


def split_names(names: str) -> list[str]:
    """The names between commas.

    Example:
        >>> split_names("none,crd+kd,"), split_names("")
        (['none', 'crd+kd'], [])
    """
    return [name for name in names.split(",") if name]
