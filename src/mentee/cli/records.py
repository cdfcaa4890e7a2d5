"""`mentee record`: run a teacher once over a data set, import vectors, verify a record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mentee.cli.options import Changes, Columns, TeacherOptions, Views, split_names
from mentee.console import print_line


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
    help="Run a teacher once and save its outputs: mentee record DATA --teacher minilm --out "
    "records/minilm, or of a recipe's own network mentee record RECIPE --out records/own. All "
    "options: mentee record run --help",
)


@records.command("run")
def record(
    data: Annotated[str, typer.Argument(help="As data.source of a recipe; or a recipe.")],
    out: Annotated[str, typer.Option(help="Folder or URL; each split gets a subfolder.")],
    teacher: Annotated[
        str | None,
        typer.Option(
            help="aisfx, minilm, timm:NAME, onnx:FILE, ...",
            show_default="the recipe's network, at the layers of its method",
        ),
    ] = None,
    splits: Annotated[str, typer.Option(help="Splits, with commas.")] = "train",
    option: TeacherOptions = None,
    column: Columns = None,
    frames: Annotated[bool, typer.Option(help="A vector for each time frame.")] = False,
    seconds: Annotated[
        float | None, typer.Option(help="Read so much of each clip.", show_default="all")
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="float16, float32, bfloat16; of a network also int8.")
    ] = "float16",
    batch: Annotated[int, typer.Option(min=1, help="Examples at once.")] = 64,
    views: Views = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Of a network: the methods whose layers are recorded, with commas.",
            show_default="the recipe's",
        ),
    ] = "",
    pca: Annotated[
        list[str] | None,
        typer.Option(
            metavar="D|LAYER=D", help="Of a network: keep so many principal components of a layer."
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            help="Of a network: keep the k largest logits, and the sum of the others.",
            show_default="all",
        ),
    ] = None,
    changes: Changes = None,
    overwrite: Annotated[bool, typer.Option(help="Replace existing records.")] = False,
    repair: Annotated[bool, typer.Option(help="Record only what is damaged.")] = False,
) -> None:
    """Run a teacher once over a data set; prints the MB and minutes it will take first."""
    from mentee.parallel import exit_process

    if teacher is None:
        from mentee.api import record_network
        from mentee.records.codecs import as_dtype

        record_network(
            data,
            out,
            names=split_names(methods),
            views=views,
            dtype=as_dtype(dtype, scaled=True),
            batch=batch,
            overwrite=overwrite,
            repair=repair,
            pca=parse_pca(pca),
            top_k=top_k,
            changes=changes or [],
        )
        exit_process(0)
        return
    from mentee.errors import RecipeError
    from mentee.recording.embedders import record
    from mentee.recording.sources import parsed

    network_only = {"--views": views, "--methods": methods or None, "--pca": pca, "--top-k": top_k}
    wrong = [name for name, value in network_only.items() if value is not None]
    if wrong:
        raise RecipeError(
            f"{', '.join(wrong)}: only for the network of a recipe; of --teacher {teacher} the "
            "clean examples are recorded, whole"
        )
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
        repair=repair,
    )
    exit_process(0)


def parse_pca(texts: list[str] | None) -> int | dict[str, int] | None:
    """`["64"]` to 64, `["stem=64", "embedding=32"]` to a mapping."""
    from mentee.errors import RecipeError

    if not texts:
        return None
    pairs = [text.rpartition("=")[::2] for text in texts]
    if not all(count.isdecimal() for _, count in pairs) or (
        len(pairs) > 1 and not all(layer for layer, _ in pairs)
    ):
        raise RecipeError(
            f"--pca {' --pca '.join(texts)}: expected one number, or LAYER=NUMBER for each layer"
        )
    if not pairs[0][0]:
        return int(pairs[0][1])
    return {layer: int(count) for layer, count in pairs}


@records.command("import")
def record_import(
    vectors: Annotated[Path, typer.Argument(help=".npy, .npz, .safetensors, parquet or CSV.")],
    data: Annotated[str, typer.Argument(help="As data.source of a recipe; or a recipe.yaml.")],
    out: Annotated[str, typer.Option(help="Folder or URL; the split gets a subfolder.")],
    split: Annotated[str, typer.Option(help="The split that the vectors are of.")] = "train",
    name: Annotated[
        str | None, typer.Option(help="Of the teacher.", show_default="the file's name")
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="The ids, where the file has none: .txt, .json or .npy.", show_default="the file"
        ),
    ] = None,
    in_order: Annotated[bool, typer.Option(help="The rows are in the order of the data.")] = False,
    extra: Annotated[bool, typer.Option(help="Leave out vectors of no example.")] = False,
    key: Annotated[
        str | None, typer.Option(help="The array of the vectors in an .npz or .safetensors.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="The columns of the vectors in a table: emb, or emb_*.")
    ] = None,
    id: Annotated[str, typer.Option(help="The array or column of the ids.")] = "id",
    frames: Annotated[
        int | None, typer.Option(help="Time frames, where a row holds them one after the other.")
    ] = None,
    column: Columns = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing record.")] = False,
    repair: Annotated[bool, typer.Option(help="Import only what is damaged.")] = False,
) -> None:
    """Import vectors that you have already, matched to the data by their ids."""
    from mentee.recording.embedders import import_vectors
    from mentee.recording.sources import parsed

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
        repair=repair,
    )


@records.command("verify")
def record_verify(
    folder: Annotated[str, typer.Argument(help="The record, a folder or a URL.")],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE|DATA]",
            help="The recipe that it was made for; of a teacher of another task the data.",
            show_default="the data named then",
        ),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="Of another task.", show_default="the one named then")
    ] = None,
    option: TeacherOptions = None,
    column: Columns = None,
    sample: Annotated[int, typer.Option(min=1, help="Examples to run the teacher on.")] = 64,
    changes: Changes = None,
) -> None:
    """Compare a record with its teacher: every checksum, and the worst cosine of a sample."""
    from mentee.api import verify
    from mentee.recording.sources import parsed

    print_line(
        verify(
            folder,
            data,
            sample=sample,
            changes=changes or [],
            teacher=teacher,
            options=parsed(option or [], "--option"),
            reading=parsed(column or [], "--column"),
        )
    )
