"""What of a record of places is there already, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mentee.errors import DataError
from mentee.records.growing import differing
from mentee.records.manifest import read_manifest
from mentee.records.network_manifest import (
    PLACES,
    SHEET,
    NetworkManifest,
    folder_of,
    read_network_manifest,
)
from mentee.records.numeric import STORED
from mentee.records.shards import check_disk
from mentee.records.views import RecordingJob, RecordingView, about, sheets_of


@dataclass(frozen=True)
class RecordingPlan:
    """What is going to be written, and where.

    Attributes:
        out: the record.
        folder: where it is written: `out`, or beside it until it is whole.
        recording: of what.
        manifest: what the record will say of itself.
        sheets: those that are not there yet.
        stale: what is in `folder` is of something else and in the way.
        grown: what the record said of itself before examples came; None: none did.
    """

    out: Path
    folder: Path
    recording: RecordingJob
    manifest: NetworkManifest
    sheets: tuple[RecordingView, ...]
    stale: bool = False
    grown: NetworkManifest | None = None

    def before(self, sheet: RecordingView) -> Path | None:
        """The record of the first rows of a sheet, where there is one."""
        if self.grown is None or sheet not in sheets_of(self.grown):
            return None
        return self.out / folder_of(sheet.view, sheet.group)

    def rows(self, sheet: RecordingView) -> int:
        """How many rows of it are to be written."""
        held = self.recording.held if self.before(sheet) else 0
        return len(self.recording.examples) - held

    def begun(self, group: int) -> bool:
        """Whether rows of a group are written already, where this recording writes."""
        missing = {sheet.view for sheet in self.sheets if sheet.group == group}
        return len(missing) <= self.manifest.count

    @property
    def bytes(self) -> int:
        """The size of the rows that are to be written."""
        numbers = sum(self.rows(each) * each.numbers for each in self.sheets)
        return numbers * STORED[self.recording.dtype].itemsize


def plan(out: Path, recording: RecordingJob, *, overwrite: bool = False) -> RecordingPlan:
    """What the folder will hold in the end, and what of it is missing.

    Args:
        out: the folder.
        recording: what is recorded.
        overwrite: put it in the place of what was recorded there, whole or not.

    Raises:
        DataError: something else is there.
        RunError: the disk is too small for what is missing.
    """
    names = names_in(out)
    there = read_network_manifest(out) if PLACES in names and not overwrite else None
    recording = recording if there is None else recording.following(out)
    grown = there if recording.held else None
    anew = (overwrite and bool(names)) or grown is not None
    manifest, folder, stale = recording.merged(there), beside(out) if anew else out, False
    try:
        refuse_mixture(folder, recording, manifest)
    except DataError:
        if not anew:
            raise
        stale = True
    sheets = tuple(
        s
        for s in sheets_of(manifest)
        if stale or not (folder / folder_of(s.view, s.group)).is_dir()
    )
    planned = RecordingPlan(out, folder, recording, manifest, sheets, stale, grown)
    check_disk(planned.bytes, out)
    return planned


def names_in(out: Path) -> list[str]:
    """What is in the folder of a record of places, hidden files left out.

    Raises:
        DataError: something that is no part of one.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file; choose another folder")
    names = sorted(each.name for each in out.glob("[!.]*"))
    strange = [name for name in names if name != PLACES and not SHEET.fullmatch(name)]
    if strange:
        raise DataError(
            f"{out} is there and is no record (it has {strange[0]}); choose another folder"
        )
    return names


def beside(out: Path) -> Path:
    """Where a record is written that is to replace another one."""
    return out.with_name(f".{out.name}.anew")


def refuse_mixture(folder: Path, recording: RecordingJob, manifest: NetworkManifest) -> None:
    """Make sure that what an interrupted recording left can be gone on with.

    Raises:
        DataError: it is of something else; says what differs.
    """
    for sheet in sheets_of(manifest):
        path = folder / folder_of(sheet.view, sheet.group)
        if not path.is_dir():
            continue
        there, mine = read_manifest(path), about(recording, sheet, folder)
        pairs = {
            f"teacher's {key}": (there.teacher.get(key), mine.teacher.get(key))
            for key in there.teacher | mine.teacher
        } | {
            "examples": (there.data["fingerprint"], mine.data["fingerprint"]),
            "dtype": (there.dtype, recording.dtype),
        }
        other = differing(pairs)
        if other:
            raise DataError(
                f"{path} was left by an interrupted recording, which this one cannot go on with: "
                f"{other}. Record as it was begun, choose another folder, or say that it is to be "
                "overwritten (--overwrite)"
            )
