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
