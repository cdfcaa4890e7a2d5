"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Changes = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation on Python 3.10
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: --set train.epochs=20."),
]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="The run's folder; by default runs/NETWORK-METHOD-N."),
]

# What a sweep and a comparison have in common.
Students = Annotated[str, typer.Option(help="Networks; by default the recipe's own.")]
Views = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=0, help="Views to record; by default as mentee record."),
]
Record = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="The record's folder; by default OUT/record."),
]
Live = Annotated[bool, typer.Option("--live", help="Record nothing.")]
Processes = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Runs at once; by default one a core, or one on a GPU."),
]


def listed(names: str) -> list[str]:
    """The names between commas.

    Example:
        >>> listed("none,crd+kd,"), listed("")
        (['none', 'crd+kd'], [])
    """
    return [name for name in names.split(",") if name]
