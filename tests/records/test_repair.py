"""Only what is damaged is recorded anew, to the same bytes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mentee.cli import app
from mentee.data import open_examples
from mentee.errors import DataError
from mentee.recording.embedders import import_vectors, record
from mentee.records import Record, import_record, write_record
from mentee.records.columns import with_components, with_largest
from mentee.records.repair import repair_record
from tests.records.jobs import CELLS, LOGITS, MEAN, Fake, changed, content, images, network_job


def damage(path, how):
    """Spoil a file of a record."""
    held = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(held[:-3])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        held[-2] ^= 16
        path.write_bytes(held)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty", "flipped"])
@pytest.mark.parametrize("name", ["clean/shard-00001.npy", "view-001/shard-00002.npy"])
def test_a_shard_of_a_network_is_computed_again(tmp_path, dtype, how, name):
    columns = with_largest(with_components([MEAN, CELLS, LOGITS], {CELLS.name: 2}), 1, dtype)
    job = network_job(13, columns, count=2, dtype=dtype)
    write_record(tmp_path / "r", job, shard_rows=5)
    whole, calls = content(tmp_path / "r"), job.read.calls
    damage(tmp_path / "r" / name, how)
    with pytest.raises(DataError, match=r"with --repair"):
        Record.open(tmp_path / "r")
    lines = []
    made = repair_record(tmp_path / "r", job, say=lines.append)
    assert content(tmp_path / "r") == whole
    assert len(made) == 13
    assert lines == [f"{tmp_path / 'r'}: 1 damaged files of rows"]
    assert job.read.calls - calls <= 2, "the batches of these rows only"


@pytest.mark.parametrize("file", range(4))
def test_a_record_that_has_grown_is_repaired_batch_by_batch(tmp_path, file):
    for n in (6, 13):
        write_record(tmp_path / "r", network_job(n, count=1), shard_rows=4)
    whole = content(tmp_path / "r")
    damage(tmp_path / f"r/view-000/shard-0000{file}.npy", "flipped")
    repair_record(tmp_path / "r", network_job(13, count=1))
    assert content(tmp_path / "r") == whole


def test_the_ids_are_written_again_where_the_examples_have_their_order(tmp_path):
    write_record(tmp_path / "r", network_job(13))
    whole = content(tmp_path / "r")
    (tmp_path / "r/ids.json").write_text("[]")
    repair_record(tmp_path / "r", network_job(13))
    assert content(tmp_path / "r") == whole
    (tmp_path / "r/ids.json").unlink()
    other = images(13).take(range(12, -1, -1))
    with pytest.raises(DataError, match=r"ids.json is damaged, and the examples are not in the or"):
        repair_record(tmp_path / "r", network_job(examples=other))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"teacher": {"name": "x", "fingerprint": "0" * 32, "network": {}}}, "teacher's fingerpri"),
        ({"examples": changed(13, 4)}, "examples"),
        ({"views": {"views": "crop", "pad": 2, "view_seed": 3}}, "views"),
        ({"dtype": "float16"}, "dtype: float32 there, float16 here"),
    ],
)
def test_another_teacher_or_other_examples_do_not_repair(tmp_path, change, text):
    write_record(tmp_path / "r", network_job(13))
    damage(tmp_path / "r/clean/shard-00000.npy", "flipped")
    spoiled = content(tmp_path / "r")
    with pytest.raises(DataError, match=text):
        repair_record(tmp_path / "r", network_job(13, **change))
    assert content(tmp_path / "r") == spoiled


def test_last_digits_that_differ_get_a_new_checksum(tmp_path):
    job = network_job(13, batch=4)
    write_record(tmp_path / "r", job, shard_rows=5)
    before = Record.open(tmp_path / "r")
    damage(tmp_path / "r/clean/shard-00000.npy", "flipped")
    read, lines = job.read, []
    other = network_job(13, read=lambda *given: read(*given) * np.float32(1 + 1e-6))
    made = repair_record(tmp_path / "r", other, say=lines.append)
    assert "last digits" in lines[-1]
    assert made.fingerprint() != before.fingerprint()
    assert Record.open(tmp_path / "r").fingerprint() == made.fingerprint()


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_imported_vectors_are_repaired_from_their_file(tmp_path, kind):
    vectors, ids = np.random.default_rng(0).normal(size=(10, 3)), list(images(10).ids)
    path = tmp_path / f"v.{kind}"
    if kind == "npz":
        np.savez(path, embedding=vectors, ids=ids)
    else:
        rows = [
            ",".join([id, *map(repr, row)]) for id, row in zip(ids, vectors.tolist(), strict=True)
        ]
        path.write_text("\n".join(["id,a,b,c", *rows]) + "\n")
    out = tmp_path / "r"
    import_record(path, images(10), out, name="x", shard_rows=4)
    whole = content(out)
    damage(out / "clean/shard-00001.npy", "cut")
    with pytest.raises(DataError, match=r"r is a record already"):
        import_record(path, images(10), out, name="x")
    import_record(path, images(10), out, name="x", repair=True)
    assert content(out) == whole
    with pytest.raises(DataError, match=r"--repair mends a record and --overwrite replaces it"):
        import_record(path, images(10), out, name="x", repair=True, overwrite=True)
    with pytest.raises(DataError, match=r"other is no record that could be repaired"):
        import_record(path, images(10), tmp_path / "other", name="x", repair=True)


def test_the_same_command_repairs_from_python(tmp_path):
    data = {"train": images(10), "test": images(6, seed=1, name="more")}
    options = {"splits": ("train", "test"), "say": lambda line: None}
    record(data, Fake(), tmp_path / "r", **options)
    whole = content(tmp_path / "r")
    damage(tmp_path / "r/test/clean/shard-00000.npy", "flipped")
    teacher, lines = Fake(), []
    made = record(data, teacher, tmp_path / "r", repair=True, **options | {"say": lines.append})
    assert content(tmp_path / "r") == whole
    assert set(made) == {"train", "test"}
    assert teacher.calls == 1, "the test split's only batch"
    assert json.loads((tmp_path / "r/test/ids.json").read_text()) == list(data["test"].ids)
    np.save(tmp_path / "v.npy", np.eye(6))
    with pytest.raises(DataError, match="no record that could be repaired"):
        import_vectors(
            tmp_path / "v.npy", data, tmp_path / "new", split="test", in_order=True, repair=True
        )


def test_the_same_command_repairs_on_the_command_line(tmp_path):
    ids = open_examples("embedded:digits").ids
    np.savez(tmp_path / "v.npz", embedding=np.random.default_rng(0).normal(size=(1297, 2)), ids=ids)
    command = ["record", "import", str(tmp_path / "v.npz"), "embedded:digits", "--out"]
    run = CliRunner().invoke(app, [*command, str(tmp_path / "r")])
    assert run.exit_code == 0, run.output
    whole = content(tmp_path / "r")
    damage(tmp_path / "r/train/clean/shard-00000.npy", "flipped")
    run = CliRunner().invoke(app, [*command, str(tmp_path / "r"), "--repair"])
    assert run.exit_code == 0, run.output
    assert content(tmp_path / "r") == whole
