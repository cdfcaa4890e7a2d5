"""The command line: each command a thin call, everything heavy imported only when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
import typer.core

from mentee.cli import probing
from mentee.cli.comparing import compare
from mentee.cli.describing import methods
from mentee.cli.options import Changes, Out
from mentee.cli.recording import records
from mentee.cli.sweeping import sweep
from mentee.renamed import COMMANDS, renamed

if TYPE_CHECKING:
    from mentee.api import Run


class _Commands(typer.core.TyperGroup):
    """The commands; one of version 0.1 is answered with its name of today."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in COMMANDS:
            ctx.fail(renamed(f"mentee {cmd_name}", f"mentee {COMMANDS[cmd_name]}"))
        return found


app = typer.Typer(
    cls=_Commands,
    help="Train a compact student network from what bigger networks know, and see what it was "
    "worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(records, name="record")
app.command()(sweep)
app.command()(compare)
app.command()(methods)
app.command()(probing.probe)
app.command()(probing.pipeline)
app.command()(probing.report)


@app.command()
def demo(
    data: Annotated[
        str, typer.Option(help="digits (comes with scikit-learn) or cifar10 (MENTEE_DATA or hub).")
    ] = "digits",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each method.")] = 5,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where the runs go; by default runs/demo-N."),
    ] = None,
    teacher: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Weights of the demo's teacher network, instead of training it."),
    ] = None,
) -> None:
    """Train a teacher, then a small student with and without it, and print what helped."""
    from mentee.demo import demo

    demo(data, seeds=seeds, out=out, teacher=teacher)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    changes: Changes = None,
    out: Out = None,
) -> None:
    """Train a student by a recipe."""
    from mentee.api import train

    _part(_result(train(recipe, out=out, changes=changes or [])))


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")]) -> None:
    """Go on with a run exactly where its newest checkpoint stands."""
    from mentee.api import resume

    _part(_result(resume(run)))


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Other data: a folder, a parquet file, a name; by default the run's."),
    ] = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Which split of it; by default the run's test part."),
    ] = None,
    on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="NAME=[SOURCE:]SPLIT", help="Another domain, as often as wanted: --on x=test_x."
        ),
    ] = None,
    corruptions: Annotated[
        bool, typer.Option(help="The test part, corrupted in every kind at five severities.")
    ] = False,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Examples of each corruption at most."),
    ] = None,
) -> None:
    """Score a run's student: on its test part, on other data, on other domains."""
    from mentee.api import evaluate, evaluate_domains
    from mentee.evaluation.out_of_domain import parse_domains, refuse_single_set, results_table

    if on or corruptions:
        refuse_single_set(data, split)
        _part(results_table(evaluate_domains(run, parse_domains(on or [], corruptions, limit))))
        return
    found = evaluate(run, data=data, split=split)
    _part("\n".join(f"{name:<10}{value:.4f}" for name, value in found.items()))


@app.command()
def layers(
    network: Annotated[str, typer.Argument(help="resnet20-cifar, timm:resnet18, ...")],
    size: Annotated[int, typer.Option(min=1, help="Height and width of the image.")] = 32,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="Outputs of the classifier.")] = 10,
    every: Annotated[bool, typer.Option("--all", help="Every module, not only the names.")] = False,
) -> None:
    """List where a network can be read, with shapes."""
    from mentee.catalogue import show_layers

    print(show_layers(network, size=size, channels=channels, classes=classes, every=every))


def _part(said: str) -> None:
    """The first process prints what came out, then all part."""
    from mentee.parallel import exit_process, rank

    if rank() == 0:
        print(said)
    exit_process(0)


def _result(run: Run) -> str:
    scores = run.summary.get("test") or run.summary.get("validation") or {}
    where = "test" if run.summary.get("test") else "validation"
    said = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    files = f"{run.path / 'student.safetensors'}  {run.path / 'report.md'}"
    notes = [f"note: {note}" for note in run.summary.get("notes", [])]
    return "\n".join([*notes, f"{where}: {said}" if said else "done", files])


def main() -> None:
    """Run a command; a mistake of the user's is one text on stderr and no traceback."""
    from mentee.errors import MenteeError

    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except MenteeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped before the first step; nothing was saved", file=sys.stderr)
        sys.exit(130)
    except BaseException as error:
        number = getattr(error, "asked_by_signal", None)
        if number is None:
            raise
        print(error, file=sys.stderr)
        from mentee.parallel import exit_process

        exit_process(128 + number)  # all processes stop at the same step
        sys.exit(128 + number)
