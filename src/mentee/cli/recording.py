"""`mentee record ...`: run a teacher once, take vectors that are there, verify what was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
import typer.core

from mentee.cli.options import Changes


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
    pca: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="D|PLACE=D", help="Of a network: keep so many principal components of a place."
        ),
    ] = None,
    top_k: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of a network: keep the k largest logits, and the sum of the others."),
    ] = None,
    changes: Changes = None,
    overwrite: Annotated[bool, typer.Option(help="Replace records that are there.")] = False,
) -> None:
    """Run a teacher once over a data set; says beforehand how many MB and minutes."""
    from mentee.parallel import exit_process

    if teacher is None:
        from mentee.api import record_network
        from mentee.records.codecs import as_dtype

        record_network(
            data,
            out,
            names=[name for name in methods.split(",") if name],
            views=views,
            dtype=as_dtype(dtype, scaled=True),
            batch=batch,
            overwrite=overwrite,
            pca=_components(pca),
            top_k=top_k,
            changes=changes or [],
        )
        exit_process(0)
        return
    from mentee.errors import RecipeError
    from mentee.recording.embedders import record
    from mentee.recording.sources import parsed

    own = {"--views": views, "--methods": methods or None, "--pca": pca, "--top-k": top_k}
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise RecipeError(
            f"{', '.join(given)}: only for the network of a recipe; of --teacher {teacher} the "
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
    )
    exit_process(0)


def _components(said: list[str] | None) -> int | dict[str, int] | None:
    """`["64"]` to 64, `["stem=64", "embedding=32"]` to a mapping."""
    from mentee.errors import RecipeError

    if not said:
        return None
    pairs = [text.rpartition("=")[::2] for text in said]
    if not all(count.isdecimal() for _, count in pairs) or (
        len(said) > 1 and not all(place for place, _ in pairs)
    ):
        raise RecipeError(
            f"--pca {' --pca '.join(said)}: expected one number, or PLACE=NUMBER for each place"
        )
    if not pairs[0][0]:
        return int(pairs[0][1])
    return {place: int(count) for place, count in pairs}


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
    )


@records.command("verify")
def record_verify(
    folder: Annotated[Path, typer.Argument(help="The record.")],
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="[RECIPE|DATA]",
            help="The recipe that it was made for; of a teacher of another task the data, by "
            "default those that were named then.",
        ),
    ] = None,
    teacher: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Of another task; by default the one that was named then."),
    ] = None,
    option: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="KEY=VALUE", help="Of the teacher: --option size=128."),
    ] = None,
    column: Columns = None,
    sample: Annotated[int, typer.Option(min=1, help="Examples read live.")] = 64,
    changes: Changes = None,
) -> None:
    """Compare a record with its teacher: every checksum, and the worst cosine of a sample."""
    from mentee.api import verify
    from mentee.recording.sources import parsed

    print(
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
