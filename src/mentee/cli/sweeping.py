"""`mentee sweep`: several students, methods and seeds by one recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mentee.cli import options
from mentee.cli.options import Changes


def sweep(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    methods: Annotated[str, typer.Option(help="Rows or sums of rows: none,kd,crd,cktf+kd.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, from train.seed on.")] = 3,
    students: options.Students = "",
    views: options.Views = None,
    record: options.Record = None,
    live: options.Live = False,
    processes: options.Processes = None,
    changes: Changes = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder of the runs; by default runs/sweep-N."),
    ] = None,
) -> None:
    """Train students × methods × seeds with one record; the same command goes on after a stop."""
    from mentee.experiments.sweep import sweep

    found = sweep(
        recipe,
        options.listed(methods),
        seeds=seeds,
        students=options.listed(students),
        views=views,
        record=record,
        live=live,
        processes=processes,
        changes=changes or [],
        out=out,
    )
    print(found)
    if found.failed:
        raise typer.Exit(1)
