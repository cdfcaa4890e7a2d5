"""Probes of records: how good a teacher's vectors are, before any student is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mentee.build.datasets import cache_sources
from mentee.build.overrides import PASSED_PREFIX
from mentee.data import Examples
from mentee.errors import DataError, RecipeError, RunError
from mentee.experiments.embedding_sources import EmbeddingSource, recorded_vectors
from mentee.experiments.pages import write_probe
from mentee.experiments.probe_data import ProbeData, describe, open_probe_data, subsets
from mentee.experiments.probe_results import ProbeResult, ProbeResults
from mentee.experiments.probe_runner import FINETUNING, ProbeRunner
from mentee.files import located, usable
from mentee.locks import folder_lock
from mentee.parallel import rank
from mentee.recipe import Probe, Recipe, read
from mentee.records import Record, open_record
from mentee.records.folders import splits_of
from mentee.records.manifest import has_manifest
from mentee.runs.folder import Folder

HELD_OUT = 0.2
"""The share of the training split that scores the probes where a record has no test split."""


def is_record(path: str | Path) -> bool:
    """Whether a folder holds a record, of one split or of several."""
    folder = located(path)
    return has_manifest(folder) or (folder.is_dir() and bool(splits_of(folder)))


def probe_records(
    paths: Sequence[str | Path],
    data: Any,
    *,
    changes: Sequence[str] = (),
    out: str | Path | None = None,
    say: Callable[[str], None],
) -> ProbeResult:
    """Probe the vectors of records, all on the same examples, the best record first.

    The arguments are those of `probe`.

    Raises:
        MenteeError: a record is not of the data, or these have no labels.
    """
    names = list(dict.fromkeys(str(path) for path in paths))
    wrong = [name for name in names if not is_record(name)]
    if wrong:
        raise DataError(f"{wrong[0]} is no record; records and runs are probed one after the other")
    if data is None or (isinstance(data, (str, Path)) and is_record(data)):
        raise DataError(
            f"{names[0]} is a record, whose labels are in the data that it is of; name them last: "
            "mentee probe RECORD... DATA (in Python: data=...)"
        )
    recipe, config = _read(data, changes)
    file = None if out is None else _file(usable(out))
    train, test = config.train or recipe.data.train, config.test or recipe.data.test
    alone = [] if config.test else [name for name in names if not _has(name, test)]
    held_out = HELD_OUT if alone else 0.0
    train_records = {name: open_record(name, train) for name in names}
    test_records = train_records if alone else {n: open_record(n, str(test)) for n in names}

    def check(split: str, examples: Examples) -> None:
        for record in (train_records if split == "train" else test_records).values():
            record.check(examples)

    passed = data if recipe.data.source.startswith(PASSED_PREFIX) else None
    with cache_sources():
        probe_data = open_probe_data(recipe, config, passed, check=check, held_out=held_out)
    describe(probe_data, say)
    results = ProbeResults(file, _settings(probe_data, config, train_records, test_records))
    if alone:
        results.notes.append(
            f"{', '.join(alone)}: there is no record of a test split, so {HELD_OUT:.0%} of the "
            f"examples of {train} ({len(probe_data.test):,}) were held out to score the probes"
        )
    runner = ProbeRunner(config, probe_data, subsets(probe_data.train, config), results, say)
    for name in names:
        records = {"train": train_records[name], "test": test_records[name]}
        source = EmbeddingSource(name, recorded_vectors(records, probe_data), augmented=False)
        runner.probe_embeddings(source)
    worth = {name: _worth(results, config, name) for name in names}
    results.rows.sort(key=lambda row: worth[row["who"]], reverse=True)
    if file is not None:
        with folder_lock(file.parent):
            results.write()
            if rank() == 0:
                write_probe(Folder(file.parent))
    return ProbeResult(usable(names[0] if out is None else out), results.content)


def _read(data: Any, changes: Sequence[str]) -> tuple[Recipe, Probe]:
    """What the data and the probe are, with changes."""
    wrong = [change for change in changes if not change.startswith(("probe.", "data."))]
    if wrong:
        raise RecipeError(
            f"--set {wrong[0]}: no student is trained; only data.KEY=VALUE and probe.KEY=VALUE "
            "can be set"
        )
    if isinstance(data, (str, Path)) and Path(data).suffix in (".yaml", ".yml"):
        recipe = read(data, changes)
    else:
        named = isinstance(data, (str, Path))
        source = str(data) if named else f"{PASSED_PREFIX}{type(data).__name__}"
        recipe = read({"data": {"source": source}, "student": "resnet8-cifar"}, changes)
    config = recipe.probe or Probe()
    wrong = [way for way in config.ways if way in FINETUNING]
    if wrong:
        raise RecipeError(
            f"probe.ways: {wrong[0]} trains a network, and a record has none; choose of linear, "
            "knn and layer"
        )
    if config.source not in (None, recipe.data.source):
        raise RecipeError(
            f"probe.source={config.source}: the records are of {recipe.data.source}; leave it out"
        )
    return recipe, config


def _file(out: Path) -> Path:
    """Where the results are written."""
    if has_manifest(out):
        raise RunError(f"{out} has the rows of a record and keeps nothing else; choose another out")
    saved = Folder(out).read_probe()
    if saved is not None and "records" not in (saved.get("settings") or {}):
        raise RunError(f"{Folder(out).probe} has the probes of a run; choose another out")
    out.mkdir(parents=True, exist_ok=True)
    return Folder(out).probe


def _has(name: str, split: str | None) -> bool:
    """Whether a record has a subfolder of a split."""
    folder = located(name)
    return split is not None and not has_manifest(folder) and has_manifest(folder / split)


def _settings(
    data: ProbeData, config: Probe, train: dict[str, Record], test: dict[str, Record]
) -> dict[str, Any]:
    """What all rows have in common, and the fingerprints of the records."""
    records = {name: [train[name].fingerprint(), test[name].fingerprint()] for name in train}
    return {**ProbeResults.settings_of(data, config), "records": records}


def _worth(results: ProbeResults, config: Probe, name: str) -> float:
    """The mean score by the first way with the most labels."""
    rows = [row for row in results.rows if (row["who"], row["way"]) == (name, config.ways[0])]
    most = max(row["labels"] for row in rows)
    return float(np.mean(results.scores(name, config.ways[0], most)))
