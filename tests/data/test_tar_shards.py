"""WebDataset shards: read by place, here and in object storage, with ids that do not change."""

import io
import json
import pickle
import tarfile

import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from mentee.data import open_examples, tar_shards
from mentee.data.tar_shards import expanded
from mentee.errors import DataError
from mentee.urls import Url


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MENTEE_CACHE", str(tmp_path / "cache"))
    MemoryFileSystem.store.clear()


def pixels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 5, 3), dtype=np.uint8)


def png(image):
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def tar(members, mode="w"):
    """The bytes of a tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return out.getvalue()


def shards(images, classes, per_shard=3):
    """Tar files of pictures with their classes, by name."""
    members = [
        (f"./dogs/{i:03d}.{ending}", content)
        for i, (image, number) in enumerate(zip(images, classes, strict=True))
        for ending, content in (("png", png(image)), ("cls", f"{number}\n".encode()))
    ]
    size = 2 * per_shard
    parts = [members[start : start + size] for start in range(0, len(members), size)]
    return {f"train-{number:02d}.tar": tar(part) for number, part in enumerate(parts)}


def save(place, files):
    for name, content in files.items():
        if isinstance(place, Url):
            MemoryFileSystem().pipe_file(f"/b/{name}", content)
        else:
            (place / name).write_bytes(content)
    return f"webdataset:{place}"


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    return tmp_path if request.param == "folder" else Url("memory://b")


def test_pictures_are_read_in_any_order_by_their_keys(place):
    images, classes = pixels(8), [1, 0, 2, 2, 0, 1, 1, 0]
    source = save(place, shards(images, classes))
    for pattern in ("train-{00..02}.tar", "train-*.tar", "{split}-{00..02}.tar"):
        examples = open_examples(f"{source}/{pattern}")
        assert examples.ids == tuple(f"dogs/{i:03d}" for i in range(8))
        assert examples.labels.tolist() == classes
        assert examples.kind == "image"
        order = np.array([7, 0, 4, 3, 3])
        assert np.array_equal(pickle.loads(pickle.dumps(examples)).read(order), images[order])
        assert examples.contents.raw(5) == png(images[5])


def test_the_index_is_kept_until_a_file_changes(place, monkeypatch):
    source = save(place, shards(pixels(4), [0, 1, 0, 1])) + "/train-*.tar"
    first = open_examples(source)
    read = []

    def counted(tar):
        read.append(tar.name)
        return samples(tar)

    samples = tar_shards._samples
    monkeypatch.setattr(tar_shards, "_samples", counted)
    assert open_examples(source).fingerprint() == first.fingerprint()
    assert read == []
    save(place, {"train-01.tar": shards(pixels(5, seed=1), [2] * 5)["train-01.tar"]})
    assert open_examples(source).labels.tolist() == [0, 1, 0, 2, 2]
    assert read == ["train-01.tar"]


def test_sounds_texts_and_values_of_the_json(tmp_path):
    wave = np.sin(np.arange(1600) / 9).astype(np.float32)
    out = io.BytesIO()
    soundfile.write(out, wave, 16_000, format="FLAC", subtype="PCM_16")
    about = [{"label": "rain", "uid": "x7"}, {"label": "wind", "uid": "a2"}]
    members = [("a.flac", out.getvalue()), ("a.json", json.dumps(about[0]).encode())]
    members += [("b.flac", out.getvalue()), ("b.json", json.dumps(about[1]).encode())]
    members += [("b.txt", b"a caption"), ("a/", b""), (".hidden.flac", b"")]
    source = save(tmp_path, {"train-0.tar": tar(members)}) + "/train-0.tar"
    sounds = open_examples(source, id="uid")
    assert (sounds.kind, sounds.ids) == ("audio", ("x7", "a2"))
    assert sounds.classes == ("rain", "wind")
    np.testing.assert_allclose(sounds.read(np.array([1]))[0], wave, atol=1e-4)
    texts = [("a.txt", "näher".encode()), ("a.cls", b"good"), ("b.txt", b"far"), ("b.cls", b"bad")]
    source = save(tmp_path, {"train-1.tar": tar(texts)}) + "/train-1.tar"
    examples = open_examples(source)
    assert (examples.kind, examples.classes) == ("text", ("bad", "good"))
    assert examples.read(np.arange(2)) == ["näher", "far"]
    assert open_examples(source, label=False).labels is None


def test_what_cannot_be_right_is_refused(tmp_path):
    files = shards(pixels(4), [0, 1, 0, 1])
    source = save(tmp_path, files)
    with pytest.raises(DataError, match=r"there is no tar file \S+train-02.tar; expected webdata"):
        open_examples(f"{source}/train-{{00..02}}.tar")
    with pytest.raises(DataError, match=r"no split 'test'"):
        open_examples(f"{source}/train-*.tar", split="test")
    members = [("a.png", png(pixels(1)[0]))]
    save(tmp_path, {"train-zip.tar": tar(members, mode="w:gz"), "train-cut.tar": b"1" * 2000})
    for name in ("zip", "cut"):
        with pytest.raises(DataError, match=r"cannot be read as a tar file .*has to be unpacked"):
            open_examples(f"{source}/train-{name}.tar")
    save(tmp_path, {"train-two.tar": tar([*members, ("b.cls", b"1")])})
    with pytest.raises(DataError, match=r"1 of 2 keys of \S+ have no .png, such as 'b'"):
        open_examples(f"{source}/train-two.tar")
    save(tmp_path, {"more-00.tar": files["train-00.tar"]})
    with pytest.raises(DataError, match="3 ids stand there more than once"):
        open_examples(f"{source}/{{train,more}}-00.tar")
    save(tmp_path, {"train-mixed.tar": tar([("a.png", b""), ("a.jpg", b"")])})
    with pytest.raises(DataError, match=r"name one of png, jpg as `image`"):
        open_examples(f"{source}/train-mixed.tar")
    examples = open_examples(f"{source}/train-00.tar")
    (tmp_path / "train-00.tar").write_bytes(files["train-00.tar"][:600])
    with pytest.raises(DataError, match=r"3 of 3 files .* \(it is shorter than it was"):
        examples.read(np.array([2]))


def test_braces():
    assert expanded("a{1..3}b{x,y}") == ["a1bx", "a1by", "a2bx", "a2by", "a3bx", "a3by"]
    assert expanded("s3://b/{0098..0101}.tar")[2] == "s3://b/0100.tar"
