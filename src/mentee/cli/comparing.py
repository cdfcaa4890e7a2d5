"""`mentee compare`: which method helps on your data, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mentee.cli import options
from mentee.cli.options import Changes


def compare(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    methods: Annotated[str, typer.Option(help="Rows or sums of rows; none is always added.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, from train.seed on.")] = 3,
    students: options.Students = "",
    views: options.Views = None,
    record: options.Record = None,
    live: options.Live = False,
    processes: options.Processes = None,
    budget: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Stop poor rows early, first after this share of the epochs: 0.25."),
    ] = None,
    changes: Changes = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder of the runs; by default runs/compare-N."),
    ] = None,
) -> None:
    """Train methods × seeds at equal budget, and say which help; the same command goes on."""
    from mentee.experiments.compare import compare

    found = compare(
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
        budget=budget,
    )
    print(found)
    if found.failed:
        raise typer.Exit(1)
