"""What was found so far: `probe.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentee import files
from mentee.experiments.labeled import Subset, TrainingSetup
from mentee.parallel import rank
from mentee.recipe import Probe
from mentee.runs.folder import Folder

FORMAT = 1


@dataclass
class ProbeResults:
    """The rows of a probe, kept in the run's folder as they are found.

    Attributes:
        path: of `probe.json`.
        asked: what all rows have in common; rows found otherwise do not count.
        rows: a mapping each: who, way, share, labels, seed, score, scores, strength.
        notes: sentences on what could not be told.
    """

    path: Path
    asked: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, run: Path, parts: TrainingSetup, said: Probe) -> ProbeResults:
        """Go on with what a run's folder has of the same probe, or begin anew."""
        folder = Folder(run)
        asked = {
            "by": parts.train.task.main_score,
            "student": hashlib.blake2b(folder.student.read_bytes(), digest_size=16).hexdigest(),
            "train": {"examples": len(parts.train), "fingerprint": parts.train.fingerprint()},
            "test": {"examples": len(parts.test), "fingerprint": parts.test.fingerprint()},
            "said": said.model_dump(mode="json", exclude={"shares", "seeds", "ways", "who"}),
        }
        rows: list[dict[str, Any]] = []
        was = folder.read_probe()
        if was is not None and was["asked"] == asked:
            rows = was["rows"]
        return cls(folder.probe, asked, rows)

    def stamp(self, *keys: str) -> str:
        """8 hexadecimal digits of the student, the examples and some of what is asked."""
        said = {key: self.asked["said"][key] for key in keys}
        text = json.dumps(dict(self.asked) | {"said": said}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    def has(self, who: str, way: str, subset: Subset) -> bool:
        """Whether a row is there."""
        return any(_key(row) == (who, way, len(subset.rows), subset.seed) for row in self.rows)

    def scores(self, who: str, way: str, labels: int) -> list[float]:
        """The main scores of what is there, one for each draw of the labels."""
        key = (who, way, labels)
        return [row["score"] for row in self.rows if _key(row)[:3] == key]

    def add(
        self,
        who: str,
        way: str,
        subset: Subset,
        scores: Mapping[str, float],
        strength: float | None = None,
    ) -> None:
        """Take in a row, and write it down."""
        row = {
            "who": who,
            "way": way,
            "share": subset.share,
            "labels": len(subset.rows),
            "seed": subset.seed,
            "score": scores[self.asked["by"]],
            "scores": dict(scores),
            "strength": strength,
        }
        self.rows.append(row)
        self.write()

    @property
    def content(self) -> dict[str, Any]:
        """Of the file."""
        return {"format": FORMAT, "asked": self.asked, "rows": self.rows, "notes": self.notes}

    def write(self) -> None:
        """Write all of it; the first process only."""
        if rank() == 0:
            files.write_json(self.path, self.content)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["who"], row["way"], row["labels"], row["seed"]
