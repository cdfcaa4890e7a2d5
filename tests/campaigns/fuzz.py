"""Random recipes, ids, tables, vectors and labels: nothing but the project's own errors may come.

    python -m tests.campaigns.fuzz --examples 10000      # over all, shared equally
    python -m tests.campaigns.fuzz --only csv --examples 3000 --seed 7

Prints a line for each kind, and one of totals.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mentee.errors import MenteeError

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
texts = st.text(max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    texts,
    st.sampled_from(["", "nan", "NaN", "inf", "-1", "1e5", "010", "1:30", "yes", "~", " 1", "1.0"]),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
KEYS = [
    "data.source",
    "data.validation",
    "data.test",
    "data.limit",
    "data.label",
    "data.classes",
    "data.task",
    "data.views",
    "data.pad",
    "data.size",
    "data.seconds",
    "data.sample_rate",
    "data.max_bytes",
    "data.out_of_domain",
    "data.unlabeled",
    "data.channels",
    "student",
    "student.network",
    "student.options",
    "student.options.widths",
    "student.input",
    "student.weights",
    "student.reuse",
    "teacher",
    "teacher.record",
    "teacher.networks",
    "teacher.teachers",
    "teacher.ema",
    "method",
    "method.name",
    "method.terms",
    "method.params",
    "method.weights",
    "train.epochs",
    "train.lr",
    "train.seed",
    "train.batch",
    "train.schedule",
    "train.milestones",
    "train.mixup",
    "train.num_workers",
    "monitor",
    "probe",
    "probe.shares",
    "select.by",
    "select.patience",
    "save.minutes",
    "trackers",
]


def written(name: str, content: bytes) -> Path:
    """A file of this content."""
    path = FOLDER / name
    path.write_bytes(content)
    return path


# ---- recipes


def recipe_text(text: str) -> None:
    """Any text as a recipe."""
    from mentee.recipe import read

    path = written("recipe.yaml", text.encode("utf-8", "surrogatepass"))
    read(path)


def recipe_change(change: tuple[str, str]) -> None:
    """Any `--set`; what is read is dumped and read again as the same."""
    from mentee.recipe import dump, read

    small = {"data": "embedded:digits", "student": "resnet8-cifar"}
    recipe = read(small, [f"{change[0]}={change[1]}"])
    path = written("dumped.yaml", dump(recipe).encode())
    assert read(path) == recipe


def recipe_mapping(content: tuple[list[tuple[str, Any]], bool]) -> None:
    """Any value under keys that there are, from Python."""
    from mentee.recipe import read

    made: dict[str, Any] = {"data": {"source": "x"}, "student": {"network": "resnet8-cifar"}}
    for key, value in content[0]:
        *above, last = key.split(".")
        part = made
        for name in above:
            inner = part.get(name)
            part[name] = dict(inner) if isinstance(inner, dict) else {}
            part = part[name]
        part[last] = value
    read(made)


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


# ---- strategies of bytes


def rows(separator: str) -> st.SearchStrategy[bytes]:
    """Lines that look like a table, or nearly."""
    cell = st.one_of(texts, scalars.map(str), st.just('"'), st.just("\0"))
    line = st.lists(cell, max_size=4).map(separator.join)
    head = st.sampled_from(["text,label", "text,label,label", "id,text,label", "text", "", "a,b"])
    lines = st.tuples(head.map(lambda h: h.replace(",", separator)), st.lists(line, max_size=8))
    encoding = st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])
    made = st.builds(
        lambda parts, code: "\n".join([parts[0], *parts[1]]).encode(code, "surrogatepass"),
        lines,
        encoding,
    )
    return st.one_of(made, damaged(made), st.binary(max_size=60))


def damaged(content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same, cut or with other bytes."""

    def change(data: bytes, at: float, new: bytes, cut: bool) -> bytes:
        place = int(at * len(data))
        return data[:place] if cut else data[:place] + new + data[place + len(new) :]

    return st.builds(
        change, content, st.floats(0, 1), st.binary(min_size=1, max_size=3), st.booleans()
    )


def json_lines() -> st.SearchStrategy[bytes]:
    """Lines of JSON, or nearly."""
    row = st.fixed_dictionaries({"text": scalars, "label": scalars}, optional={"x": trees})
    line = st.one_of(row.map(json.dumps), trees.map(json.dumps), texts)
    made = st.lists(line, max_size=8).map(
        lambda each: "\n".join(each).encode("utf-8", "surrogatepass")
    )
    return st.one_of(made, damaged(made))


DTYPES = st.sampled_from(["f4", "f8", "f2", "i8", "u1", "?", "c8", "U4", "S3", "M8[s]", "V3"])


def arrays() -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """Small arrays of any type and shape."""
    shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
    return st.builds(lambda shape, kind: np.zeros(shape, kind), shapes, DTYPES)


def saved(array: Any) -> bytes:
    """The bytes of an .npy."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """The bytes of an archive."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return out.getvalue()


npy = st.one_of(arrays().map(saved), damaged(arrays().map(saved)))
names = st.sampled_from(["vectors", "id", "ids", "x", "../x", "a/b"])
npz = st.dictionaries(names, npy, max_size=3).map(zipped)
cells = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.floats(), min_size=3, max_size=3),
    st.lists(texts, min_size=3, max_size=3),
    st.lists(st.none(), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=3, max_size=3),
    st.lists(st.binary(max_size=9), min_size=3, max_size=3),
    st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=3, max_size=3),
    st.lists(st.fixed_dictionaries({"bytes": st.binary(max_size=9), "path": texts}), min_size=3, max_size=3),
)  # fmt: skip
columns = st.sampled_from(["image", "text", "label", "id", "audio", "x"])

yaml_texts = st.one_of(
    st.text(max_size=80),
    trees.map(lambda tree: "data: embedded:digits\nstudent: resnet8-cifar\nx: " + repr(tree)),
    st.lists(
        st.sampled_from(["data", "student", "train", "lr", ":", " ", "\n", "- ", "&a ", "*a", "{", "}", "[", "]", ",", "!!", "<<", "'", '"', "|", "?", "%", "1", "\t", "#"]),
        max_size=40,
    ).map("".join),
)  # fmt: skip
label_columns = st.one_of(
    st.lists(scalars, max_size=8),
    st.lists(st.integers(-3, 5), max_size=8),
    st.lists(st.floats(), max_size=8),
    st.lists(st.lists(st.one_of(st.integers(-1, 2), st.floats()), min_size=2, max_size=2), max_size=6),
    st.lists(trees, max_size=5),
    arrays(),
)  # fmt: skip

KINDS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = {
    "yaml": (recipe_text, yaml_texts),
    "set": (recipe_change, st.tuples(st.sampled_from(KEYS), st.one_of(trees.map(repr), texts))),
    "mapping": (
        recipe_mapping,
        st.tuples(st.lists(st.tuples(st.sampled_from(KEYS), trees), max_size=3), st.booleans()),
    ),
    "ids": (ids, st.lists(st.text(max_size=6), max_size=8)),
    "labels": (labels, label_columns),
    "csv": (table(".csv"), rows(",")),
    "tsv": (table(".tsv"), rows("\t")),
    "jsonl": (table(".jsonl"), json_lines()),
    "parquet": (parquet, st.dictionaries(columns, cells, min_size=1, max_size=4)),
    "npy": (vectors(".npy"), npy),
    "npz": (vectors(".npz"), st.one_of(npz, damaged(npz))),
    "vectors-csv": (vectors(".csv"), rows(",")),
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
        print(f"{kind}: {counts} in {time.monotonic() - start:.0f} s", flush=True)
    print(
        f"{total} examples of {len(kinds)} kinds, seed {options.seed}: {faults} with a fault, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
