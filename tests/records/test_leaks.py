"""Vectors of which an entry gives the answer away, and files that promise more than they hold."""

import io
import zipfile

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv, parquet
from safetensors.torch import save_file

from mentee import free_memory
from mentee.data import open_arrays
from mentee.errors import DataError, MenteeError
from mentee.recording.embedders import record_examples
from mentee.records import import_record
from tests.records.jobs import Fake, images

N = 40
DIGITS = np.random.default_rng(0).integers(0, 5, N)
VECTORS = np.random.default_rng(1).normal(size=(N, 3)).astype(np.float32)
SHUFFLED = np.random.default_rng(2).permutation(N)
LABELED = {
    "one label": DIGITS.tolist(),
    "several labels": (np.random.default_rng(3).random((N, 3)) < 0.4).astype(int),
    "numbers": np.random.default_rng(4).normal(size=N).astype(np.float32),
}


def examples(label="one label", **parts):
    pixels = images(N).read(np.arange(N)).numpy()
    task = {"task": "regression"} if label == "numbers" else {}
    content = {"image": pixels, "id": list(images(N).ids), "label": LABELED[label]}
    return open_arrays(content | task | parts, name="pictures")


def write(path, kind, vectors, extra, name, ids=None):
    """A file of vectors with one more entry; in another order than the data."""
    ids = [images(N).ids[i] for i in SHUFFLED] if ids is None else ids
    both = np.column_stack([vectors[SHUFFLED], extra])
    if kind == "npz":
        np.savez(path / "v.npz", embedding=both, ids=ids)
    elif kind == "npy":
        np.save(path / "v.npy", both)
    else:
        names = [*(f"e{i}" for i in range(vectors.shape[1])), name]
        table = pa.table({"id": ids} | dict(zip(names, both.T, strict=True)))
        (csv.write_csv if kind == "csv" else parquet.write_table)(table, path / f"v.{kind}")
    if kind == "npy":
        (path / "ids.txt").write_text("\n".join(ids))
        return path / "v.npy", {"ids": path / "ids.txt"}
    return path / f"v.{kind}", {}


@pytest.mark.parametrize(
    ("kind", "label", "column", "message"),
    [
        pytest.param("csv", "one label", lambda y: y, "column 'd7' is the label", id="label, CSV"),
        pytest.param("parquet", "one label", lambda y: 7 - 2 * y, "'d7' is the label", id="code"),
        pytest.param("npz", "one label", lambda y: y, "entry 3 is the label", id="label, npz"),
        pytest.param("npy", "one label", lambda y: y, "entry 3 is the label", id="label, npy"),
        pytest.param("csv", "several labels", lambda y: y[:, 1], "is the label '1'", id="one of 3"),
        pytest.param("npz", "numbers", lambda y: y, "entry 3 is the label", id="target"),
        pytest.param("csv", "one label", lambda y: SHUFFLED, "'d7' is the row number", id="row"),
        pytest.param("npz", "one label", lambda y: np.arange(N)[np.argsort(SHUFFLED)] + 1,
                     "entry 3 is the row number", id="row of the file"),
    ],
)  # fmt: skip
def test_an_entry_that_is_the_label_or_the_row_is_refused(tmp_path, kind, label, column, message):
    there = column(np.asarray(LABELED[label]))
    extra = there if "row" in message and kind == "csv" else there[SHUFFLED]
    path, options = write(tmp_path, kind, VECTORS, extra, "d7")
    with pytest.raises(DataError, match=f"{path.name}: .*{message}.*take it out"):
        import_record(path, examples(label), tmp_path / "r", name="x", **options)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(DIGITS + np.eye(N)[0], id="the label but once"),
        pytest.param(np.random.default_rng(5).integers(0, 2, N), id="binary"),
        pytest.param((DIGITS == 2) * 1.0, id="is it a 2"),
        pytest.param(np.arange(N) * 2, id="every second number"),
    ],
)
def test_what_is_no_leak_is_read(tmp_path, extra):
    path, _ = write(tmp_path, "npz", VECTORS, extra[SHUFFLED], "")
    made = import_record(path, examples(), tmp_path / "r", name="x")
    np.testing.assert_allclose(made.vectors(range(N))[:, 3], extra, rtol=1e-6)


def test_constant_entries_are_counted_and_constant_vectors_refused(tmp_path):
    path, _ = write(tmp_path, "csv", VECTORS, np.full(N, 0.1), "e3")
    with pytest.warns(UserWarning, match="1 of the 4 entries of 'x' are the same for all 40 exam"):
        import_record(path, examples(), tmp_path / "r", name="x")
    path, _ = write(tmp_path, "npz", 0 * VECTORS, np.full(N, 0.1), "e3")
    with pytest.raises(DataError, match=r"v.npz has the same vector for all 40 examples"):
        import_record(path, examples(), tmp_path / "s", name="x")
    with pytest.warns(UserWarning, match="5 of the 5 entries of 'fake' are the same for all 10"):
        record_examples(Fake(scale=0.0), images(10), tmp_path / "t")


def lying(path):
    """An npz whose head promises 4 TB."""
    file = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(file, about)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("embedding.npy", file.getvalue() + bytes(64))


def encrypted(path):
    np.savez(path, embedding=VECTORS)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)


def odd_compression(path):
    np.savez(path, embedding=VECTORS)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(mark) + offset] = 77
    path.write_bytes(content)


def of_objects(path):
    np.savez(path, embedding=np.array([{}, []], object))


def damaged_stream(path):
    np.savez_compressed(path, embedding=VECTORS)
    content = bytearray(path.read_bytes())
    content[90:110] = bytes(20)
    path.write_bytes(content)


def bad_head(path):
    content = b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((("
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("embedding.npy", content)


def bomb(path):
    head = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (1 << 19, 513)}
    np.lib.format.write_array_header_1_0(head, shape)
    size = 4 * 513 << 19
    member = zipfile.ZipInfo("embedding.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, head.getvalue())
        member.file_size, member.compress_size = len(head.getvalue()) + size, size // 1000


NPZ = {
    bomb: "v.npz holds 1.1 MB, and .embedding. in it is to have 1,076 MB: it is nearly all"
    "|v.npz cannot be read as .npz .Overlapped entries",  # by zipfile itself, in later Pythons
    lying: "v.npz is damaged: 'embedding' is to have 4,000,000,000,000 bytes and has 64",
    encrypted: "v.npz is encrypted; save it again without a password",
    odd_compression: r"v.npz cannot be read as .npz \(That compression method",
    of_objects: r"v.npz cannot be read as .npz \(Object arrays cannot be loaded",
    damaged_stream: r"v.npz cannot be read as .npz",
    bad_head: r"v.npz cannot be read as .npz",
}


@pytest.mark.parametrize(("make", "message"), NPZ.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_an_npz_that_is_made_up_is_one_sentence(tmp_path, make, message):
    make(tmp_path / "v.npz")
    with pytest.raises(DataError, match=message) as error:
        import_record(tmp_path / "v.npz", examples(), tmp_path / "r", name="x", in_order=True)
    assert len(str(error.value)) < 400


def test_what_would_not_fit_into_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(free_memory, "available", lambda: 1000)
    table = pa.table({"id": list(images(N).ids), "e0": [0.5] * N, "e1": [0.25] * N})
    parquet.write_table(table, tmp_path / "v.parquet")
    csv.write_csv(table, tmp_path / "v.csv")
    np.savez_compressed(tmp_path / "v.npz", embedding=np.zeros((N, 500)))
    for name in ("v.parquet", "v.csv", "v.npz"):
        path = tmp_path / name
        if name == "v.parquet":
            assert 8 * 3 * N < 1000
            parquet.write_table(pa.table({"id": ["a"] * 99, "e": [0.0] * 99}), path)
        with pytest.raises(
            MenteeError, match=rf"{name} needs .* GB of memory and .* are free; sav"
        ):
            import_record(path, examples(), tmp_path / "r", name="x", in_order=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "int8"])
def test_narrow_safetensors_are_read_exactly(tmp_path, dtype):
    x = (torch.tensor(VECTORS) * 4).to(getattr(torch, dtype))
    save_file({"embedding": x}, tmp_path / "v.safetensors")
    made = import_record(
        tmp_path / "v.safetensors", images(N), tmp_path / "r", name="x", in_order=True
    )
    torch.testing.assert_close(made.vectors(range(N)), x.float(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_safetensors_of_no_numbers_are_refused(tmp_path, dtype):
    save_file({"embedding": torch.ones(N, 3).to(getattr(torch, dtype))}, tmp_path / "v.safetensors")
    with pytest.raises(DataError, match=rf"holds {dtype}, expected numbers"):
        import_record(tmp_path / "v.safetensors", images(N), tmp_path / "r", name="x")


def test_columns_that_are_there_twice_are_refused(tmp_path):
    (tmp_path / "v.csv").write_text("id,e0,e0\na,1,2\nb,3,4\n")
    with pytest.raises(DataError, match=r"v.csv has several columns 'e0'; give each a name"):
        import_record(tmp_path / "v.csv", images(2, ids=["a", "b"]), tmp_path / "r", name="x")
