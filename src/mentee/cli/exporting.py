"""Commands of a student that is shipped: export, predict, benchmark, card and push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mentee.cli.options import Run
from mentee.console import print_line


def export(
    run: Run,
    format: Annotated[
        Literal["onnx", "pt2", "timm", "safetensors"], typer.Option(help="Of the file or folder.")
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The folder of its files.", show_default="RUN/export")
    ] = None,
    output: Annotated[
        Literal["logits", "embedding"] | None,
        typer.Option(help="What it gives.", show_default="logits; without labels embedding"),
    ] = None,
    dtype: Annotated[
        Literal["uint8", "float32"], typer.Option(help="Of images; float32: in [0, 1].")
    ] = "uint8",
    resize: Annotated[
        bool, typer.Option("--resize", help="Read images of any size; resize them inside.")
    ] = False,
    opset: Annotated[int | None, typer.Option(help="Of ONNX.", show_default="18")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Of the outputs, as a share of the largest, or of 1.")
    ] = 1e-4,
    examples: Annotated[
        int, typer.Option(min=1, help="Held-out examples to compare on, at most.")
    ] = 256,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write 8-bit integers too, where that is worth it.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option(min=0, help="Of int8: points of validation that may be lost.")
    ] = 0.5,
) -> None:
    """Write a run's student as a file that needs no Mentee; it is compared with the student."""
    from mentee.api import export

    exported = export(
        run,
        format=format,
        out=out,
        output=output,
        dtype=dtype,
        resize=resize,
        opset=opset,
        tolerance=tolerance,
        examples=examples,
        int8=int8,
        max_drop=max_drop,
    )
    print_line(f"compared: {exported.parity}\n{exported.path}")
    if exported.int8 is not None:
        print_line(exported.int8)


def predict(
    model: Annotated[Path, typer.Argument(help="A run's folder, a .onnx or a .pt2 file.")],
    inputs: Annotated[
        list[str], typer.Argument(help="Images, audio or text files; or texts.", metavar="FILE...")
    ],
    format: Annotated[Literal["csv", "json"], typer.Option(help="Of the answer.")] = "csv",
) -> None:
    """Predict the class, values or embedding of files with a student."""
    from mentee.api import load
    from mentee.exporting.predictor import table

    student = load(model)
    texts = student.signature.kind == "text"
    files = [Path(each) if texts and Path(each).is_file() else each for each in inputs]
    print_line(table(student(files), format))


def benchmark(
    source: Annotated[
        Path, typer.Argument(help="A run's folder, a .onnx or a .pt2 file.", metavar="RUN|FILE")
    ],
    rounds: Annotated[int, typer.Option(min=2, help="How often each is run in turn.")] = 20,
    compile: Annotated[bool, typer.Option(help="Measure torch.compile, too.")] = True,
    format: Annotated[
        Literal["table", "csv", "json"], typer.Option(help="Of what is printed.")
    ] = "table",
) -> None:
    """Measure what a student costs: size, memory, latency, throughput; beside its teacher."""
    from mentee.api import benchmark

    result = benchmark(source, rounds=rounds, compile=compile)
    print_line(result.text(format))
    if result.path is not None and format == "table":
        print_line(f"\n{result.path}")


def card(
    run: Run,
    license: Annotated[str | None, typer.Option(help="Of the student: apache-2.0, ...")] = None,
    teacher_license: Annotated[str | None, typer.Option(help="Of the teacher.")] = None,
    data_license: Annotated[str | None, typer.Option(help="Of the data.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="The data's name; owner/name on the hub.", show_default="the recipe's"),
    ] = None,
) -> None:
    """Write a run's model card, README.md, as the Hugging Face hub reads it."""
    from mentee.sharing.card import card

    licenses = {"teacher_license": teacher_license, "data_license": data_license}
    print_line(card(run, license=license, dataset=dataset, **licenses))


def push(
    run: Run,
    repo: Annotated[str, typer.Argument(help="owner/name; made where there is none.")],
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is private.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the files and their bytes; send nothing.")
    ] = False,
) -> None:
    """Push a run's exported files, card, recipe and page to the Hugging Face hub."""
    from mentee.report.tables import align
    from mentee.sharing.publish import push

    pushed = push(run, repo, private=private, dry_run=dry_run)
    rows = [["file", "bytes"], *([name, f"{size:,}"] for name, size in pushed.files.items())]
    print_line(align(rows, right=True))
    print_line(pushed.url or "nothing was sent")
