"""`mentee distill` and `mentee advise`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mentee.cli.options import Changes, Executor, Processes
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
LabelFree = Annotated[
    bool,
    typer.Option("--label-free", help="Labels train the classifier alone, choose and score."),
]


def search_arguments(
    source: Source,
    teacher: Teacher = None,
    weights: Weights = None,
    embeddings: Embeddings = None,
    student: Student = None,
    max_params: MaxParams = None,
    max_bytes: MaxBytes = None,
    max_latency: MaxLatency = None,
    label_free: LabelFree = False,
    changes: Changes = None,
) -> dict[str, Any]:
    """What the options of both commands mean: arguments of `distill` and `advise`."""
    from mentee.experiments.distill.request import budget_of, is_recipe, recipe_of

    recipe = recipe_of(
        source,
        teacher=teacher,
        weights=weights,
        embeddings=embeddings or (),
        student=student,
        changes=changes or (),
    )
    budget = {"max_params": max_params, "max_bytes": max_bytes, "max_latency": max_latency}
    given = True if student else None if is_recipe(source) else False
    return {"recipe": recipe, "given": given, "label_free": label_free, **budget_of(budget)}


def with_search_arguments(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `search_arguments`, and what they mean as its first argument.

    The data are opened once for both.
    """
    shared = inspect.signature(search_arguments, eval_str=True).parameters
    own = [*inspect.signature(command, eval_str=True).parameters.values()][1:]

    def call(**options: Any) -> None:
        from mentee.build.datasets import cache_sources

        with cache_sources():
            command(search_arguments(**{name: options.pop(name) for name in shared}), **options)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {**command.__annotations__, **search_arguments.__annotations__}
    call.__dict__["__signature__"] = inspect.Signature([*shared.values(), *own])
    return call


@with_search_arguments
def distill(
    search: dict[str, Any],
    minutes: Annotated[float, typer.Option(help="For everything.")] = 60.0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Of the last runs, in place of minutes.", show_default="none"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of the last runs, at least.")] = 3,
    processes: Processes = None,
    executor: Executor = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder.", show_default="runs/distill-N")
    ] = None,
) -> None:
    """Find the best student within a budget, prove what it is worth, and export it."""
    from mentee.experiments.distill import distill

    result = distill(
        **search,
        minutes=minutes,
        epochs=epochs,
        seeds=seeds,
        processes=processes,
        executor=executor,
        dry_run=dry_run,
        out=out,
    )
    if result is not None:
        print_line(result)


@with_search_arguments
def advise(search: dict[str, Any]) -> None:
    """Print the recipe that fits data and teacher, and why; nothing is trained."""
    from mentee.experiments.distill import advise

    print_line(advise(**search))
