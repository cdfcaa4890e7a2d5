"""What a folder holds: nothing is started in the folder of something else."""

from __future__ import annotations

from pathlib import Path

from mentee.errors import RunError
from mentee.records.folders import splits_of
from mentee.records.manifest import has_manifest

SWEEP_PLAN, PIPELINE_PLAN = "sweep.json", "pipeline.json"


def kind_of(folder: Path) -> str | None:
    """`sweep or comparison`, `pipeline`, `run` or `record`; None: something else, or nothing."""
    if (folder / SWEEP_PLAN).is_file():
        return "sweep or comparison"
    if (folder / PIPELINE_PLAN).is_file():
        return "pipeline"
    if (folder / "recipe.yaml").is_file() and (folder / "environment.json").is_file():
        return "run"
    if has_manifest(folder) or splits_of(folder) or list(folder.glob(".*.partial")):
        return "record"
    return None


def refuse_other_kind(folder: Path, kind: str) -> None:
    """Make sure that a folder holds nothing, or something of a kind.

    Raises:
        RunError: it holds something of another kind.
    """
    there = kind_of(folder)
    if there not in (None, kind):
        raise RunError(
            f"{folder} is the folder of a {there}, and a {kind.partition(' ')[0]} there would "
            "damage it; give another --out"
        )
