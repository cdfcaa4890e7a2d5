"""`mentee probe`, `mentee pipeline`, `mentee report`: what a trained student is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from mentee.cli.options import Changes

Ways = Annotated[
    str, typer.Option(help="linear, knn, layer, finetune, probe-finetune, with commas.")
]
Shares = Annotated[str, typer.Option(help="Of the labels, with commas: 0.01,0.1,1.")]
Seeds = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Draws of each share."),
]


def probe(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    ways: Ways = "",
    shares: Shares = "",
    seeds: Seeds = None,
    changes: Changes = None,
) -> None:
    """Say what a student's embedding is worth with few labels and with many."""
    from mentee.experiments.probe import probe
    from mentee.parallel import exit_process, rank

    own = [*asked(ways, shares, seeds), *(changes or [])]
    for run in runs:
        found = probe(run, changes=own)
        if rank() == 0:
            print(f"{run}\n{found}\n{run / 'report.md'}")
    exit_process(0)


def pipeline(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    views: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Views to record; by default as mentee record."),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Record nothing.")] = False,
    ways: Ways = "",
    shares: Shares = "",
    seeds: Seeds = None,
    changes: Changes = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The folder; by default runs/pipeline-N."),
    ] = None,
) -> None:
    """Record a teacher, train a student, probe it and report; after a stop the same goes on."""
    from mentee.experiments.pipeline import pipeline
    from mentee.parallel import exit_process, rank

    own = [*(changes or []), *asked(ways, shares, seeds)]
    found = pipeline(recipe, out=out, views=views, live=live, changes=own)
    if rank() == 0:
        print(f"{found}\n{found.path / 'report.md'}")
    exit_process(0)


def report(run: Annotated[Path, typer.Argument(help="The run's folder.")]) -> None:
    """Write a run's report again from its files, and print it."""
    from mentee.evaluation.reporting import write_report

    print(write_report(run).partition("\n## Recipe\n")[0].rstrip())
    print(f"\n{run / 'report.md'}")


def asked(ways: str, shares: str, seeds: int | None) -> list[str]:
    """The options as changes of a recipe.

    Example:
        >>> asked("knn,linear", "0.1,1", None)
        ['probe.ways=[knn,linear]', 'probe.shares=[0.1,1.0]']
    """
    parts = [float(share) for share in shares.split(",") if share]
    found = [f"probe.ways=[{ways}]"] if ways else []
    found += [f"probe.shares=[{','.join(map(str, parts))}]"] if parts else []
    return found + ([] if seeds is None else [f"probe.seeds={seeds}"])
