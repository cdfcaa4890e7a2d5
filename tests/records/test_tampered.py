"""Records changed by hand or by a fault, with checksums that are right again."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mentee.errors import DataError
from mentee.records import Record, write_record
from mentee.records.columns import with_components, with_largest
from mentee.records.integrity import forget_checksums
from mentee.records.manifest import checksum as sum_of
from tests.records.jobs import CELLS, LOGITS, MEAN, network_job
from tests.records.jobs import content as content_of

KEEP = object()


def seal(folder, manifest):
    """Write a manifest with the checksum that it has to have."""
    digest = sum_of(json.dumps(manifest, sort_keys=True))
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest | {"checksum": digest}, indent=2) + "\n")


def opened(folder):
    """The manifest without its checksum."""
    content = json.loads((folder / "manifest.json").read_text())
    return {key: value for key, value in content.items() if key != "checksum"}


def put(content, path, value):
    """Set an entry that is named as in a message: `groups.0.columns.1.count`."""
    *way, last = (int(key) if key.isdecimal() else key for key in path.split("."))
    for key in way:
        content = content[key]
    content[last] = value


@pytest.fixture(params=["float16", "int8"])
def folder(request, tmp_path):
    columns = with_components([MEAN, CELLS, LOGITS], {CELLS.name: 2})
    columns = with_largest(columns, 1, request.param)
    write_record(tmp_path / "r", network_job(12, columns, count=1, dtype=request.param))
    return tmp_path / "r"


WRONG = {
    "dtype of layers to int8": ("dtype", "int8"),
    "dtype to float32": ("dtype", "float32"),
    "dtype to bfloat16": ("dtype", "bfloat16"),
    "scales lost": ("groups.0.scales", None),
    "scales of another length": ("groups.0.scales", [1.0]),
    "scales of zero": ("groups.0.scales", [0.0] * 9),
    "scales not finite": ("groups.0.scales", [float("nan")] * 9),
    "shape larger": ("groups.0.columns.0.shape", [4]),
    "shape smaller": ("groups.0.columns.0.shape", [2]),
    "shape empty": ("groups.0.columns.0.shape", []),
    "shape negative": ("groups.0.columns.0.shape", [-3]),
    "shape of texts": ("groups.0.columns.0.shape", ["3"]),
    "shape of the layer": ("groups.0.columns.2.layer_shape", [5]),
    "components all": ("groups.0.columns.1.count", 12),
    "components lost": ("groups.0.columns.1.form", "whole"),
    "no directions": ("groups.0.basis", None),
    "logits to another base": ("groups.0.columns.2.base", 1),
    "no digits": ("groups.0.columns.2.digits", 0),
    "a column twice": ("groups.0.columns.1.reduction", "mean"),
    "rows as a text": ("rows", "12"),
    "rows as true": ("rows", True),
    "rows as a float": ("rows", 12.0),
    "fewer rows": ("parts.0.shards.0.rows", 11),
    "another size": ("parts.0.shards.0.bytes", 1),
    "another file": ("parts.1.shards.0.file", "shard-00007.npy"),
    "shards as a mapping": ("parts.0.shards", {}),
    "parts as a list of lists": ("parts.0", []),
    "no parts": ("parts", []),
    "groups as a mapping": ("groups", {}),
    "data as a list": ("data", []),
    "data empty": ("data", {}),
    "rows of growth": ("data.parts", [{"rows": 5, "fingerprint": "x"}]),
    "teacher as a text": ("teacher", "fake"),
    "teacher empty": ("teacher", {}),
    "network as a text": ("teacher.network", "resnet"),
    "views as a list": ("views", []),
    "count as a text": ("count", "1"),
    "ids as a number": ("ids", 7),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_manifest_that_contradicts_itself_or_its_files_is_refused(folder, change):
    path, value = change
    manifest = opened(folder)
    put(manifest, path, value)
    if manifest == opened(folder):
        return  # it is so
    seal(folder, manifest)
    with pytest.raises(DataError, match=r"manifest\.json|shard-|basis") as error:
        Record.open(folder)
    assert "again" in str(error.value)
    assert len(str(error.value)) < 700


def rewrite(folder, name, content):
    """Replace a file, and give the manifest its size and checksum."""
    (folder / name).write_bytes(content)
    manifest, digest = opened(folder), sum_of(folder / name)
    if name.endswith(".npy"):
        view = 0 if name.startswith("clean") else 1
        manifest["parts"][view]["shards"][0] |= {"checksum": digest, "bytes": len(content)}
    elif name == "ids.json":
        manifest["ids"] = digest
    else:
        manifest["groups"][0]["basis"] = digest
    seal(folder, manifest)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("name", ["clean/shard-00000.npy", "view-000/shard-00000.npy"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_that_are_not_finite_are_found_when_it_is_opened(tmp_path, dtype, name, value):
    folder = tmp_path / "r"
    write_record(folder, network_job(12, (MEAN, LOGITS), count=1, dtype=dtype))
    number = torch.tensor([float(value)]).to(getattr(torch, dtype))
    content = bytearray((folder / name).read_bytes())
    bits = number.view(torch.uint8).numpy().tobytes()
    content[-len(bits) :] = bits
    rewrite(folder, name, bytes(content))
    with pytest.raises(DataError, match=rf"{name} is damaged: it holds numbers that are not finit"):
        Record.open(folder)


def test_a_shard_of_another_type_with_the_right_size_is_refused(tmp_path):
    folder = tmp_path / "r"
    write_record(folder, network_job(12, (MEAN, LOGITS), count=0, dtype="float32"))
    name = "clean/shard-00000.npy"
    content = (folder / name).read_bytes()
    for other in (content.replace(b"<f4", b"<i4"), content.replace(b"(12, 5)", b"(5, 12)")):
        assert other != content
        rewrite(folder, name, other)
        with pytest.raises(DataError, match=r"shard-00000.npy is damaged: it holds an array of an"):
            Record.open(folder)
        forget_checksums()


IDS = {
    "mapping": ({str(i): i for i in range(12)}, "is no list of texts"),
    "numbers": (list(range(12)), "is no list of texts"),
    "null": (None, "is no list of texts"),
    "nested": ([["a"]] * 12, "is no list of texts"),
    "fewer": (["a", "b"], "2 ids, 2 of them different, for 12 rows"),
    "twice": (["a"] * 12, "12 ids, 1 of them different, for 12 rows"),
}


@pytest.mark.parametrize(("content", "message"), IDS.values(), ids=IDS)
def test_ids_of_another_type_are_refused(tmp_path, content, message):
    folder = tmp_path / "r"
    write_record(folder, network_job(12))
    rewrite(folder, "ids.json", json.dumps(content).encode())
    with pytest.raises(DataError, match=rf"ids\.json .*{message}.*again"):
        Record.open(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=len)
def test_ids_and_manifests_that_are_no_json_are_refused(tmp_path, content):
    folder = tmp_path / "r"
    write_record(folder, network_job(12))
    rewrite(folder, "ids.json", content)
    with pytest.raises(DataError, match=r"ids\.json cannot be read"):
        Record.open(folder)
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json cannot be read"):
        Record.open(folder)


BASES = {
    "nan": lambda x: x * float("nan"),
    "whole numbers": lambda x: x.long(),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "another shape": lambda x: x.T.contiguous() if x.ndim > 1 else x,
}


@pytest.mark.parametrize("change", BASES.values(), ids=BASES)
def test_principal_directions_that_are_none_are_refused(tmp_path, change):
    folder = tmp_path / "r"
    write_record(folder, network_job(12, with_components([MEAN, CELLS], 2), count=0))
    tensors = load_file(folder / "basis.safetensors")
    save_file({name: change(x) for name, x in tensors.items()}, folder / "basis.safetensors")
    rewrite(folder, "basis.safetensors", (folder / "basis.safetensors").read_bytes())
    with pytest.raises(
        DataError, match=r"basis\.safetensors (holds no finite|is of other columns)"
    ):
        Record.open(folder)


LEFT = {"list": [], "empty": {}, "no identity": {"identity": {}, "groups": []}, "text": "x"}


@pytest.mark.parametrize("content", LEFT.values(), ids=LEFT)
@pytest.mark.parametrize("name", ["plan.json", "clean/shards.json"])
def test_what_an_interrupted_process_left_is_recorded_over_where_it_is_damaged(
    tmp_path, content, name
):
    whole = write_record(tmp_path / "whole", network_job(12))
    hidden = tmp_path / ".r.partial"
    (hidden / "clean").mkdir(parents=True)
    (hidden / name).write_text(json.dumps(content))
    (hidden / "clean/.shards.json.abc").write_text("")
    made = write_record(tmp_path / "r", network_job(12))
    assert made.fingerprint() == whole.fingerprint()
    assert content_of(tmp_path / "r") == content_of(tmp_path / "whole")


def test_shards_that_are_missing_cut_or_swapped_are_named(tmp_path):
    folder = tmp_path / "r"
    write_record(folder, network_job(12, count=0), shard_rows=6)
    first, second = (folder / f"clean/shard-0000{i}.npy" for i in range(2))
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    with pytest.raises(DataError, match=r"shard-00000.npy is damaged: its checksum"):
        Record.open(folder)
    first.write_bytes(content[0])
    second.write_bytes(content[1][:-4])
    with pytest.raises(DataError, match=r"shard-00001.npy is damaged: it has \d+ bytes of \d+"):
        Record.open(folder)
    second.unlink()
    with pytest.raises(DataError, match=r"shard-00001.npy is missing"):
        Record.open(folder)
    assert struct.calcsize("<f") * np.prod((6, 5)) == len(content[0]) - 128
