"""A user's own vectors: every format, every way in which they may not fit."""

import json
import os
import pickle

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet
from safetensors.torch import save_file

from mentee.errors import DataError
from mentee.records import Record, import_record
from tests.records.jobs import images

N, D = 6, 4
IDS = list(images(N).ids)
ORDER = [3, 0, 5, 1, 4, 2]
VECTORS = np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)
SHUFFLED, SHUFFLED_IDS = VECTORS[ORDER], [IDS[i] for i in ORDER]


def columns(x, ids):
    return {"id": ids} | {f"emb_{i}": x[:, i] for i in range(x.shape[1])}


def as_npy(path):
    np.save(path / "v.npy", SHUFFLED)
    (path / "ids.json").write_text(json.dumps(SHUFFLED_IDS))
    return path / "v.npy", {"ids": path / "ids.json"}


def as_npy_with_text(path):
    np.save(path / "v.npy", SHUFFLED.astype(np.float64))
    (path / "ids.txt").write_text("\n".join(SHUFFLED_IDS) + "\n")
    return path / "v.npy", {"ids": path / "ids.txt"}


def as_fortran(path):
    np.save(path / "v.npy", np.asfortranarray(SHUFFLED))
    np.save(path / "ids.npy", SHUFFLED_IDS)
    return path / "v.npy", {"ids": path / "ids.npy"}


def in_order(path):
    np.save(path / "v.npy", VECTORS)
    return path / "v.npy", {"in_order": True}


def as_npz(path):
    np.savez(path / "v.npz", embedding=SHUFFLED, ids=SHUFFLED_IDS, label=np.arange(N))
    return path / "v.npz", {}


def as_npz_of_other_names(path):
    np.savez_compressed(path / "v.npz", deep=SHUFFLED, shallow=VECTORS, names=SHUFFLED_IDS)
    return path / "v.npz", {"key": "deep", "id": "names"}


def as_safetensors(path):
    save_file({"anything": torch.from_numpy(SHUFFLED)}, path / "v.safetensors")
    (path / "ids.txt").write_text("\n".join(SHUFFLED_IDS))
    return path / "v.safetensors", {"ids": path / "ids.txt"}


def as_parquet_list(path):
    table = {"file": SHUFFLED_IDS, "vector": list(SHUFFLED), "label": ["a"] * N, "year": [1] * N}
    parquet.write_table(pa.table(table), path / "v.parquet", row_group_size=4)
    return path / "v.parquet", {"id": "file"}


def as_parquet_columns(path):
    table = columns(SHUFFLED, SHUFFLED_IDS) | {"label": ["a"] * N}
    parquet.write_table(pa.table(table), path / "v.parquet")
    return path / "v.parquet", {"columns": "emb_*"}


def as_csv(path):
    csv.write_csv(pa.table(columns(SHUFFLED, SHUFFLED_IDS)), path / "v.csv")
    return path / "v.csv", {}


def as_csv_of_some_columns(path):
    table = columns(SHUFFLED, SHUFFLED_IDS) | {"year": [1] * N}
    csv.write_csv(pa.table(table), path / "v.csv")
    return path / "v.csv", {"columns": [f"emb_{i}" for i in range(D)]}


WAYS = [
    as_npy,
    as_npy_with_text,
    as_fortran,
    in_order,
    as_npz,
    as_npz_of_other_names,
    as_safetensors,
    as_parquet_list,
    as_parquet_columns,
    as_csv,
    as_csv_of_some_columns,
]


@pytest.mark.parametrize("write", WAYS)
def test_each_format_gives_the_rows_in_the_order_of_the_data(tmp_path, write):
    path, options = write(tmp_path)
    made = import_record(path, images(N), tmp_path / "r", name="mine", **options)
    assert made.manifest.dtype == "float32"
    np.testing.assert_allclose(made.vectors(range(N)), VECTORS, rtol=1e-6)
    made.check(images(N))
    again = Record.open(made.folder)
    assert again.manifest.teacher["name"] == "mine"
    assert again.manifest.teacher["source"] == path.name
    assert len(again.manifest.teacher["checksum"]) == 32


@settings(deadline=None, max_examples=15)
@given(
    n=st.integers(1, 12),
    frames=st.integers(1, 4),
    dtype=st.sampled_from(["float16", "float32", "float64", "int16"]),
    seed=st.integers(0, 99),
)
def test_any_order_and_type_is_put_right(tmp_path_factory, n, frames, dtype, seed):
    path = tmp_path_factory.mktemp("v")
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, frames, 3)) * 100).astype(dtype)
    order = rng.permutation(n)
    examples = images(n)
    np.savez(path / "v.npz", embedding=x[order], ids=[examples.ids[i] for i in order])
    made = import_record(path / "v.npz", examples, path / "r", name="x")
    assert made.manifest.dtype == ("float16" if dtype == "float16" else "float32")
    assert made.vector.shape == (frames, 3)
    np.testing.assert_allclose(made.vectors(range(n)), x.astype(np.float32), rtol=1e-6)


def test_frames_behind_one_another_are_cut(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    options = {"name": "x", "in_order": True}
    made = import_record(tmp_path / "v.npy", images(N), tmp_path / "r", frames=2, **options)
    np.testing.assert_array_equal(made.vectors([1])[0], VECTORS[1].reshape(2, 2))
    with pytest.raises(DataError, match=r"has shape \[6, 4\], which is not 3 frames"):
        import_record(tmp_path / "v.npy", images(N), tmp_path / "s", frames=3, **options)


def test_lists_of_lists_are_frames(tmp_path):
    x = VECTORS.reshape(N, 2, 2)
    parquet.write_table(pa.table({"id": IDS, "v": x.tolist()}), tmp_path / "v.parquet")
    made = import_record(tmp_path / "v.parquet", images(N), tmp_path / "r", name="x")
    np.testing.assert_allclose(made.vectors(range(N)), x, rtol=1e-6)


def test_ids_that_look_like_numbers_stay_as_they_are(tmp_path):
    ids = ["007", "7", "1e3", "NA", "true", " x"]
    csv.write_csv(pa.table(columns(VECTORS, ids)), tmp_path / "v.csv")
    made = import_record(tmp_path / "v.csv", images(N, ids=ids), tmp_path / "r", name="x")
    np.testing.assert_allclose(made.vectors(range(N)), VECTORS, rtol=1e-6)


def refused(tmp_path, text, x=VECTORS, ids=IDS, examples=None, **options):
    np.savez(tmp_path / "v.npz", embedding=x, ids=ids)
    with pytest.raises(DataError, match=text):
        import_record(
            tmp_path / "v.npz", examples or images(N), tmp_path / "r", name="x", **options
        )
    assert not (tmp_path / "r").exists()
    assert not list(tmp_path.glob(".*"))


def with_entry(value):
    x = VECTORS.copy()
    x[4, 2] = value
    return x


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_with_their_place(tmp_path, value):
    text = rf"entry 2 of 'pictures/4.png' is {value}: expected finite numbers"
    refused(tmp_path, text, with_entry(value))


def test_numbers_too_large_for_the_type_are_refused(tmp_path):
    refused(
        tmp_path, r"is 70000, more than float16 holds.*float32", with_entry(7e4), dtype="float16"
    )
    text = r"is 1e\+300, more than float32 holds.*scale the vectors"
    refused(tmp_path, text, with_entry(0.0).astype(np.float64) + np.eye(N, D) * 1e300)


def test_missing_ids_are_refused(tmp_path):
    text = r"no row for 2 of 8 examples of pictures: 'pictures/6.png', 'pictures/7.png'; expected"
    refused(tmp_path, text, examples=images(8))


def test_ids_of_another_kind_are_shown(tmp_path):
    text = (
        r"no row for 6 of 6 .*'pictures/0.png'.*the file has, for example, '0', '1', '2' and 3 more"
    )
    refused(tmp_path, text, ids=np.arange(N))


def test_extra_rows_are_refused_unless_asked_for(tmp_path):
    some = images(N).take([4, 1])
    refused(tmp_path, r"4 rows of no example of pictures: .*--extra", examples=some)
    made = import_record(tmp_path / "v.npz", some, tmp_path / "r", name="x", extra=True)
    np.testing.assert_allclose(made.vectors([0, 1]), VECTORS[[4, 1]])


def test_an_id_that_is_there_twice_is_refused(tmp_path):
    refused(tmp_path, r"1 ids more than once: 'pictures/0.png'; keep one", ids=[IDS[0], *IDS[:-1]])


def test_a_number_of_ids_that_is_not_that_of_rows_is_refused(tmp_path):
    refused(tmp_path, r"has 6 rows and 5 ids", ids=IDS[:-1])


@pytest.mark.parametrize(
    "x", [np.zeros(N), np.zeros((N, 2, 2, 2)), np.zeros((0, 3)), np.zeros((N, 0))]
)
def test_other_shapes_are_refused(tmp_path, x):
    refused(tmp_path, r"has shape .*expected \[n, d\], or \[n, t, d\]", x)


@pytest.mark.parametrize("x", [VECTORS > 0, VECTORS.astype(str), VECTORS.astype(np.complex64)])
def test_what_is_no_number_is_refused(tmp_path, x):
    refused(tmp_path, r"holds .*expected numbers", x)


def test_without_ids_the_user_has_to_say_that_the_order_is_right(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(DataError, match=r"has no ids.*--ids.*--in-order"):
        import_record(tmp_path / "v.npy", images(N), tmp_path / "r", name="x")
    with pytest.raises(DataError, match=r"has 6 rows, pictures has 7 examples"):
        import_record(tmp_path / "v.npy", images(7), tmp_path / "r", name="x", in_order=True)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "v.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "v.npz", embedding=trap, ids=trap)
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "ids.npy", trap, allow_pickle=True)
    np.save(tmp_path / "w.npy", VECTORS)
    for name, ids in (("v.npy", None), ("v.npz", None), ("v.pkl", None), ("w.npy", "ids.npy")):
        with pytest.raises(DataError, match=r"cannot be read as|pickled files are never opened"):
            import_record(
                tmp_path / name,
                images(1),
                tmp_path / "r",
                name="x",
                ids=ids and tmp_path / ids,
                in_order=True,
            )
    assert not (tmp_path / "sprung").exists()


def table_refused(tmp_path, table, text, kind="parquet", **options):
    path = tmp_path / f"v.{kind}"
    (parquet.write_table if kind == "parquet" else csv.write_csv)(pa.table(table), path)
    with pytest.raises(DataError, match=text):
        import_record(path, images(N), tmp_path / "r", name="x", **options)


def test_tables_that_hold_something_else_are_refused(tmp_path):
    ragged = [[1.0, 2.0]] * 4 + [[1.0]] * 2
    text = r"column 'v' of .* has 2 entries in row 0 and 1 in row 4"
    table_refused(tmp_path, {"id": IDS, "v": ragged}, text)
    gap = [[1.0, 2.0]] * 5 + [None]
    table_refused(tmp_path, {"id": IDS, "v": gap}, r"column 'v' of .* is empty in row 5")
    hole = pa.array([1.0, None, 3.0, 4.0, 5.0, 6.0])
    table_refused(tmp_path, {"id": IDS, "v": hole}, r"column 'v' of .* is empty in row 1")
    inner = [[1.0, 2.0]] * 5 + [[1.0, None]]
    table_refused(tmp_path, {"id": IDS, "v": inner}, r"column 'v' of .* is empty in row 11")
    table_refused(tmp_path, {"id": IDS}, r"no columns of numbers beside 'id'")
    table_refused(tmp_path, {"ids": IDS, "v": ragged}, r"no column 'id' of ids: did you mean 'ids'")
    lists = {"id": IDS, "v": [[1.0]] * N, "w": [[1.0]] * N}
    table_refused(tmp_path, lists, r"column 'v' of .* holds lists: name it alone")
    table_refused(tmp_path, columns(VECTORS, IDS), r"no column 'em_\*'", columns="em_*")
    table_refused(tmp_path, {"id": [*IDS[1:], None], "v": [1.0] * N}, r"id 5 of column 'id'.*None")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    "name", ["Labels", "target", "y", "split", "fold", "digit", "index", "Row"]
)
def test_a_column_that_is_hardly_an_entry_of_a_vector_has_to_be_named(tmp_path, kind, name):
    table = columns(VECTORS, IDS) | {name: [3, 1, 4, 1, 5, 9]}
    text = rf"columns that are hardly entries of a vector: '{name}'; name .* --columns 'emb_\*'"
    table_refused(tmp_path, table, text, kind=kind)
    path = tmp_path / f"v.{kind}"
    made = import_record(path, images(N), tmp_path / "r", name="x", columns="emb_*")
    np.testing.assert_allclose(made.vectors(range(N)), VECTORS, rtol=1e-6)
    both = import_record(path, images(N), tmp_path / "s", name="x", columns=["emb_*", name])
    np.testing.assert_array_equal(both.vectors(range(N))[:, -1], [3, 1, 4, 1, 5, 9])


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_an_index_is_no_entry_of_a_vector(tmp_path, name):
    table = {name: np.arange(N)} | columns(VECTORS, IDS)
    text = rf"columns that are hardly entries of a vector: '{name}'; name"
    table_refused(tmp_path, table, text, kind="csv" if name != "__index_level_0__" else "parquet")


def test_what_was_read_is_kept(tmp_path):
    def read(write):
        (tmp_path / write.__name__).mkdir()
        path, options = write(tmp_path / write.__name__)
        out = tmp_path / write.__name__ / "r"
        return import_record(path, images(N), out, name="x", **options).manifest.teacher["read"]

    assert read(as_csv) == "4 columns of v.csv: emb_0, emb_1, emb_2, emb_3"
    assert read(as_parquet_list) == "vector of v.parquet"
    assert read(as_npz_of_other_names) == "deep of v.npz"
    assert read(as_safetensors) == "anything of v.safetensors"
    assert read(as_npy) == "v.npy"


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_ids_beside_a_file_that_has_others_are_refused(tmp_path, kind):
    (tmp_path / "ids.json").write_text(json.dumps(SHUFFLED_IDS))
    path = tmp_path / f"v.{kind}"

    def write(ids):
        if kind == "csv":
            csv.write_csv(pa.table(columns(SHUFFLED, ids)), path)
        else:
            np.savez(path, embedding=SHUFFLED, ids=ids)

    write([*SHUFFLED_IDS[:2], "another", *SHUFFLED_IDS[3:]])
    text = (
        r"has ids of its own, and they are not those of .*ids\.json: row 2 is 'another' there and "
        rf"{SHUFFLED_IDS[2]!r} here; leave out --ids, or take the ids out of v\.{kind}"
    )
    options = {"name": "x", "ids": tmp_path / "ids.json"}
    with pytest.raises(DataError, match=text):
        import_record(path, images(N), tmp_path / "r", **options)
    write(SHUFFLED_IDS)
    made = import_record(path, images(N), tmp_path / "r", **options)
    np.testing.assert_allclose(made.vectors(range(N)), VECTORS, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([f"{i}.png" for i in range(N)], "'pictures/0.png' for '0.png', 'pictures/' before each"),
        ([f"/home/{i}" for i in IDS], f"'{IDS[0]}' for '/home/{IDS[0]}', without '/home/'"),
        (["0.png", *IDS[1:]], "'pictures/0.png' for '0.png', 'pictures/' before each"),
    ],
)
def test_ids_in_another_folder_are_shown_with_the_folder(tmp_path, given, text):
    refused(tmp_path, rf"expected the ids that the data has: write {text}$", ids=given)


def test_the_command_lines_own_words_are_used(tmp_path):
    np.savez(tmp_path / "v.npz", a=VECTORS, b=VECTORS, ids=IDS)
    with pytest.raises(DataError, match=r"no array 'embedding': .*; name it: --key NAME$"):
        import_record(tmp_path / "v.npz", images(N), tmp_path / "r", name="x")
    lists = {"id": IDS, "v": [[1.0]] * N, "w": [[1.0]] * N}
    table_refused(tmp_path, lists, r"holds lists: name it alone, --columns v$")
    table_refused(tmp_path, {"ids": IDS, "v": [1.0] * N}, r"no column 'id' .*; name it: --id NAME$")
    table = {"id": IDS, "v": ["a"] * N}
    table_refused(tmp_path, table, r"expected numbers; name the columns .*: --columns 'emb_\*'$")


def test_a_cell_that_is_no_number_is_named(tmp_path):
    table = columns(VECTORS, IDS) | {"emb_1": ["1", "2.5", "n/a?", "3", "4", "5"]}
    text = r"column 'emb_1' of .* row 2 is 'n/a\?': expected numbers"
    table_refused(tmp_path, table, text, kind="csv")


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v.safetensors", "v.parquet", "v.csv"])
def test_damaged_files_are_one_clear_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x93NUMPY half a file\na,b\n1\n")
    with pytest.raises(DataError, match=r"cannot be read as \."):
        import_record(tmp_path / name, images(N), tmp_path / "r", name="x", in_order=True)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        import_record(tmp_path / "v.npy", images(N), tmp_path / "r", name="x")
    (tmp_path / "v.pt").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected .npy, .npz, .safetensors, .parquet, .csv"):
        import_record(tmp_path / "v.pt", images(N), tmp_path / "r", name="x")
    np.save(tmp_path / "v.npy", VECTORS)
    for ids, text in (
        ("none.txt", "there is no file of ids"),
        ("ids.csv", "is no file of ids"),
        ("ids.json", "are no list"),
    ):
        if ids != "none.txt":
            (tmp_path / ids).write_text("{}")
        with pytest.raises(DataError, match=text):
            import_record(
                tmp_path / "v.npy", images(N), tmp_path / "r", name="x", ids=tmp_path / ids
            )


@pytest.mark.parametrize(
    ("write", "suffix", "option", "message"),
    [
        (as_npz, "npz", {"columns": "emb_*"}, "is no table, so it has no columns to name"),
        (as_npy, "npy", {"columns": ["a"]}, "is no table, so it has no columns to name"),
        (as_safetensors, "safetensors", {"columns": "a"}, "is no table, so it has no columns"),
        (as_csv, "csv", {"key": "a"}, "has no arrays by name"),
        (as_parquet_columns, "parquet", {"key": "a"}, "has no arrays by name"),
        (as_npy, "npy", {"key": "embedding"}, "has no arrays by name"),
    ],
)
def test_an_option_of_another_format_is_refused(tmp_path, write, suffix, option, message):
    path, options = write(tmp_path)
    assert path.suffix == f".{suffix}"
    with pytest.raises(DataError, match=message):
        import_record(path, images(len(IDS)), tmp_path / "r", name="x", **(options | option))


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".npz", ".parquet", ".csv"])
def test_a_name_that_is_not_utf8_is_one_sentence(suffix, tmp_path):
    path = tmp_path / os.fsdecode(b"v\xff" + suffix.encode())
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"the name of '.*v.udcff{suffix}' is not UTF-8; rename"):
        import_record(path, images(4), tmp_path / "out", name="v")
    assert not (tmp_path / "out").exists()
