"""The command line: each command a thin call, everything heavy imported only when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
import typer.core

if TYPE_CHECKING:
    from mentee.run import Run

app = typer.Typer(
    help="Train a compact student network from what bigger networks know, and see what it was "
    "worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Changes = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation on Python 3.10
    typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: --set train.epochs=20."),
]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="The run's folder; by default runs/NETWORK-METHOD-N."),
]


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
    from mentee.run import train

    _end(train(recipe, out=out, changes=changes or []))


@app.command()
def resume(run: Annotated[Path, typer.Argument(help="The run's folder.")]) -> None:
    """Go on with a run exactly where its newest checkpoint stands."""
    from mentee.run import resume

    _end(resume(run))


class _Record(typer.core.TyperGroup):
    """`mentee record SOURCE ...` records, `mentee record import FILE ...` imports."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the hidden command before anything that is no command."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


records = typer.Typer(
    cls=_Record,
    no_args_is_help=True,
    help="Run a teacher once and keep what it says: mentee record DATA --teacher minilm --out "
    "records/minilm, or of a recipe's own network mentee record RECIPE --out records/own. All "
    "options: mentee record run --help",
)
app.add_typer(records, name="record")

Splits = Annotated[str, typer.Option(help="Splits, with commas between.")]
Columns = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--column", metavar="KEY=NAME", help="Of the data: --column label=genre."),
]


@records.command("run")
def record(
    data: Annotated[str, typer.Argument(help="As data.source of a recipe; or a recipe.")],
    out: Annotated[Path, typer.Option(help="The folder; each split gets a subfolder.")],
    teacher: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="aisfx, minilm, timm:NAME, onnx:FILE, ...; by default the network of the recipe, "
            "read where its method reads it."
        ),
    ] = None,
    splits: Splits = "train",
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="KEY=VALUE", help="Of the teacher: --option size=128."),
    ] = None,
    column: Columns = None,
    frames: Annotated[bool, typer.Option(help="A vector for each time frame.")] = False,
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Read so much of each clip."),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="float16, float32, bfloat16; of a network also int8.")
    ] = "float16",
    batch: Annotated[int, typer.Option(min=1, help="Examples at once.")] = 64,
    views: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="Of a network: views beside the clean one; by default 8."),
    ] = None,
    methods: Annotated[
        str, typer.Option(help="Of a network: whose places, with commas; by default the recipe's.")
    ] = "",
    changes: Changes = None,
    overwrite: Annotated[bool, typer.Option(help="Replace records that are there.")] = False,
) -> None:
    """Run a teacher once over a data set; says beforehand how many MB and minutes."""
    if teacher is None:
        from mentee.parallel import leave
        from mentee.run import record_network
        from mentee.teachers.record.numbers import as_dtype

        record_network(
            data,
            out,
            names=[name for name in methods.split(",") if name],
            views=views,
            dtype=as_dtype(dtype, scaled=True),
            batch=batch,
            overwrite=overwrite,
            changes=changes or [],
        )
        leave()
        return
    from mentee.run.recording import parsed, record

    record(
        data,
        teacher,
        out,
        splits=splits.split(","),
        options=parsed(option or [], "--option"),
        reading=parsed(column or [], "--column"),
        frames=frames,
        seconds=seconds,
        dtype=dtype,
        batch=batch,
        overwrite=overwrite,
    )


@records.command("import")
def record_import(
    vectors: Annotated[Path, typer.Argument(help=".npy, .npz, .safetensors, parquet or CSV.")],
    data: Annotated[str, typer.Argument(help="As data.source of a recipe; or a recipe.yaml.")],
    out: Annotated[Path, typer.Option(help="The folder; the split gets a subfolder.")],
    split: Annotated[str, typer.Option(help="Which split the vectors are of.")] = "train",
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of the teacher; by default the file's name."),
    ] = None,
    ids: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The ids, where the file has none: .txt, .json or .npy."),
    ] = None,
    in_order: Annotated[bool, typer.Option(help="The rows are in the order of the data.")] = False,
    extra: Annotated[bool, typer.Option(help="Leave out vectors of no example.")] = False,
    key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The array of the vectors in an .npz or .safetensors."),
    ] = None,
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The columns of the vectors in a table: emb, or emb_*."),
    ] = None,
    id: Annotated[str, typer.Option(help="The array or column of the ids.")] = "id",
    frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Time frames, where a row holds them one behind the other."),
    ] = None,
    column: Columns = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a record that is there.")] = False,
) -> None:
    """Take vectors that you have already, matched to the data by their ids."""
    from mentee.run.recording import import_vectors, parsed

    import_vectors(
        vectors,
        data,
        out,
        split=split,
        name=name,
        ids=ids,
        in_order=in_order,
        extra=extra,
        key=key,
        columns=columns,
        id=id,
        frames=frames,
        reading=parsed(column or [], "--column"),
        overwrite=overwrite,
    )


@records.command("verify")
def record_verify(
    folder: Annotated[Path, typer.Argument(help="The record of a recipe's network.")],
    recipe: Annotated[str, typer.Argument(help="The recipe that it was made for.")],
    sample: Annotated[int, typer.Option(min=1, help="Examples read live.")] = 64,
    changes: Changes = None,
) -> None:
    """Compare a record with its teacher: every checksum, and the worst cosine of a sample."""
    from mentee.run import verify

    print(verify(folder, recipe, sample=sample, changes=changes or []))


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
    from mentee.run import evaluate, evaluate_domains
    from mentee.run.domains import as_domains, shown

    if on or corruptions:
        print(shown(evaluate_domains(run, as_domains(on or [], corruptions, limit))))
        return
    for name, value in evaluate(run, data=data, split=split).items():
        print(f"{name:<10}{value:.4f}")


@app.command()
def methods(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="A row, or a sum of rows such as crd+kd; none: list all."),
    ] = None,
) -> None:
    """List the methods, or show one as places × representation × agreement × weight."""
    from mentee.describe import list_methods, show_method

    print(list_methods() if name is None else show_method(name))


@app.command()
def places(
    network: Annotated[str, typer.Argument(help="resnet20-cifar, timm:resnet18, ...")],
    size: Annotated[int, typer.Option(min=1, help="Height and width of the image.")] = 32,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the image.")] = 3,
    classes: Annotated[int, typer.Option(min=1, help="Outputs of the classifier.")] = 10,
    every: Annotated[bool, typer.Option("--all", help="Every module, not only the names.")] = False,
) -> None:
    """List where a network can be read, with shapes."""
    from mentee.describe import show_places

    print(show_places(network, size=size, channels=channels, classes=classes, every=every))


def _end(run: Run) -> None:
    """The first process prints what came out, then all part."""
    from mentee.parallel import leave, rank

    if rank() == 0:
        print(_result(run))
    leave()


def _result(run: Run) -> str:
    scores = run.summary.get("test") or run.summary.get("validation") or {}
    where = "test" if run.summary.get("test") else "validation"
    said = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    files = f"{run.path / 'student.safetensors'}  {run.path / 'report.md'}"
    return f"{where}: {said}\n{files}" if said else f"done\n{files}"


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
        from mentee.parallel import leave

        leave()  # all processes stop at the same step
        sys.exit(128 + number)


if __name__ == "__main__":
    main()
