"""Commands of many runs: `mentee sweep`, `compare`, `probe`, `pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentee.cli.options import Changes, Executor, Live, Processes, Recipe, Views, split_names
from mentee.console import print_line

Seeds = Annotated[int, typer.Option(min=1, help="Runs of each, from train.seed on.")]
Students = Annotated[
    str, typer.Option(help="Networks, with commas.", show_default="the recipe's own")
]
Record = Annotated[
    Path | None, typer.Option(help="The record's folder.", show_default="OUT/record")
]
Ways = Annotated[
    str,
    typer.Option(
        help="linear, knn, layer, finetune, probe-finetune, with commas.",
        show_default="the recipe's probe",
    ),
]
Shares = Annotated[
    str,
    typer.Option(help="Of the labels, with commas: 0.01,0.1,1.", show_default="the recipe's probe"),
]
Draws = Annotated[
    int | None,
    typer.Option("--seeds", min=1, help="Draws of each share.", show_default="the recipe's probe"),
]


def sweep(
    recipe: Recipe,
    methods: Annotated[str, typer.Option(help="Methods or sums of methods: none,kd,crd,cktf+kd.")],
    seeds: Seeds = 3,
    students: Students = "",
    views: Views = None,
    record: Record = None,
    live: Live = False,
    processes: Processes = None,
    executor: Executor = "local",
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the runs.", show_default="runs/sweep-N")
    ] = None,
) -> None:
    """Train students × methods × seeds with one record; the same command resumes after a stop."""
    from mentee.experiments.sweep import sweep

    result = sweep(
        recipe,
        split_names(methods),
        seeds=seeds,
        students=split_names(students),
        views=views,
        record=record,
        live=live,
        processes=processes,
        executor=executor,
        changes=changes or [],
        out=out,
    )
    print_line(result)
    if result.failed:
        raise typer.Exit(1)


def compare(
    recipe: Recipe,
    methods: Annotated[str, typer.Option(help="Methods or sums of methods; none is always added.")],
    seeds: Seeds = 3,
    students: Students = "",
    views: Views = None,
    record: Record = None,
    live: Live = False,
    processes: Processes = None,
    executor: Executor = "local",
    budget: Annotated[
        float | None,
        typer.Option(
            help="Stop poor methods early, first after this share of the epochs: 0.25.",
            show_default="none is stopped",
        ),
    ] = None,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the runs.", show_default="runs/compare-N")
    ] = None,
) -> None:
    """Train methods × seeds at equal budget, and judge which help; the same command resumes."""
    from mentee.experiments.compare import compare

    result = compare(
        recipe,
        split_names(methods),
        seeds=seeds,
        students=split_names(students),
        views=views,
        record=record,
        live=live,
        processes=processes,
        executor=executor,
        changes=changes or [],
        out=out,
        budget=budget,
    )
    print_line(result)
    if result.failed:
        raise typer.Exit(1)


def probe(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... | RECORD... DATA",
            help="Folders of runs; or of records, and behind them what they were recorded of.",
        ),
    ],
    ways: Ways = "",
    shares: Shares = "",
    seeds: Draws = None,
    changes: Changes = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Of records: the folder to write probe.json to.", show_default="nothing is written"
        ),
    ] = None,
) -> None:
    """Score an embedding, a student's or a record's, with few labels and with many."""
    from mentee.experiments.probe import probe
    from mentee.experiments.record_probe import is_record
    from mentee.parallel import exit_process, rank

    probe_changes = [*as_changes(ways, shares, seeds), *(changes or [])]
    if is_record(paths[0]):
        records, data = (paths[:-1], paths[-1]) if len(paths) > 1 else (paths, None)
        result = probe(records, data=data, changes=probe_changes, out=out)
        if rank() == 0:
            print_line(f"{result}" + (f"\n{out / 'probe.json'}" if out else ""))
    else:
        for run in paths:
            result = probe(run, changes=probe_changes, out=out)
            if rank() == 0:
                print_line(f"{run}\n{result}\n{Path(run) / 'report.md'}")
    exit_process(0)


def pipeline(
    recipe: Recipe,
    views: Views = None,
    live: Live = False,
    ways: Ways = "",
    shares: Shares = "",
    seeds: Draws = None,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder.", show_default="runs/pipeline-N")
    ] = None,
) -> None:
    """Record a teacher, train a student, probe it and report; the same command resumes."""
    from mentee.experiments.pipeline import pipeline
    from mentee.parallel import exit_process, rank

    all_changes = [*(changes or []), *as_changes(ways, shares, seeds)]
    result = pipeline(recipe, out=out, views=views, live=live, changes=all_changes)
    if rank() == 0:
        print_line(f"{result}\n{result.path / 'report.md'}")
    exit_process(0)


def as_changes(ways: str, shares: str, seeds: int | None) -> list[str]:
    """The options of a probe as changes of a recipe.

    Example:
        >>> as_changes("knn,linear", "0.1,1", None)
        ['probe.ways=[knn,linear]', 'probe.shares=[0.1,1.0]']
    """
    from mentee.errors import RecipeError

    try:
        numbers = ",".join(str(float(share)) for share in split_names(shares))
    except ValueError:
        raise RecipeError(f"--shares {shares}: expected numbers, such as 0.01,0.1,1") from None
    changes = [f"probe.ways=[{ways}]"] if ways else []
    changes += [f"probe.shares=[{numbers}]"] if numbers else []
    return changes + ([] if seeds is None else [f"probe.seeds={seeds}"])
