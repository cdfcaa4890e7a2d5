"""The random inputs of the fuzz campaign: valid ones, nearly valid ones, and any bytes."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st

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


counts = st.integers(1, 10_000)
words = st.sampled_from(["x", "an image", "010", "yes", "1:30", "null", "\u00e9", "a b", "[a]"])
shares = st.floats(1e-6, 0.999)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "data.source": words,
    "data.train": words,
    "data.validation": st.none() | shares | words,
    "data.limit": st.none() | counts,
    "data.label": st.just(False) | words | st.lists(words, min_size=1, max_size=3),
    "data.classes": st.lists(words, min_size=2, unique=True),
    "data.views": st.sampled_from(["none", "crop", "random-resized-crop"]),
    "data.pad": st.integers(0, 64),
    "data.seconds": st.floats(0.01, 14_400),
    "data.max_bytes": counts,
    "data.out_of_domain": st.dictionaries(
        words, st.fixed_dictionaries({"corruption": st.just("all"), "severity": st.integers(1, 5)})
    ),
    "data.seed": st.integers(0, 2**63 - 1),
    "student": st.sampled_from(["resnet8-cifar", "vgg8"]),
    "student.options": st.fixed_dictionaries(
        {"widths": st.lists(st.integers(1, 64), min_size=3, max_size=3)}
    ),
    "student.weights": words,
    "teacher": st.one_of(
        st.just("resnet20-cifar"),
        st.dictionaries(words, words, min_size=1).map(lambda each: {"record": each}),
        st.just({"teachers": {"a": "vgg8", "b": {"record": "x"}}, "weights": {"a": 2}}),
    ),
    "method": st.one_of(
        st.sampled_from(["none", "kd", "crd+kd", "cktf"]),
        st.floats(0.1, 20).map(lambda t: {"name": "kd", "params": {"kl.temperature": t}}),
        st.floats(0, 9).map(lambda weight: {"name": "kd", "weights": {"task": weight}}),
    ),
    "train.epochs": counts,
    "train.batch": st.integers(2, 512),
    "train.lr": st.none() | st.floats(1e-6, 10),
    "train.momentum": shares,
    "train.optimizer": st.sampled_from(["sgd", "adamw", None]),
    "train.schedule": st.sampled_from(["constant", "cosine", "one-cycle"]),
    "train.milestones": st.lists(counts, unique=True).map(sorted),
    "train.mixup": st.floats(0.01, 2),
    "train.class_weights": st.dictionaries(words, st.floats(0, 9)),
    "train.seed": st.integers(0, 2**63 - 1),
    "monitor": st.fixed_dictionaries({"limit": st.none() | counts, "probe": st.booleans()}),
    "probe.shares": st.lists(shares, min_size=1, max_size=3, unique=True),
    "select.patience": st.none() | counts,
    "select.by": st.sampled_from([None, "accuracy", "map", "recall/x"]),
    "save.minutes": st.none() | st.floats(0.1, 100),
    "trackers": st.just(["tensorboard"]),
}
"""Keys with the values that a recipe may have there."""
valid_changes = st.sampled_from(list(VALUES)).flatmap(
    lambda key: st.tuples(st.just(key), VALUES[key])
)


def mostly(good: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Two of three examples of the first."""
    return st.sampled_from([good, good, other]).flatmap(lambda chosen: chosen)


def filled(changes: list[tuple[str, Any]]) -> dict[str, Any]:
    """A small recipe with these keys set."""
    made: dict[str, Any] = {"data": {"source": "x"}, "student": {"network": "resnet8-cifar"}}
    for key, value in changes:
        *above, last = key.split(".")
        part = made
        for name in above:
            inner = part.get(name)
            part[name] = dict(inner) if isinstance(inner, dict) else {}
            part = part[name]
        part[last] = value
    return made


PLAIN_ROWS = [
    "some text,a",
    "\u00e9,b",
    '"a ""quoted"" text",a',
    '"two\nlines",b',
    "  ,a",
    "no label,",
]


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
    good = st.lists(st.sampled_from(PLAIN_ROWS), min_size=1, max_size=8).map(
        lambda lines: "\n".join(["text,label", *lines]).replace(",", separator).encode()
    )
    return st.one_of(good, damaged(good), made, damaged(made), st.binary(max_size=60))


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
    plain = st.fixed_dictionaries({"text": texts, "label": st.sampled_from(["a", "b", None])})
    good = st.lists(plain.map(json.dumps), min_size=1, max_size=8).map(
        lambda each: "\n".join(each).encode()
    )
    return st.one_of(good, damaged(good), made, damaged(made))


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


def picture() -> bytes:
    """A small PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "png")
    return out.getvalue()


floats = st.lists(st.floats(-9, 9, width=16), min_size=12, max_size=12)
shapes = st.sampled_from([(3, 4), (4, 3), (2, 3, 2), (12, 1), (1, 12)])
vector_arrays = st.builds(
    lambda numbers, shape, kind: np.array(numbers).reshape(shape).astype(kind),
    floats,
    shapes,
    st.sampled_from(["f4", "f8", "f2", "i8"]),
)
npy = st.one_of(
    vector_arrays.map(saved),
    arrays().map(saved),
    damaged(st.one_of(vector_arrays, arrays()).map(saved)),
)
names = st.sampled_from(["vectors", "id", "ids", "x", "../x", "a/b"])
with_ids = vector_arrays.map(
    lambda array: zipped(
        {"vectors": saved(array), "id": saved(np.array([f"id {i}" for i in range(len(array))]))}
    )
)
npz = st.one_of(with_ids, with_ids, st.dictionaries(names, npy, max_size=3).map(zipped))
number_rows = st.builds(
    lambda width, names, numbers: "\n".join(
        [
            ",".join(["id", *(f"x{i}" for i in range(width))]),
            *(",".join([name, *map(repr, numbers[:width])]) for name in names),
        ]
    ).encode(),
    st.integers(1, 4),
    st.lists(
        st.one_of(st.sampled_from(["007", "a", "\u00e9", '"b, c"']), texts), min_size=1, max_size=5
    ),
    st.lists(st.one_of(st.floats(width=32), st.integers(-9, 9)), min_size=4, max_size=4),
)
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
odd_tables = st.dictionaries(columns, cells, min_size=1, max_size=4)
contents = {"text": texts, "image": st.just({"bytes": picture(), "path": None})}
good_tables = st.sampled_from(list(contents)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {
            kind: st.lists(contents[kind], min_size=3, max_size=3),
            "label": st.lists(st.integers(0, 2), min_size=3, max_size=3),
        }
    )
)

changes = st.tuples(st.sampled_from(KEYS), trees)
valid = st.lists(valid_changes, max_size=6)
nearly = st.builds(lambda some, odd: [*some, odd], valid, changes)
recipes = st.builds(
    lambda some, flow, width: yaml.safe_dump(
        filled(some), default_flow_style=flow, width=width, allow_unicode=width < 40
    ).encode("utf-8", "surrogatepass"),
    mostly(valid, nearly),
    st.sampled_from([True, False, None]),
    st.sampled_from([8, 80]),
)
odd_recipes = st.one_of(
    st.text(max_size=80),
    trees.map(lambda tree: "data: embedded:digits\nstudent: resnet8-cifar\nx: " + repr(tree)),
    st.lists(
        st.sampled_from(["data", "student", "train", "lr", ":", " ", "\n", "- ", "&a ", "*a", "{", "}", "[", "]", ",", "!!", "<<", "'", '"', "|", "?", "%", "1", "\t", "#"]),
        max_size=40,
    ).map("".join),
).map(lambda text: text.encode("utf-8", "surrogatepass"))  # fmt: skip
label_columns = st.one_of(
    st.lists(st.sampled_from(["cat", "dog", "b|c", None]), min_size=2, max_size=8),
    st.lists(st.integers(0, 3), min_size=2, max_size=8),
    st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=2), min_size=2, max_size=6),
    st.lists(scalars, max_size=8),
    st.lists(st.integers(-3, 5), max_size=8),
    st.lists(st.floats(), max_size=8),
    st.lists(st.lists(st.one_of(st.integers(-1, 2), st.floats()), min_size=2, max_size=2), max_size=6),
    st.lists(trees, max_size=5),
    arrays(),
)  # fmt: skip
