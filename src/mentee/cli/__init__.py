"""The command line: each command a thin call, everything heavy imported only when it runs."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import typer.core

from mentee.cli import distill, experiments, exporting
from mentee.cli.options import Changes, Channels, Image, Recipe, Run
from mentee.cli.records import records
from mentee.cli.stopping import exit_code, interruptible, stop_at_once
from mentee.console import (
    finish_output,
    open_output,
    plain_warnings,
    print_line,
    print_note,
)
from mentee.errors import MenteeError, ProcessLostError
from mentee.renamed import COMMANDS, renamed
from mentee.training.signals import Interrupted

if TYPE_CHECKING:
    from mentee import api


class _Commands(typer.core.TyperGroup):
    """The commands; an old name of one is answered with its name of today."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in COMMANDS:
            ctx.fail(renamed(f"mentee {cmd_name}", f"mentee {COMMANDS[cmd_name]}"))
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments; a signal meanwhile is one line too, where click would be silent."""
        with interruptible():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; what stops it at once is one line, which says what is left."""
        with interruptible(ctx):
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Train a compact student network from bigger networks (knowledge distillation), and "
    "measure what that was worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def train(
    recipe: Recipe,
    changes: Changes = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder.", show_default="runs/NETWORK-METHOD-N"),
    ] = None,
) -> None:
    """Train a student by a recipe."""
    from mentee.api import train

    _print_and_exit(_result(train(recipe, out=out, changes=changes or [])))


@app.command()
def resume(run: Run) -> None:
    """Resume a run exactly from its newest checkpoint."""
    from mentee.api import resume

    _print_and_exit(_result(resume(run)))


@app.command()
def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(help="A folder, a parquet file, a name.", show_default="the run's data"),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Its split.", show_default="the run's test part")
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=[SOURCE:]SPLIT", help="Another domain, may be repeated: --on x=test_x."
        ),
    ] = None,
    corruptions: Annotated[
        bool, typer.Option(help="The test part, corrupted in every kind at five severities.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Examples of each corruption at most.", show_default="all"),
    ] = None,
) -> None:
    """Score a run's student: on its test part, on other data, on other domains."""
    from mentee.api import evaluate, evaluate_domains
    from mentee.evaluation.out_of_domain import parse_domains, refuse_single_set, results_table

    if on or corruptions:
        refuse_single_set(data, split)
        domains = parse_domains(on or [], corruptions, limit)
        _print_and_exit(results_table(evaluate_domains(run, domains, say=print_note)))
        return
    scores = evaluate(run, data=data, split=split, say=print_note)
    width = max(map(len, scores), default=0) + 2
    lines = [f"{name:<{width}}{value:.4f}" for name, value in scores.items()]
    where = " ".join(filter(None, [data, split])) or "the test part"
    _print_and_exit("\n".join(lines) or f"no scores: {where} has no labels to score against")


@app.command()
def report(
    run: Run,
    format: Annotated[
        Literal["md", "html"],
        typer.Option(help="md: print it; html: the page of a run, sweep, comparison or probe."),
    ] = "md",
) -> None:
    """Write a run's report again from its files, and print it."""
    from mentee.evaluation.evaluator import write_report
    from mentee.experiments.pages import write_page

    if format == "html":
        print_line(write_page(run))
        return
    print_line(write_report(run).partition("\n## Recipe\n")[0].rstrip())
    print_line(f"\n{run / 'report.md'}")


app.command()(exporting.export)
app.command()(exporting.predict)
app.command()(exporting.benchmark)
app.command()(exporting.card)
app.command()(exporting.push)
app.add_typer(records, name="record")
app.command()(distill.distill)
app.command()(distill.advise)
app.command()(experiments.sweep)
app.command()(experiments.compare)
app.command()(experiments.probe)
app.command()(experiments.pipeline)


@app.command()
def methods(
    name: Annotated[
        str | None,
        typer.Argument(help="A method, a form or a sum, such as crd+kd.", show_default="list all"),
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="With --teacher: which methods fit the two, and their costs.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="A network by name: resnet20-cifar, timm:resnet18, ...")
    ] = None,
    size: Image = 32,
    channels: Channels = 3,
    classes: Annotated[int, typer.Option(min=1, help="Classes of the labels.")] = 10,
    teacher_classes: Annotated[
        int | None,
        typer.Option(min=1, help="Outputs of the teacher.", show_default="those of the labels"),
    ] = None,
    task: Annotated[
        str, typer.Option(help="single: one class an example; multi: several; none: no labels.")
    ] = "single",
    examples: Annotated[int, typer.Option(min=64, help="Training examples.")] = 50_000,
    batch: Annotated[int, typer.Option(min=2, help="Examples of a step, for --time.")] = 64,
    time: Annotated[
        bool, typer.Option("--time", help="Measure how much longer a step of the student takes.")
    ] = False,
) -> None:
    """List the methods, show the terms of one, or find those that fit a student and a teacher."""
    from mentee.catalogue import CandidatePair, list_methods, show_method, show_pair
    from mentee.methods import METHODS, find

    if (student is None) != (teacher is None):
        raise MenteeError("a pair has two networks: give --student and --teacher")
    if student is None or teacher is None:
        print_line(list_methods() if name is None else show_method(name))
        return
    pair = CandidatePair(
        student,
        teacher,
        size=size,
        channels=channels,
        classes=classes,
        teacher_classes=teacher_classes,
        examples=examples,
        task=task,
        batch=batch,
    )
    if name is not None:
        print_line(f"{show_method(name)}\n")
    print_line(show_pair(pair, METHODS if name is None else {name: find(name)}, time=time))


@app.command()
def layers(
    network: Annotated[str, typer.Argument(help="resnet20-cifar, timm:resnet18, ...")],
    size: Image = 32,
    channels: Channels = 3,
    classes: Annotated[int, typer.Option(min=1, help="Outputs of the classifier.")] = 10,
    every: Annotated[bool, typer.Option("--all", help="Every module, not only the names.")] = False,
) -> None:
    """List the layers of a network that can be read, with their shapes."""
    from mentee.catalogue import show_layers

    print_line(show_layers(network, size=size, channels=channels, classes=classes, every=every))


@app.command()
def demo(
    data: Annotated[
        str, typer.Option(help="digits (comes with scikit-learn) or cifar10 (MENTEE_DATA or hub).")
    ] = "digits",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each method.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the runs.", show_default="runs/demo-N")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Weights of the teacher network.", show_default="it is trained first"),
    ] = None,
) -> None:
    """Train a teacher, then a small student with and without it, and print what helped."""
    from mentee.demo import demo

    demo(data, seeds=seeds, out=out, teacher=teacher)


def _print_and_exit(text: str) -> None:
    """The first process prints the text, then all processes exit together."""
    from mentee.parallel import exit_process, rank

    if rank() == 0:
        print_line(text)
    exit_process(0)


def _result(run: api.Run) -> str:
    part = "test" if run.summary.get("test") else "validation"
    scores = "  ".join(f"{k} {v:.4f}" for k, v in (run.summary.get(part) or {}).items())
    files = f"{run.path / 'student.safetensors'}  {run.path / 'report.html'}"
    notes = [f"note: {note}" for note in run.summary.get("notes", [])]
    return "\n".join([*notes, f"{part}: {scores}" if scores else "done", files])


def main() -> None:
    """Run a command; a user's mistake is one message on stderr, without a traceback."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    open_output()
    plain_warnings()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1  # their launcher ends them, at once
    if several:  # else DDP warns in each of them that it looks for parameters without a gradient
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = signal.getsignal(signal.SIGTERM)
    if not several and before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop_at_once)
    try:
        with interruptible():  # also while the commands are being built
            app()
    except SystemExit as end:
        sys.exit(exit_code(end))
    except ProcessLostError as error:
        from mentee.parallel import exit_process

        if not error.printed:
            print_note(f"error: {error}")
        exit_process(1, alone=True)
    except MenteeError as error:
        print_note(f"error: {error}")
        sys.exit(2)
    except OSError as error:
        if error.filename is None or error.errno is None:
            raise
        print_note(f"error: {error.strerror}: {error.filename}")
        sys.exit(2)
    except Interrupted as error:
        print_note(str(error))
        if "torch" in sys.modules:
            from mentee.parallel import exit_process

            exit_process(128 + error.asked_by_signal)  # all processes stop at the same step
        sys.exit(128 + error.asked_by_signal)
    finally:
        # All is written: a signal while the interpreter ends has nothing to clean up.
        signal.signal(signal.SIGTERM, before)
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
        if lost := finish_output():
            print_note(f"error: standard output was lost ({lost}); files are complete")
            sys.exit(1)
