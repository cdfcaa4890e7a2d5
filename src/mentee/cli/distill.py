"""`mentee distill` and `mentee advise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mentee.cli.options import Changes
from mentee.console import print_line

Source = Annotated[
    str, typer.Argument(metavar="DATA|RECIPE", help="A folder, a file, a name; or a recipe.")
]
Teacher = Annotated[
    str | None,
    typer.Option(help="A network by name.", show_default="the recipe's"),
]
Weights = Annotated[str | None, typer.Option(help="The teacher's weights.")]
Embeddings = Annotated[
    list[str] | None, typer.Option(metavar="RECORD", help="A record of embeddings; also several.")
]
Student = Annotated[
    str | None,
    typer.Option(help="The only student.", show_default="proposed by data and budget"),
]
MaxParams = Annotated[
    str | None, typer.Option(metavar="N", help="Of a student: 300k.", show_default="any")
]
MaxBytes = Annotated[
    str | None, typer.Option(metavar="N", help="Of its weights: 200k.", show_default="any")
]
MaxLatency = Annotated[
    str | None,
    typer.Option(metavar="MS", help="Of one example, one thread: 5ms.", show_default="any"),
]


def distill(
    source: Source,
    teacher: Teacher = None,
    weights: Weights = None,
    embeddings: Embeddings = None,
    student: Student = None,
    max_params: MaxParams = None,
    max_bytes: MaxBytes = None,
    max_latency: MaxLatency = None,
    minutes: Annotated[float, typer.Option(help="For everything.")] = 60.0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Of the last runs, in place of minutes.", show_default="none"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of the last runs.")] = 3,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Runs at once.", show_default="one for each core; on a GPU one"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan.")] = False,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder.", show_default="runs/distill-N")
    ] = None,
) -> None:
    """Find the best student within a budget, prove what it is worth, and export it."""
    from mentee.experiments.distill import distill

    result = distill(
        **_arguments(source, teacher, weights, embeddings, student, changes),
        **_budget(max_params, max_bytes, max_latency),
        minutes=minutes,
        epochs=epochs,
        seeds=seeds,
        processes=processes,
        dry_run=dry_run,
        out=out,
    )
    if result is not None:
        print_line(result)


def advise(
    source: Source,
    teacher: Teacher = None,
    weights: Weights = None,
    embeddings: Embeddings = None,
    student: Student = None,
    max_params: MaxParams = None,
    max_bytes: MaxBytes = None,
    max_latency: MaxLatency = None,
    changes: Changes = None,
) -> None:
    """Print the recipe that fits data and teacher, and why; nothing is trained."""
    from mentee.experiments.distill import advise

    arguments = _arguments(source, teacher, weights, embeddings, student, changes)
    print_line(advise(**arguments, **_budget(max_params, max_bytes, max_latency)))


def _arguments(
    source: str,
    teacher: str | None,
    weights: str | None,
    embeddings: list[str] | None,
    student: str | None,
    changes: list[str] | None,
) -> dict[str, Any]:
    from mentee.experiments.distill.request import is_recipe, recipe_of

    recipe = recipe_of(
        source,
        teacher=teacher,
        weights=weights,
        embeddings=embeddings or (),
        student=student,
        changes=changes or (),
    )
    return {"recipe": recipe, "given": True if student else None if is_recipe(source) else False}


def _budget(params: str | None, size: str | None, latency: str | None) -> dict[str, Any]:
    from mentee.experiments.distill.request import budget_of

    return budget_of({"max_params": params, "max_bytes": size, "max_latency": latency})
