"""Nothing outside of a source's folder is read, and only regular files, of any kind of data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentee.data import open_examples
from mentee.errors import DataError

Make = Callable[..., Path]


@pytest.fixture
def outside(tmp_path: Path, folder: Make, wav: Make) -> Path:
    """A folder beside the data, with an image, a clip and a table."""
    folder("secret.png", root="outside")
    wav("secret.wav", root="outside")
    (tmp_path / "outside" / "secret.csv").write_text("text,label\nsecret,0\n")
    (tmp_path / "outside" / "secret").mkdir()
    folder("secret/1.png", root="outside")
    return tmp_path / "outside"


@pytest.mark.parametrize("ending", ["png", "wav"])
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("../outside/secret.{ending}", id="parent"),
        pytest.param("{outside}/secret.{ending}", id="absolute"),
        pytest.param("deep/../../outside/secret.{ending}", id="there and back"),
        pytest.param("link.{ending}", id="a link"),
        pytest.param("folder/secret.{ending}", id="a link to a folder"),
    ],
)
def test_paths_in_metadata_stay_in_the_folder(
    folder: Make, wav: Make, outside: Path, ending: str, cell: str
) -> None:
    root = folder("0.png") if ending == "png" else wav("0.wav").parent
    (root / "deep").mkdir()
    (root / f"link.{ending}").symlink_to(outside / f"secret.{ending}")
    (root / "folder").symlink_to(outside)
    cell = cell.format(outside=outside, ending=ending)
    (root / "metadata.csv").write_text(f"file_name,label\n0.{ending},a\n{cell},b\n")
    with pytest.raises(DataError) as raised:
        open_examples(root)
    assert str(raised.value) == (
        f"{root / 'metadata.csv'} names 1 path outside of {root}, such as {str(root / cell)!r}; "
        "only files in the folder are read: copy them there, or allow others with "
        "data.outside: true"
    )
    examples = open_examples(root, outside=True)
    assert examples.ids == (f"0.{ending}", cell)
    assert len(examples.read(np.arange(2))) == 2


def test_paths_inside_the_folder_may_be_written_in_any_way(folder: Make) -> None:
    root = folder("train/0.png", "images/1.png", "images/2.png")
    (root / "train" / "link.png").symlink_to("../images/2.png")
    (root / "train" / "metadata.csv").write_text(
        f"file_name\n0.png\n../images/1.png\n{root}/images/2.png\nlink.png\n"
    )
    assert len(open_examples(root).read(np.arange(4))) == 4


@pytest.mark.parametrize(
    ("at", "target"),
    [
        ("a/link.png", "secret.png"),
        ("a/deep", "secret"),
        ("b", "secret"),
        ("train", "secret"),
        ("metadata.csv", "secret.csv"),
    ],
    ids=["file", "folder", "class", "split", "table"],
)
def test_links_stay_in_the_folder(folder: Make, outside: Path, at: str, target: str) -> None:
    root = folder("test/a/0.png", "test/b/0.png") if at == "train" else folder("a/0.png")
    (root / at).symlink_to(outside / target)
    with pytest.raises(DataError, match=f"1 link in {root} leads out of it, such as '{root / at}'"):
        open_examples(root)
    if at.endswith("png") or at in ("b", "a/deep"):
        assert len(open_examples(root, outside=True).read(np.arange(2))) == 2


def test_links_of_audio_and_texts_stay_in_the_folder(
    tmp_path: Path, wav: Make, outside: Path
) -> None:
    clips = wav("a/0.wav").parents[1]
    (clips / "a" / "1.wav").symlink_to(outside / "secret.wav")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "train.csv").symlink_to(outside / "secret.csv")
    for root in (clips, texts):
        with pytest.raises(DataError, match=r"1 link in .* leads out of it, .*data.outside: true"):
            open_examples(root)
        assert open_examples(root, outside=True).ids


@pytest.mark.parametrize("row", ["absolute", "parent", "link"])
@pytest.mark.parametrize("kind", ["image", "audio"])
def test_paths_in_a_parquet_file_stay_in_its_folder(
    tmp_path: Path, folder: Make, wav: Make, outside: Path, row: str, kind: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ending = "png" if kind == "image" else "wav"
    root = folder("0.png", root="table")
    wav("0.wav", root="table")
    (root / f"link.{ending}").symlink_to(outside / f"secret.{ending}")
    path = {"absolute": f"{outside}/secret.{ending}", "parent": f"../outside/secret.{ending}"}
    cells = [
        {"bytes": None, "path": f"0.{ending}"},
        {"bytes": None, "path": path.get(row, f"link.{ending}")},
    ]
    type_ = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({kind: pa.array(cells, type_)}), root / "train.parquet")
    examples = open_examples(root, **{kind: kind})
    assert len(examples.contents.read(np.zeros(1, np.int64))) == 1
    with pytest.raises(DataError, match=f"column '{kind}' names 1 path outside of {root}"):
        examples.read(np.arange(2))
    if row != "link":
        allowed = open_examples(root, outside=True, **{kind: kind})
        assert len(allowed.contents.read(np.ones(1, np.int64))) == 1


def test_a_data_set_from_python_may_name_files_anywhere(folder: Make, outside: Path) -> None:
    import datasets

    paths = [str(outside / "secret.png"), str(folder("0.png") / "0.png")]
    table = datasets.Dataset.from_dict({"image": paths}).cast_column("image", datasets.Image())
    assert len(open_examples(table).read(np.arange(2))) == 2


def _special(path: Path, what: str) -> None:
    path.unlink(missing_ok=True)
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "broken link":
        path.symlink_to("nothing")
    else:
        path.symlink_to(f"/dev/{what}")


@pytest.mark.parametrize("what", ["fifo", "zero", "null", "broken link"])
@pytest.mark.parametrize("ending", ["png", "wav"])
def test_only_regular_files_are_read(folder: Make, wav: Make, ending: str, what: str) -> None:
    root = folder("a/0.png") if ending == "png" else wav("a/0.wav").parents[1]
    _special(root / "a" / f"1.{ending}", what)
    reason = "No such file" if what == "broken link" else "it is no regular file"
    with pytest.raises(DataError, match=f"1.{ending} cannot be read .{reason}"):
        open_examples(root, outside=True).load()
    examples = open_examples(root, outside=True, unreadable="skip")
    assert examples.ids == (f"a/0.{ending}",)
    assert f"1 of 2 {examples.modality.files} that cannot be read" in examples.left_out[0]


@pytest.mark.parametrize("what", ["fifo", "zero", "folder"])
@pytest.mark.parametrize("name", ["train.csv", "train.jsonl", "train.parquet"])
def test_only_regular_tables_are_read(tmp_path: Path, folder: Make, name: str, what: str) -> None:
    _special(tmp_path / name, what)
    with pytest.raises(DataError, match=r"is no regular file|is no table|holds no images|no split"):
        open_examples(tmp_path / name, outside=True)
    with pytest.raises(DataError, match=r"holds no images|has no split 'train'"):
        open_examples(tmp_path, outside=True)


@pytest.mark.parametrize(
    ("link", "target"), [("a/up", ".."), ("a/self", "."), ("b", "a"), ("a/x/y", "../../a")]
)
def test_loops_of_links_and_folders_twice_are_refused(folder: Make, link: str, target: str) -> None:
    root = folder("a/0.png")
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(target)
    with pytest.raises(DataError, match="are one folder, of which one is a link; remove the link"):
        open_examples(root)


def test_many_links_to_each_other_end_at_once(folder: Make) -> None:
    root = folder(*(f"a/{i}/0.png" for i in range(12)))
    for i in range(12):
        for j in range(12):
            (root / "a" / f"{i}" / f"to{j}").symlink_to(f"../{j}")
    with pytest.raises(DataError, match="are one folder"):
        open_examples(root)


def test_a_folder_that_cannot_be_read_is_not_left_out_silently(
    folder: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder("a/0.png", "b/1.png")
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("/b/"[:-1]):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"/b cannot be read \(Permission denied\)"):
        open_examples(root)


@pytest.mark.parametrize("inside", [False, True])
def test_a_table_of_the_hub_names_files_of_its_cache_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Make, outside: Path, inside: bool
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder("0.png", root="cache")))
    path = tmp_path / "cache" / "0.png" if inside else outside / "secret.png"
    table = datasets.Dataset.from_dict({"image": [str(path)]})
    table = table.cast_column("image", datasets.Image())
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, split: table)
    if inside:
        assert len(open_examples("hub:own/photos").read(np.zeros(1, np.int64))) == 1
    else:
        with pytest.raises(DataError, match="column 'image' names 1 path outside of"):
            open_examples("hub:own/photos").read(np.zeros(1, np.int64))
