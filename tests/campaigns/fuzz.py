"""Random recipes, ids, tables, vectors and labels: nothing but the project's own errors may come.

    python -m tests.campaigns.fuzz --examples 10000      # over all, shared equally
    python -m tests.campaigns.fuzz --only csv --examples 3000 --seed 7

Prints a line for each kind, and one of totals.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError
from tests.campaigns.strategies import (
    KEYS,
    changes,
    damaged,
    filled,
    good_tables,
    json_lines,
    label_columns,
    mostly,
    nearly,
    npy,
    npz,
    number_rows,
    odd_recipes,
    odd_tables,
    recipes,
    rows,
    texts,
    trees,
    valid,
    valid_changes,
)

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def written(name: str, content: bytes) -> Path:
    """A file of this content."""
    path = FOLDER / name
    path.write_bytes(content)
    return path


# ---- recipes


def recipe_text(content: bytes) -> None:
    """Any text as a recipe; what is read is dumped and read again as the same."""
    from mentee.recipe import dump, read

    recipe = read(written("recipe.yaml", content))
    assert read(written("dumped.yaml", dump(recipe).encode())) == recipe


def recipe_change(change: tuple[str, str]) -> None:
    """Any `--set`; what is read is dumped and read again as the same."""
    from mentee.recipe import dump, read

    small = {"data": "embedded:digits", "student": "resnet8-cifar"}
    recipe = read(small, [f"{change[0]}={change[1]}"])
    path = written("dumped.yaml", dump(recipe).encode())
    assert read(path) == recipe


def recipe_mapping(changes: list[tuple[str, Any]]) -> None:
    """Any value under keys that there are, from Python."""
    from mentee.recipe import read

    read(filled(changes))


# ---- ids, labels


def ids(values: list[str]) -> None:
    """Any texts as ids: the keys of a permutation are the permuted keys."""
    from mentee.data.counter_rng import hash_ids

    keys = hash_ids(values)
    assert len(set(keys.tolist())) == len(values)
    assert hash_ids(values[::-1])[::-1].tolist() == keys.tolist()


def labels(values: list[Any]) -> None:
    """Any column as labels: as many as there are, in the range of the classes."""
    from mentee.tasks import read_labels

    made = read_labels(values)
    assert len(made.values) == len(values)


# ---- readers


def table(suffix: str) -> Callable[[bytes], None]:
    """Any bytes as a table of texts."""

    def read(content: bytes) -> None:
        from mentee.data import open_examples

        examples = open_examples(str(written(f"table{suffix}", content)))
        assert len(examples.ids) == len(examples)
        examples.read(np.arange(len(examples)))

    return read


def parquet(columns: dict[str, list[Any]]) -> None:
    """Any columns in a parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mentee.data import open_examples

    try:
        made = pa.table(columns)
        pq.write_table(made, FOLDER / "t.parquet")
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return  # no parquet file holds them
    examples = open_examples(str(FOLDER / "t.parquet"))
    examples.read(np.arange(len(examples)))


def vectors(suffix: str) -> Callable[[bytes], None]:
    """Any bytes as a file of vectors."""

    def read(content: bytes) -> None:
        from mentee.records.importing import VectorNames, read_vectors

        names = VectorNames(id="id", columns=None, key=None, ids=None)
        read_vectors(written(f"vectors{suffix}", content), names)

    return read


KINDS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = {
    "yaml": (recipe_text, mostly(recipes, st.one_of(damaged(recipes), odd_recipes))),
    "set": (
        recipe_change,
        mostly(
            valid_changes.map(lambda pair: (pair[0], json.dumps(pair[1]))),
            st.tuples(st.sampled_from(KEYS), st.one_of(trees.map(repr), texts)),
        ),
    ),
    "mapping": (recipe_mapping, mostly(valid, st.one_of(nearly, st.lists(changes, max_size=3)))),
    "ids": (ids, st.lists(st.text(max_size=6), max_size=8)),
    "labels": (labels, label_columns),
    "csv": (table(".csv"), rows(",")),
    "tsv": (table(".tsv"), rows("\t")),
    "jsonl": (table(".jsonl"), json_lines()),
    "parquet": (parquet, mostly(good_tables, odd_tables)),
    "npy": (vectors(".npy"), npy),
    "npz": (vectors(".npz"), st.one_of(npz, damaged(npz))),
    "vectors-csv": (vectors(".csv"), st.one_of(number_rows, damaged(number_rows), rows(","))),
}


def fuzz(kind: str, examples: int, number: int | None = None) -> dict[str, int]:
    """Try a kind; any error but the project's own ends in hypothesis's smallest example of it.

    Args:
        kind: a key of `KINDS`.
        examples: how many.
        number: of the random examples; None: always the same ones.

    Returns:
        How many were read and refused.
    """
    target, strategy = KINDS[kind]
    counts = {"read": 0, "refused": 0}

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=number is None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(value: Any) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                target(value)
            counts["read"] += 1
        except MenteeError as error:
            text = str(error)
            counts["refused"] += 1
        else:
            return
        assert 0 < len(text.strip()) < 20_000

    (run if number is None else seed(number)(run))()
    return counts


def main() -> int:
    """Fuzz all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=10_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=KINDS)
    options = parser.parse_args()
    kinds = [options.only] if options.only else list(KINDS)
    each, began, total, faults = -(-options.examples // len(kinds)), time.monotonic(), 0, 0
    shares = []
    for kind in kinds:
        start = time.monotonic()
        try:
            counts = fuzz(kind, each, options.seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults += 1
            note = " ".join(getattr(error, "__notes__", []))
            print(
                f"FAULT {kind}: {type(error).__name__}: {str(error)[:300]} {note[:600]}", flush=True
            )
            continue
        total += sum(counts.values())
        shares.append(f"{kind} {counts['read'] / sum(counts.values()):.0%}")
        print(f"{kind}: {counts} in {time.monotonic() - start:.0f} s", flush=True)
    print(
        f"{total} examples of {len(kinds)} kinds, seed {options.seed}: {faults} with a fault, "
        f"{time.monotonic() - began:.0f} s; read: {', '.join(shares)}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
