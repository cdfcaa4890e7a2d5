"""Vectors to import and records, damaged or of other types."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import Bomb, change_json

IMPORT = ["record", "import"]


def vectors(name: str, suffix: str, write: Callable[[Path], Any], *more: str) -> Case:
    """Import a file of vectors."""
    argv = [*IMPORT, f"bad{suffix}", "embedded:digits", "--out", "rec", *more]
    return Case(f"vectors/{name}", argv, lambda box: write(box / f"bad{suffix}"))


def record(name: str, prepare: Callable[[Path], Any], *argv: str) -> Case:
    """Train from a damaged record."""
    command = list(argv) or ["train", "ec.yaml", "--out", "new"]
    return Case(f"record/{name}", command, lambda box: prepare(box / "record/train"))


def manifest(name: str, change: Any) -> Case:
    """Train from a record whose manifest is changed."""
    return record(name, lambda folder: change_json(folder / "manifest.json", change))


def array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """The shard's numbers, changed, with a checksum that is right again."""

    def prepare(folder: Path) -> None:
        shard = folder / "clean/shard-00000.npy"
        np.save(shard, change(np.load(shard)))

        def right(content: dict[str, Any]) -> dict[str, Any]:
            from mentee.records.manifest import checksum

            part = content["parts"][0]["shards"][0]
            part["bytes"], part["checksum"] = os.path.getsize(shard), checksum(shard)
            return content

        change_json(folder / "manifest.json", right)

    return prepare


def zipped(**members: bytes) -> Callable[[Path], None]:
    """An archive of these members."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name.replace("__", "."), data)

    return write


def npy(values: Any) -> bytes:
    """The bytes of an .npy file."""
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def zip_bomb(path: Path) -> None:
    """A gigabyte of zeros in a megabyte."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 10)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("vectors.npy", "w", force_zip64=True) as out:  # fmt: skip
        out.write(header.getvalue())
        for _ in range(4096):
            out.write(bytes(1 << 20))


def header(shape: tuple[int, ...], descr: str = "<f4") -> Callable[[Path], None]:
    """An .npy header of this shape without the numbers."""

    def write(path: Path) -> None:
        with path.open("wb") as out:
            content = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, content)

    return write


def objects(path: Path) -> None:
    """An .npy of pickled objects."""
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)


def safetensors(header_text: str) -> Callable[[Path], None]:
    """A safetensors file with this header."""

    def write(path: Path) -> None:
        data = header_text.encode()
        path.write_bytes(len(data).to_bytes(8, "little") + data)

    return write


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A key of the manifest replaced."""
    return lambda content: {**content, key: value}


ROWS = 1297

CASES = [
    vectors("empty npy", ".npy", lambda path: path.write_bytes(b"")),
    vectors("text as npy", ".npy", lambda path: path.write_text("hello")),
    vectors("objects", ".npy", objects, "--in-order"),
    vectors("header of 10^15 rows", ".npy", header((10**15, 4)), "--in-order"),
    vectors("header of negative rows", ".npy", header((-5, 4)), "--in-order"),
    vectors("header without numbers", ".npy", header((ROWS, 4)), "--in-order"),
    vectors("texts", ".npy", lambda path: np.save(path, np.array(["a"] * ROWS)), "--in-order"),
    vectors("dates", ".npy", lambda path: np.save(path, np.zeros(ROWS, "M8[D]")), "--in-order"),
    vectors("complex", ".npy", lambda path: np.save(path, np.zeros((ROWS, 4), complex)), "--in-order"),
    vectors("a scalar", ".npy", lambda path: np.save(path, np.float32(3)), "--in-order"),
    vectors("one axis", ".npy", lambda path: np.save(path, np.zeros(ROWS)), "--in-order"),
    vectors("five axes", ".npy", lambda path: np.save(path, np.zeros((ROWS, 1, 1, 1, 1))), "--in-order"),
    vectors("no columns", ".npy", lambda path: np.save(path, np.zeros((ROWS, 0))), "--in-order"),
    vectors("no rows", ".npy", lambda path: np.save(path, np.zeros((0, 4))), "--in-order"),
    vectors("too few rows", ".npy", lambda path: np.save(path, np.ones((5, 4))), "--in-order"),
    vectors("NaN", ".npy", lambda path: np.save(path, np.full((ROWS, 4), np.nan)), "--in-order"),
    vectors("infinite", ".npy", lambda path: np.save(path, np.full((ROWS, 4), np.inf)), "--in-order"),
    vectors("1e300", ".npy", lambda path: np.save(path, np.full((ROWS, 4), 1e300)), "--in-order"),
    vectors("constant", ".npy", lambda path: np.save(path, np.ones((ROWS, 4))), "--in-order"),
    vectors("no ids", ".npy", lambda path: np.save(path, np.ones((ROWS, 4)))),
    vectors("pickle as npy", ".npy", lambda path: path.write_bytes(pickle.dumps(Bomb())), "--in-order"),
    vectors("pickle as npz", ".npz", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    vectors("text as npz", ".npz", lambda path: path.write_text("hello")),
    vectors("cut npz", ".npz", lambda path: path.write_bytes((path.parent / "vectors.npz").read_bytes()[:5000])),
    vectors("an empty npz", ".npz", zipped()),
    vectors("npz of texts", ".npz", zipped(a__txt=b"hello")),
    vectors("npz of a path", ".npz", zipped(**{"../../evil__npy": npy(np.ones((3, 4)))})),
    vectors("npz of two arrays", ".npz", lambda path: np.savez(path, a=np.ones((3, 4)), b=np.ones((3, 4)))),
    vectors("npz of objects", ".npz", lambda path: np.savez(path, vectors=np.array([Bomb()], object), allow_pickle=True)),
    vectors("zip bomb", ".npz", zip_bomb, "--in-order"),
    vectors("ids twice", ".npz", lambda path: np.savez(path, vectors=np.ones((3, 4)), id=np.array(["a", "a", "b"]))),
    vectors("ids of others", ".npz", lambda path: np.savez(path, vectors=np.ones((3, 4)), id=np.array(["a", "c", "b"]))),
    vectors("ids are floats", ".npz", lambda path: np.savez(path, vectors=np.ones((3, 4)), id=np.array([0.1, 0.2, np.nan]))),
    vectors("fewer ids", ".npz", lambda path: np.savez(path, vectors=np.ones((3, 4)), id=np.array(["a"]))),
    vectors("header of 2^60", ".safetensors", lambda path: path.write_bytes((2**60).to_bytes(8, "little"))),
    vectors("header is no JSON", ".safetensors", safetensors("hello")),
    vectors("header of lists", ".safetensors", safetensors("[]")),
    vectors("tensors overlap", ".safetensors", safetensors('{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}')),
    vectors("float8", ".safetensors", lambda path: path.write_bytes((lambda h: len(h).to_bytes(8, "little") + h + bytes(12))(b'{"vectors": {"dtype": "F8_E4M3", "shape": [3, 4], "data_offsets": [0, 12]}}')), "--in-order"),
    vectors("CSV of words", ".csv", lambda path: path.write_text("id,a,b\n" + "x,y,z\n" * 5)),
    vectors("CSV without ids", ".csv", lambda path: path.write_text("a,b\n" + "1,2\n" * 5)),
    vectors("CSV, columns twice", ".csv", lambda path: path.write_text("id,a,a\n" + "x,1,2\n" * 5)),
    vectors("CSV, empty", ".csv", lambda path: path.write_text("")),
    vectors("CSV with gaps", ".csv", lambda path: path.write_text("id,a,b\nx,1,\n")),
    vectors("text as parquet", ".parquet", lambda path: path.write_text("hello")),
    vectors("another suffix", ".bin", lambda path: path.write_bytes(b"hello")),
    vectors("pickle", ".pkl", lambda path: path.write_bytes(pickle.dumps(Bomb()))),
    vectors("a folder", ".npy", lambda path: path.mkdir()),
    vectors("a FIFO", ".npy", lambda path: os.mkfifo(path)),
    vectors("a device", ".npy", lambda path: path.symlink_to("/dev/zero"), "--in-order"),
    manifest("manifest is a list", []),
    manifest("manifest is empty", {}),
    manifest("manifest is null", None),
    manifest("format 99", changed("format", 99)),
    manifest("format is text", changed("format", "x")),
    manifest("rows are negative", changed("rows", -1)),
    manifest("rows are text", changed("rows", "many")),
    manifest("more rows", changed("rows", 5000)),
    manifest("rows of 10^15", changed("rows", 10**15)),
    manifest("dtype int8", changed("dtype", "int8")),
    manifest("dtype unknown", changed("dtype", "float7")),
    manifest("kind audio", changed("kind", "audio")),
    manifest("groups are empty", changed("groups", [])),
    manifest("groups are text", changed("groups", "x")),
    manifest("parts are empty", changed("parts", [])),
    manifest("another fingerprint", lambda m: {**m, "data": {**m["data"], "fingerprint": "0"}}),
    manifest("shard outside", lambda m: {**m, "parts": [{**m["parts"][0], "shards": [{**m["parts"][0]["shards"][0], "file": "../../../outside/canary.txt"}]}]}),
    manifest("shard absolute", lambda m: {**m, "parts": [{**m["parts"][0], "shards": [{**m["parts"][0]["shards"][0], "file": "/etc/passwd"}]}]}),
    manifest("shape of 10^9", lambda m: {**m, "groups": [{**m["groups"][0], "columns": [{**m["groups"][0]["columns"][0], "shape": [10**9]}]}]}),
    manifest("shape is negative", lambda m: {**m, "groups": [{**m["groups"][0], "columns": [{**m["groups"][0]["columns"][0], "shape": [-4]}]}]}),
    record("manifest is text", lambda folder: (folder / "manifest.json").write_text("hello")),
    record("manifest is cut", lambda folder: os.truncate(folder / "manifest.json", 300)),
    record("manifest is binary", lambda folder: (folder / "manifest.json").write_bytes(bytes(range(256)))),
    record("manifest is deep", lambda folder: (folder / "manifest.json").write_text("[" * 100_000)),
    record("manifest is gone", lambda folder: (folder / "manifest.json").unlink()),
    record("ids are gone", lambda folder: (folder / "ids.json").unlink()),
    record("ids are numbers", lambda folder: (folder / "ids.json").write_text(json.dumps(list(range(ROWS))))),
    record("ids are a mapping", lambda folder: (folder / "ids.json").write_text("{}")),
    record("ids are cut", lambda folder: os.truncate(folder / "ids.json", 100)),
    record("shard is gone", lambda folder: (folder / "clean/shard-00000.npy").unlink()),
    record("shard is cut", lambda folder: os.truncate(folder / "clean/shard-00000.npy", 1000)),
    record("shard is text", lambda folder: (folder / "clean/shard-00000.npy").write_text("hello")),
    record("shard is a link to /dev/zero", lambda folder: ((folder / "clean/shard-00000.npy").unlink(), (folder / "clean/shard-00000.npy").symlink_to("/dev/zero"))),
    record("shard of NaN", array(lambda a: np.full_like(a, np.nan))),
    record("shard of float64", array(lambda a: a.astype(np.float64))),
    record("shard of fewer rows", array(lambda a: a[:100])),
    record("shard of other columns", array(lambda a: np.repeat(a, 2, axis=1))),
    record("shard of objects", array(lambda a: a.astype(object))),
    record("statistics are text", lambda folder: (folder / "statistics.safetensors").write_text("hello"), "train", "ec.yaml", "--out", "new", "--set", "data.limit=null", "--set", "data.validation=null"),
    record("verify: shard is cut", lambda folder: os.truncate(folder / "clean/shard-00000.npy", 1000), "record", "verify", "record"),
    record("verify: manifest is empty", lambda folder: (folder / "manifest.json").write_text("{}"), "record", "verify", "record"),
    record("verify: ids are cut", lambda folder: os.truncate(folder / "ids.json", 100), "record", "verify", "record"),
]  # fmt: skip
