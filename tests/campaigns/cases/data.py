"""Folders of images and clips that are damaged, foreign, or lead outside."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.campaigns.bad_inputs import Case
from tests.campaigns.boxes import clip, picture

TRAIN = ["train", "photos.yaml", "--out", "new"]
CLIPS = ["train", "photos.yaml", "--out", "new", "--set", "data.source=clips"] + [
    part
    for change in ("student=small-fcn", "data.sample_rate=8000", "data.seconds=0.1")
    for part in ("--set", change)
]


def photos(name: str, prepare: Callable[[Path], Any], *changes: str) -> Case:
    """Train on the folder of photographs, changed."""
    more = [part for change in changes for part in ("--set", change)]
    return Case(f"images/{name}", [*TRAIN, *more], lambda box: prepare(box / "photos"))


def clips(name: str, prepare: Callable[[Path], Any], *changes: str) -> Case:
    """Train on the folder of clips, changed."""
    more = [part for change in changes for part in ("--set", change)]
    return Case(f"clips/{name}", [*CLIPS, *more], lambda box: prepare(box / "clips"))


def written(place: str, content: bytes | str) -> Callable[[Path], None]:
    """A file with this content."""

    def prepare(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return prepare


def linked(place: str, target: str) -> Callable[[Path], None]:
    """A symbolic link."""

    def prepare(folder: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    return prepare


def metadata(*rows: str) -> Callable[[Path], None]:
    """A metadata.csv instead of the folders of classes."""

    def prepare(folder: Path) -> None:
        shutil.rmtree(folder / "train")
        for i in range(8):
            picture(folder / "train" / f"{i}.png", i)
        lines = ["file_name,label", *(f"{i}.png,{i % 2}" for i in range(8)), *rows]
        (folder / "train/metadata.csv").write_text("\n".join(lines) + "\n")
        shutil.rmtree(folder / "test")
        shutil.copytree(folder / "train", folder / "test")
        lines = [line for line in lines if line not in rows]
        (folder / "test/metadata.csv").write_text("\n".join(lines) + "\n")

    return prepare


def emptied(place: str) -> Callable[[Path], None]:
    """A folder without its files."""

    def prepare(folder: Path) -> None:
        shutil.rmtree(folder / place)
        (folder / place).mkdir()

    return prepare


def removed(*places: str) -> Callable[[Path], None]:
    """Folders removed."""
    return lambda folder: [shutil.rmtree(folder / place) for place in places]


def pixel_bomb(folder: Path) -> None:
    """A small PNG of 50,000 × 50,000 pixels."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    Image.new("1", (50_000, 50_000)).save(folder / "train/cat/bomb.png")
    Image.MAX_IMAGE_PIXELS = before


def thin(folder: Path) -> None:
    """An image of 1 × 60,000 pixels."""
    picture(folder / "train/cat/thin.png", 0, (60_000, 1))


def wave_header(rate: int, channels: int, length: int) -> bytes:
    """The header of a WAV file, with this length of data, and no data."""
    import struct

    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 % 2**32, 2, 16)
    return b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", length)  # fmt: skip


def loop(folder: Path) -> None:
    """Links in a circle, in two directions."""
    for name in ("a", "b"):
        (folder / "train/cat" / name).symlink_to(folder / "train")


def tiff(folder: Path) -> None:
    """A page of floats."""
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).random((8, 8), np.float32)).save(
        folder / "train/cat/f.tif"
    )


def other_rate(folder: Path) -> None:
    """One clip without samples."""
    import wave

    with wave.open(str(folder / "train/cat/empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)


CASES = [
    photos("no folder", lambda folder: shutil.rmtree(folder)),
    photos("empty folder", lambda folder: (shutil.rmtree(folder), folder.mkdir())),
    photos("a file instead", lambda folder: (shutil.rmtree(folder), folder.write_text("x"))),
    photos("no test", removed("test")),
    photos("no train", removed("train")),
    photos("empty train", emptied("train")),
    photos("empty class", emptied("train/cat")),
    photos("one class", removed("train/cat", "test/cat")),
    photos("a class in test only", written("test/bird/x.png", b"")),
    photos("no images", lambda folder: [f.unlink() for f in folder.rglob("*.png")]),
    photos("foreign split", lambda folder: picture(folder / "extra/cat/0.png", 0)),
    photos("loose image", lambda folder: picture(folder / "train/loose.png", 0)),
    photos("empty image", written("train/cat/0.png", b"")),
    photos("text as image", written("train/cat/0.png", "hello")),
    photos("cut image", lambda folder: os.truncate(folder / "train/cat/0.png", 60)),
    photos("zeros as image", written("train/cat/0.png", bytes(4000))),
    photos("cut in test", lambda folder: os.truncate(folder / "test/cat/0.png", 60)),
    photos("GIF header", written("train/cat/x.gif", b"GIF89a")),
    photos("all damaged", lambda folder: [f.write_bytes(b"x") for f in folder.rglob("*.png")]),
    photos("pixel bomb", pixel_bomb),
    photos("thin image", thin, "data.size=8"),
    photos("several sizes", lambda folder: picture(folder / "train/cat/large.png", 0, (9, 9))),
    photos("one pixel", lambda folder: picture(folder / "train/cat/0.png", 0, (1, 1)), "data.size=8"),
    photos("floats", tiff),
    photos("SVG bomb", written("train/cat/x.svg", "<svg>" * 10_000)),
    photos("link outside", linked("train/cat/x.png", "../../../outside/canary.png")),
    photos("folder outside", linked("train/bird", "../../outside")),
    photos("link to /dev/zero", linked("train/cat/x.png", "/dev/zero")),
    photos("link to nowhere", linked("train/cat/x.png", "nowhere")),
    photos("link to itself", linked("train/cat/x.png", "x.png")),
    photos("links in a circle", loop),
    photos("FIFO", lambda folder: os.mkfifo(folder / "train/cat/x.png")),
    photos("a folder as image", lambda folder: (folder / "train/cat/x.png").mkdir()),
    photos("name not UTF-8", lambda folder: shutil.copy(folder / "train/cat/0.png", os.fsencode(folder) + b"/train/cat/\xff.png")),
    photos("name of 250 letters", lambda folder: picture(folder / "train/cat" / f"{'a' * 240}.png", 0)),
    photos("name with a line break", lambda folder: picture(folder / "train/cat/a\nb.png", 0)),
    photos("class with a line break", lambda folder: picture(folder / "train/a\nb/0.png", 0)),
    photos("NFC and NFD", lambda folder: (picture(folder / "train/cat/\u00e9.png", 1), picture(folder / "train/cat/e\u0301.png", 2))),
    photos("deep", lambda folder: picture(folder / "train/cat" / "/".join("d" * 60) / "0.png", 0)),
    photos("metadata without labels", metadata("9.png")),
    photos("metadata of missing file", metadata("nothing.png,1")),
    photos("metadata upwards", metadata("../../outside/canary.png,1")),
    photos("metadata absolute", metadata("/etc/passwd,1")),
    photos("metadata of a device", metadata("/dev/zero,1")),
    photos("metadata twice", metadata("0.png,1")),
    photos("metadata with NaN", metadata("7.png,nan")),
    photos("metadata of 2^62", metadata(f"7.png,{2**62}")),
    photos("metadata empty", lambda folder: (metadata()(folder), (folder / "train/metadata.csv").write_text(""))),
    photos("metadata binary", lambda folder: (metadata()(folder), (folder / "train/metadata.csv").write_bytes(bytes(range(256))))),
    photos("metadata of one column", lambda folder: (metadata()(folder), (folder / "train/metadata.csv").write_text("a\n1\n"))),
    photos("two metadata", lambda folder: (metadata()(folder), (folder / "train/metadata.jsonl").write_text("{}"))),
    photos("student of text", lambda folder: None, "student=char-cnn"),
    photos("size too small", lambda folder: None, "student=timm:vit_tiny_patch16_224"),
    photos("fewer than a batch", lambda folder: None, "train.batch=64"),
    clips("empty clip", written("train/cat/0.wav", b"")),
    clips("text as clip", written("train/cat/0.wav", "hello")),
    clips("cut clip", lambda folder: os.truncate(folder / "train/cat/0.wav", 30)),
    clips("no samples", other_rate),
    clips("header alone", written("train/cat/0.wav", wave_header(8000, 1, 2**31))),
    clips("rate 0", written("train/cat/0.wav", wave_header(0, 1, 0))),
    clips("rate 2^31", written("train/cat/0.wav", wave_header(2**31, 1, 100) + bytes(100))),
    clips("channels 60,000", written("train/cat/0.wav", wave_header(8000, 60_000, 100) + bytes(100))),
    clips("FLAC header", written("train/cat/x.flac", b"fLaC" + bytes(40))),
    clips("MP3 of zeros", written("train/cat/x.mp3", bytes(5000))),
    clips("link to /dev/zero", linked("train/cat/x.wav", "/dev/zero")),
    clips("link outside", linked("train/cat/x.wav", "../../../outside/canary.txt")),
    clips("FIFO", lambda folder: os.mkfifo(folder / "train/cat/x.wav")),
    clips("images beside", lambda folder: picture(folder / "train/cat/x.png", 0)),
    clips("no seconds, several lengths", lambda folder: clip(folder / "train/cat/z.wav", 1), "data.seconds=null"),
    clips("a day", lambda folder: None, "data.seconds=86400"),
    clips("rate of 10^6", lambda folder: None, "data.sample_rate=1000000", "data.seconds=3600"),
]  # fmt: skip
