"""Folders of records: found by split, written hidden beside their place, then moved into it."""

from __future__ import annotations

import shutil
from pathlib import Path

from mentee.errors import DataError, suggest
from mentee.files import located, plain_write_errors
from mentee.parallel import max_over_processes, rank
from mentee.records.manifest import MANIFEST, OWN_NAMES, has_manifest, read_manifest
from mentee.urls import Url

PLAN, PROGRESS = "plan.json", "shards.json"
"""Files of a record that is being written: what it will be, and the whole shards of a part."""


def find_split(path: Path | Url | str, split: str) -> Path | Url:
    """The folder of one split's record: a subfolder, or the folder itself where it is a record.

    Raises:
        DataError: there is none of this split; names those there are.
    """
    folder = located(path)
    if has_manifest(folder):
        return folder
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; write a record with `mentee record`")
    if not has_manifest(folder / split):
        splits = [each.name for each in splits_of(folder)]
        raise DataError(f"{folder} has no record of split {split!r}: {suggest(split, splits)}")
    return folder / split


def splits_of(folder: Path | Url) -> list[Path | Url]:
    """The records in the subfolders of a folder, hidden ones left out."""
    there: list[Path | Url] = [*folder.glob("[!.]*")]
    return [each for each in sorted(there, key=str) if has_manifest(each)]


def is_network_record(path: Path | Url | str, split: str = "train") -> bool:
    """Whether a folder holds the record of a recipe's network; false where it holds none.

    Raises:
        DataError: its manifest is damaged.
    """
    whole = located(path)
    folder = next((each for each in (whole, whole / split) if has_manifest(each)), None)
    return folder is not None and read_manifest(folder).network is not None


def refuse_others(out: Path | Url, *, overwrite: bool = False, repair: bool = False) -> bool:
    """Whether a record is in a folder, which else is empty or not there.

    With `overwrite` one may be there, with `repair` one has to be.
    """
    if overwrite and repair:
        raise DataError("--repair mends a record and --overwrite replaces it; choose one of them")
    if repair and not has_manifest(out):
        raise DataError(f"{out} is no record that could be repaired; leave out --repair")
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; choose another folder")
    names = sorted(each.name for each in out.glob("[!.]*"))
    strange = [name for name in names if not OWN_NAMES.fullmatch(name)]
    if strange:
        raise DataError(
            f"{out} is there and is no record (it has {strange[0]}); choose another folder"
        )
    if names and has_manifest(out) and not overwrite and not repair:
        raise DataError(
            f"{out} is a record already; choose another folder, or replace it (--overwrite)"
        )
    if isinstance(out, Url):  # one that is not whole is written in its place
        return has_manifest(out)
    return bool(names)


def partial_folder(out: Path | Url) -> Path | Url:
    """The hidden folder where a record is written until it is whole.

    In object storage, where nothing can be renamed, its own: it has no manifest until then.
    """
    return out if isinstance(out, Url) else out.with_name(f".{out.name}.partial")


def old_folder(out: Path) -> Path:
    """The hidden folder of a record that is being replaced."""
    return out.with_name(f".{out.name}.old")


def put_in_place(out: Path | Url) -> None:
    """Let a record that is whole take its place; for a moment there is none."""
    if isinstance(out, Url):
        for left in [out / PLAN, *out.glob(f"*/{PROGRESS}")]:
            left.unlink(missing_ok=True)
        return
    folder, old = out.with_name(f".{out.name}.partial"), old_folder(out)
    with plain_write_errors(out):
        # Hidden files are what a kill left of others that were being written.
        for path in [folder / PLAN, *folder.glob(f"*/{PROGRESS}"), *folder.rglob(".*")]:
            path.unlink(missing_ok=True)
        folder.chmod(0o755)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        folder.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def settle(out: Path | Url) -> None:
    """Put a record in its place whose process was killed when it was whole; needs the lock."""
    if rank() == 0 and (partial_folder(out) / MANIFEST).is_file():
        put_in_place(out)
    elif rank() == 0 and isinstance(out, Path) and has_manifest(out):
        shutil.rmtree(old_folder(out), ignore_errors=True)
    max_over_processes(0)  # all see the same
