"""Tables of texts and parquet files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import picture, table


def trained(
    name: str, prepare: Callable[[Path], Any], source: str = "texts", *changes: str
) -> Case:
    """Train on a table that is changed first."""
    changes = (f"data.source={source}", *changes)
    more = [part for change in changes for part in ("--set", change)]
    return Case(f"tables/{name}", ["train", "texts.yaml", "--out", "new", *more], prepare)


def csv(name: str, content: str | bytes, *changes: str) -> Case:
    """The training table, replaced."""

    def prepare(box: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (box / "texts/train.csv").write_bytes(data)

    return trained(name, prepare, "texts", *changes)


def other(name: str, suffix: str, content: str | bytes) -> Case:
    """A single table of another format."""

    def prepare(box: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (box / f"table{suffix}").write_bytes(data)

    return trained(name, prepare, f"table{suffix}", "data.test=null")


def parquet(name: str, columns: Callable[[Path], dict[str, Any]], *changes: str) -> Case:
    """A parquet file of these columns."""

    def prepare(box: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        (box / "pq").mkdir()
        made = columns(box)
        pq.write_table(made if isinstance(made, pa.Table) else pa.table(made), box / "pq/t.parquet")

    student = () if any("student" in change for change in changes) else ("student=resnet8-cifar",)
    return trained(
        f"parquet, {name}", prepare, "pq/t.parquet", "data.test=null", *student, *changes
    )


def rows(count: int = 24, label: Callable[[int], Any] = lambda i: "ab"[i % 2]) -> str:
    """Lines of a table."""
    return "text,label\n" + "".join(f"text {i},{label(i)}\n" for i in range(count))


def pictures(box: Path, change: Callable[[int, bytes], Any] = lambda i, b: {"bytes": b, "path": None}) -> dict[str, Any]:  # fmt: skip
    """Columns of images."""
    data = (box / "photos/train/cat/0.png").read_bytes()
    return {"image": [change(i, data) for i in range(24)], "label": [i % 2 for i in range(24)]}


def duplicated(box: Path) -> Any:
    """Two columns of one name."""
    import pyarrow as pa

    made = pa.table(pictures(box))
    return made.append_column("label", made["label"])


CASES = [
    csv("empty", ""),
    csv("a header alone", "text,label\n"),
    csv("one row", "text,label\na,b\n"),
    csv("one class", rows(label=lambda i: "a")),
    csv("no label column", "text,other\n" + "x,y\n" * 24),
    csv("no text column", "words,label\n" + "x,y\n" * 24),
    csv("labels are empty", rows(label=lambda i: "")),
    csv("some labels are empty", rows(label=lambda i: "ab"[i % 2] if i > 3 else "")),
    csv("labels are NaN", rows(label=lambda i: "nan")),
    csv("labels of 2^62", rows(label=lambda i: i % 2 * 2**62)),
    csv("labels of 400 digits", rows(label=lambda i: "9" * 400 if i % 2 else "1")),
    csv("labels are infinite", rows(label=lambda i: "inf" if i % 2 else "1.5")),
    csv("a class each", rows(label=lambda i: f"class {i}")),
    csv("columns twice", "text,label,label\n" + "x,a,b\n" * 24),
    csv("a column without a name", ",label\n" + "x,a\n" * 24),
    csv("short rows", "text,label\n" + "x\n" * 24),
    csv("long rows", "text,label\n" + "x,a,b,c\n" * 24),
    csv("an unclosed quote", 'text,label\n"x,a\n' + "x,a\n" * 24),
    csv("NUL", "text,label\n" + "x\0y,a\n" * 24),
    csv("latin-1", ("text,label\n" + "caf\u00e9,a\n" * 24).encode("latin-1")),
    csv("UTF-16", rows().encode("utf-16")),
    csv("binary", bytes(range(256)) * 20),
    csv("a cell of 200,000 letters", rows() + "x" * 200_000 + ",a\n"),
    csv("a cell of 5 MB", rows() + "x" * 5_000_000 + ",a\n"),
    csv("an empty text", rows() + ",a\n"),
    csv("ids twice", "id,text,label\n" + "1,x,a\n2,y,b\n" * 12),
    csv("ids are empty", "id,text,label\n" + ",x,a\n,y,b\n" * 12),
    csv("a formula", rows(label=lambda i: '=cmd|" /C calc"!A0' if i % 2 else "b")),
    csv("label column 5", rows(), "data.label=5"),
    csv("label columns missing", rows(), "data.label=[a, b]"),
    csv("label columns of words", "text,a,b\n" + "x,yes,no\n" * 24, "data.label=[a, b]"),
    csv("label column is the text", rows(), "data.label=text"),
    csv("classes that are not there", rows(), "data.classes=[x, y]"),
    csv("classes twice", rows(), "data.classes=[a, a, b]"),
    csv("classes in another case", rows(), "data.classes=[A, B]"),
    csv("regression of words", rows(), "data.task=regression"),
    csv("regression of NaN", rows(label=lambda i: "nan" if i == 3 else i), "data.task=regression"),
    csv("regression of inf", rows(label=lambda i: "inf" if i == 3 else i), "data.task=regression"),
    csv("regression of one value", rows(label=lambda i: 1), "data.task=regression"),
    csv("several of negative", rows(label=lambda i: -1), "data.task=multi"),
    other("TSV with commas", ".tsv", rows()),
    other("JSON lines, cut", ".jsonl", '{"text": "a", "label": "b"}\n{"text": "a", "la'),
    other("JSON lines of lists", ".jsonl", "[1, 2]\n" * 24),
    other("JSON lines of numbers", ".jsonl", "1\n" * 24),
    other("JSON lines of other keys", ".jsonl", '{"text": "a", "label": 1}\n{"x": 2}\n' * 12),
    other("JSON lines, deep", ".jsonl", "[" * 100_000),
    other("JSON lines of NaN", ".jsonl", '{"text": "a", "label": NaN}\n' * 24),
    other("JSON lines of 5,000 digits", ".jsonl", f'{{"text": "a", "label": {"9" * 5000}}}\n' * 3),
    other("an unknown suffix", ".xlsx", b"PK"),
    other("text as parquet", ".parquet", "hello"),
    other("empty parquet", ".parquet", b""),
    other("parquet magic alone", ".parquet", b"PAR1" + bytes(100) + b"PAR1"),
    parquet("no rows", lambda box: {"image": [], "label": []}),
    parquet("no columns", lambda box: {}),
    parquet("no images", lambda box: {"label": [0, 1] * 12}),
    parquet("columns twice", duplicated),
    parquet("images are empty", lambda box: pictures(box, lambda i, b: {"bytes": b"", "path": None})),
    parquet("images are null", lambda box: pictures(box, lambda i, b: None if i == 3 else {"bytes": b, "path": None})),
    parquet("images are text", lambda box: pictures(box, lambda i, b: {"bytes": b"hello", "path": None})),
    parquet("images are numbers", lambda box: {"image": list(range(24)), "label": [0, 1] * 12}),
    parquet("path upwards", lambda box: pictures(box, lambda i, b: {"bytes": None, "path": "../outside/canary.png"})),
    parquet("path outside", lambda box: pictures(box, lambda i, b: {"bytes": None, "path": str(box / "outside/canary.png")})),
    parquet("path of a device", lambda box: pictures(box, lambda i, b: {"bytes": None, "path": "/dev/zero"})),
    parquet("path of passwd", lambda box: pictures(box, lambda i, b: {"bytes": None, "path": "/etc/passwd"})),
    parquet("path to nowhere", lambda box: pictures(box, lambda i, b: {"bytes": None, "path": "nowhere.png"})),
    parquet("labels are null", lambda box: pictures(box) | {"label": [None] * 24}),
    parquet("labels are lists", lambda box: pictures(box) | {"label": [[1], [1, 2]] * 12}),
    parquet("labels are structs", lambda box: pictures(box) | {"label": [{"a": 1}] * 24}),
    parquet("labels are dates", lambda box: pictures(box) | {"label": __import__("datetime").date(2020, 1, 1)} if False else pictures(box) | {"label": [__import__("datetime").date(2020, 1, 1 + i % 2) for i in range(24)]}),
    parquet("labels of 2^62", lambda box: pictures(box) | {"label": [0, 2**62] * 12}),
    parquet("labels of 50,000,000", lambda box: pictures(box) | {"label": [0, 50_000_000] * 12}),
    parquet("text is a number", lambda box: {"text": list(range(24)), "label": [0, 1] * 12}, "student=hashed-bag-small"),
    parquet("text is null", lambda box: {"text": ["a", None] * 12, "label": [0, 1] * 12}, "student=hashed-bag-small"),
    trained("a folder of two formats", lambda box: (box / "texts/train.tsv").write_text("text\tlabel\nx\ta\n"), "texts"),
    trained("test has other classes", lambda box: table(box / "texts/test.csv", ("text", "label"), [("x", "z")] * 12), "texts"),
    trained("test has other columns", lambda box: table(box / "texts/test.csv", ("x", "y"), [("x", "z")] * 12), "texts"),
    trained("a link outside", lambda box: ((box / "texts/train.csv").unlink(), (box / "texts/train.csv").symlink_to(box / "outside/canary.txt")), "texts"),
    trained("a link to /dev/zero", lambda box: ((box / "texts/train.csv").unlink(), (box / "texts/train.csv").symlink_to("/dev/zero")), "texts"),
    trained("a glob of nothing", lambda box: None, "texts/no*.csv"),
    trained("a glob of two kinds", lambda box: picture(box / "texts/x.png", 0), "texts/*"),
]  # fmt: skip
