"""What probes found: the rows of `probe.json`, each written as it is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentee import files
from mentee.experiments.probe_data import ProbeData, Subset
from mentee.parallel import rank
from mentee.recipe import Probe
from mentee.records.manifest import checksum
from mentee.report import align, probe_cells
from mentee.runs.folder import Folder

FORMAT = 2


@dataclass(frozen=True)
class ProbeResult:
    """The result of probing a run's student.

    Attributes:
        path: the run's folder, or that of the results of records.
        content: of its `probe.json`.
    """

    path: Path
    content: Mapping[str, Any]

    def scores(self, way: str, share: float, who: str = "student") -> list[float]:
        """The main score of a way with a share of the labels, one for each draw of them."""
        return [
            row["score"]
            for row in self.content["rows"]
            if (row["who"], row["way"], row["share"]) == (who, way, share)
        ]

    def __repr__(self) -> str:
        return f"ProbeResult({str(self.path)!r}, {len(self.content['rows'])} rows)"

    def __str__(self) -> str:
        notes = [f"note: {note}" for note in self.content["notes"]]
        return "\n".join([align(probe_cells(self.content["rows"])), *notes])


@dataclass
class ProbeResults:
    """The rows of `probe.json`, written as each is known.

    Attributes:
        path: of `probe.json`; None: nothing is written.
        settings: what all rows have in common; rows of the same examples that were probed with
            other settings are dropped.
        rows: a mapping each: who, way, share, labels, seed, score, scores, strength.
        notes: sentences on what could not be probed.
        others: settings, rows and notes of probes on other examples, the latest first.
    """

    path: Path | None
    settings: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def settings_of(data: ProbeData, config: Probe) -> dict[str, Any]:
        """The settings that do not depend on what is probed."""
        return {
            "by": data.train.task.main_score,
            "train": {"examples": len(data.train), "fingerprint": data.train.fingerprint()},
            "test": {"examples": len(data.test), "fingerprint": data.test.fingerprint()},
            "probe": config.model_dump(mode="json", exclude={"shares", "seeds", "ways", "who"}),
        }

    @classmethod
    def open(cls, run: Path, data: ProbeData, config: Probe) -> ProbeResults:
        """The results of the same probe in a run's folder, or none, and those on other examples."""
        folder = Folder(run)
        settings = {**cls.settings_of(data, config), "student": checksum(folder.student)}
        saved = folder.read_probe()
        kept: list[dict[str, Any]] = [] if saved is None else [saved, *saved["others"]]
        same = [each for each in kept if each.get("settings") == settings]
        others = [
            {"settings": each["settings"], "rows": each["rows"], "notes": each.get("notes", [])}
            for each in kept
            if each["rows"] and _is_other(each.get("settings"), settings)
        ]
        return cls(folder.probe, settings, same[0]["rows"] if same else [], others=others)

    def stamp(self, *keys: str) -> str:
        """8 hexadecimal digits of the student, the examples and some keys of `probe`."""
        config = {key: self.settings["probe"][key] for key in keys}
        text = json.dumps(dict(self.settings) | {"probe": config}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def has(self, network: str, way: str, subset: Subset) -> bool:
        """Whether a row is there."""
        return any(_key(row) == (network, way, len(subset.rows), subset.seed) for row in self.rows)

    def scores(self, network: str, way: str, labels: int) -> list[float]:
        """The main scores so far, one for each draw of the labels."""
        key = (network, way, labels)
        return [row["score"] for row in self.rows if _key(row)[:3] == key]

    def add(
        self,
        network: str,
        way: str,
        subset: Subset,
        scores: Mapping[str, float],
        strength: float | None = None,
    ) -> None:
        """Add a row, and write the file."""
        row = {
            "who": network,
            "way": way,
            "share": subset.share,
            "labels": len(subset.rows),
            "seed": subset.seed,
            "score": scores[self.settings["by"]],
            "scores": dict(scores),
            "strength": strength,
        }
        self.rows.append(row)
        self.write()

    @property
    def content(self) -> dict[str, Any]:
        """Of the file."""
        results = {"settings": self.settings, "rows": self.rows, "notes": self.notes}
        return {"format": FORMAT, **results, **({"others": self.others} if self.others else {})}

    def write(self) -> None:
        """Write the file; the first process only."""
        if rank() == 0 and self.path is not None:
            files.write_json(self.path, self.content)


def _is_other(saved: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> bool:
    """Whether saved results are of the same student, and of other examples or labels."""
    if saved is None or saved.get("student") != settings["student"]:
        return False
    return any(saved.get(key) != settings[key] for key in ("by", "train", "test"))


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["who"], row["way"], row["labels"], row["seed"]
