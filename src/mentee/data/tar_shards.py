"""WebDataset shards: tar files, here or in object storage, of which members are read by place."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from mentee.data.audio_cache import cache_folder
from mentee.data.examples import Examples, make_examples, read_files
from mentee.data.local_files import check_regular, is_hidden, unreadable
from mentee.data.modality import Modality
from mentee.data.payload import Rows
from mentee.data.source_options import SourceOptions
from mentee.data.split_names import refuse_other_split
from mentee.data.text_tables import PlainTable, named_ids
from mentee.errors import DataError, RunError
from mentee.files import located, write_json
from mentee.urls import Url

PREFIX = "webdataset"
CLASS, SIDE = "cls", ("cls", "json")
"""The member with the class, and those that are read with the index, up to 64 kB each."""

_SIDE_BYTES, _VERSION = 64 << 10, 1
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*)\}")

Place: TypeAlias = tuple[int, int]
"""Where a member's content begins in its tar file, and its bytes."""


@dataclass(frozen=True)
class Sample:
    """The members of one key: the place of each, by what follows the dot, and short ones' text."""

    key: str
    members: dict[str, Place]
    texts: dict[str, str]


class TarFiles:
    """Members of tar files, by row: the number of the tar file, and the place in it."""

    def __init__(
        self, tars: Sequence[Path | Url], stamps: Sequence[str], places: Sequence[tuple[int, Place]]
    ) -> None:
        self.tars, self.stamps, self.places = tars, stamps, places

    def fetch(self, rows: Rows) -> list[bytes]:
        """The undecoded bytes of each row; those in object storage all at the same time."""
        contents: dict[int, bytes] = {}
        remote: dict[Url, list[int]] = {}
        for row in rows.tolist():
            number, place = self.places[row]
            tar = self.tars[number]
            if isinstance(tar, Url):
                remote.setdefault(tar.parent, []).append(row)
            else:
                contents[row] = _bytes(tar, place)
        for folder, some in remote.items():
            places = [self.places[row] for row in some]
            names = [self.tars[number].name for number, _ in places]
            starts = [start for _, (start, _) in places]
            stops = [start + size for _, (start, size) in places]
            contents |= zip(some, folder.read_ranges(names, starts, stops), strict=True)
        return [contents[row] for row in rows.tolist()]

    def take(self, rows: Rows) -> TarFiles:
        """Some of them."""
        return TarFiles(self.tars, self.stamps, [self.places[row] for row in rows])

    def stamp(self) -> bytes:
        """Of the tar files, with their sizes and times, and of the places."""
        return hashlib.blake2b(repr((list(self.stamps), list(self.places))).encode()).digest()


def open_tars(pattern: str, *, split: str, options: SourceOptions) -> Examples:
    """Read tar files as WebDataset writes them: members `KEY.jpg`, `KEY.cls`, `KEY.json`.

    An id is a key, which has to be there once, or what `id` names in the JSON. The label is `cls`,
    else what is named so in the JSON. Where the members are is read once, and kept in the cache.

    Args:
        pattern: paths or URLs, with `{000..127}`, `{a,b}`, `{split}`, or `*`.
        split: what `{split}` stands for.
        options: which members are meant: `image: jpg`, `label: cls`, or keys of the JSON.

    Raises:
        DataError: there is no such file, it is no tar file or a compressed one, a key has no such
            member, or stands there twice.
    """
    tars = [tar for name in expanded(pattern.replace("{split}", split)) for tar in _named(name)]
    if "{split}" not in pattern:
        for tar in tars:
            refuse_other_split(Path(tar.name), split)
    name = f"{tars[0]}" if len(tars) == 1 else f"{tars[0]} and {len(tars) - 1} more"
    stamps = [_stamp(tar) for tar in tars]
    indexes = [_index(tar, stamp) for tar, stamp in zip(tars, stamps, strict=True)]
    samples = [(number, each) for number, index in enumerate(indexes) for each in index]
    if not samples:
        raise DataError(f"{name} holds no files")
    modality, ending = _content([each for _, each in samples], options, name)
    lacking = [each.key for _, each in samples if ending not in each.members]
    if lacking:
        raise DataError(
            f"{len(lacking):,} of {len(samples):,} keys of {name} have no .{ending}, such as "
            f"{lacking[0]!r}; leave them out of the tar files"
        )
    table = _table([each for _, each in samples], name)
    keys = [each.key for _, each in samples]
    ids = named_ids(table.column(options.id), options.id, name) if options.id else keys
    if options.label is None and CLASS in table.names:
        options = replace(options, label=CLASS)
    labels = table.labels(options)
    files = TarFiles(tars, stamps, [(number, each.members[ending]) for number, each in samples])
    reading = options.reading(f"{name} [{split}]")
    if modality.suffixes:
        return read_files(modality, files, ids, labels, reading)
    texts = [each.decode("utf-8", "replace") for each in files.fetch(np.arange(len(ids)))]
    contents = modality.read_arrays(texts, ids, reading)
    return make_examples(contents, ids, labels, modality=modality, name=reading.name)


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with braces stands for, as a shell has it.

    Example:
        >>> expanded("{train,more}-{08..10}.tar")[2:5]
        ['train-10.tar', 'more-08.tar', 'more-09.tar']
    """
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    first, last, others = braces.groups()
    if others is None:
        numbers = range(int(first), int(last) + 1)
        parts = [str(number).zfill(len(first)) for number in numbers]
    else:
        parts = others.split(",")
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [name for part in parts for name in expanded(before + part + after)]


def _named(name: str) -> list[Path | Url]:
    """The tar files of a name, which may have `*`."""
    path = located(name)
    tars: list[Path | Url] = [path]
    if "*" in name:
        tars = [*map(Path, glob.glob(str(Path(name).expanduser())))]
        if isinstance(path, Url):
            tars = [*path.parent.glob(path.name)]
    if not tars or not all(each.is_file() for each in tars):
        raise DataError(
            f"there is no tar file {name}; expected {PREFIX}:PATTERN with paths or URLs, such as "
            f"{PREFIX}:shards/train-{{000..127}}.tar"
        )
    return sorted(tars, key=str)


def _stamp(tar: Path | Url) -> str:
    """What changes with a tar file."""
    if isinstance(tar, Url):
        return tar.stamp()
    file = check_regular(tar)
    return f"{tar.absolute()} {file.st_size} {file.st_mtime_ns}"


def _bytes(tar: Path, place: Place) -> bytes:
    try:
        with tar.open("rb") as file:
            file.seek(place[0])
            content = file.read(place[1])
    except OSError as error:
        raise unreadable(tar, f"{error.strerror}") from error
    if len(content) != place[1]:
        raise unreadable(tar, "it is shorter than it was")
    return content


def _index(tar: Path | Url, stamp: str) -> list[Sample]:
    """The samples of a tar file: as they were kept, or read and kept."""
    digest = hashlib.blake2b(f"{_VERSION} {tar} {stamp}".encode(), digest_size=16).hexdigest()
    kept = cache_folder() / f"tar-{digest}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
        content = json.loads(kept.read_text(encoding="utf-8"))
        return [
            Sample(key, {end: (place[0], place[1]) for end, place in members.items()}, texts)
            for key, members, texts in content
        ]
    samples = list(_samples(tar))
    with contextlib.suppress(RunError):  # a folder that cannot be written to keeps nothing
        write_json(kept, [[each.key, each.members, each.texts] for each in samples])
    return samples


def _samples(tar: Path | Url) -> Iterator[Sample]:
    """The samples of a tar file, whose members of one key follow one another."""
    sample = Sample("", {}, {})
    try:
        with tar.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
            for member in members:
                path = PurePosixPath(member.name)
                if not member.isreg() or is_hidden(path.name) or "." not in path.name:
                    continue
                stem, _, ending = path.name.partition(".")
                key, ending = str(path.with_name(stem)), ending.lower()
                if key != sample.key:
                    if sample.members:
                        yield sample
                    sample = Sample(key, {}, {})
                sample.members[ending] = (member.offset_data, member.size)
                if ending in SIDE and member.size <= _SIDE_BYTES:
                    content = members.extractfile(member)
                    text = b"" if content is None else content.read()
                    sample.texts[ending] = text.decode("utf-8", "replace")
    except tarfile.TarError as error:
        raise DataError(
            f"{tar} cannot be read as a tar file ({error}); a compressed one has to be unpacked to "
            ".tar, since its members cannot be read by their place"
        ) from error
    except OSError as error:
        raise DataError(f"{tar} cannot be read ({error}); put it back") from error
    if sample.members:
        yield sample


def _content(samples: Sequence[Sample], options: SourceOptions, name: str) -> tuple[Modality, str]:
    """The modality, and how the names of the members that hold it end."""
    known = options.modalities
    if options.kind is not None:
        known = {options.kind: known[options.kind]}
        if options.content is not None:
            return known[options.kind], options.content.lower().lstrip(".")
    endings = dict.fromkeys(ending for each in samples for ending in each.members)
    fits = [
        (modality, ending)
        for modality in known.values()
        for ending in endings
        if f".{ending}".endswith(modality.suffixes or (".txt",))
    ]
    if len({modality.name for modality, _ in fits}) > 1:  # captions stand beside pictures
        fits = [(modality, ending) for modality, ending in fits if modality.suffixes]
    if len(fits) == 1:
        return fits[0]
    ways = " or ".join(f"`{kind}`" for kind in known)
    raise DataError(
        f"it is not clear which members of {name} hold the examples: name one of "
        f"{', '.join(endings)} as {ways}"
    )


def _table(samples: Sequence[Sample], name: str) -> PlainTable:
    """What the short members say, a column each, and one for each key of the JSON."""
    rows: list[dict[str, Any]] = []
    for each in samples:
        row: dict[str, Any] = {}
        if "json" in each.texts:
            try:
                content = json.loads(each.texts["json"])
            except (ValueError, RecursionError) as error:
                raise DataError(f"{each.key}.json of {name} is no JSON ({error})") from error
            row = content if isinstance(content, dict) else {}
        rows.append(row | ({CLASS: each.texts[CLASS].strip()} if CLASS in each.texts else {}))
    if all(f"{row.get(CLASS, 0)}".isdecimal() for row in rows):
        rows = [row | {CLASS: int(row[CLASS])} if CLASS in row else row for row in rows]
    names = tuple(dict.fromkeys(key for row in rows for key in row))
    return PlainTable(name, names, [[row.get(key) for key in names] for row in rows], typed=True)
