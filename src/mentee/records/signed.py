"""JSON files that know when they were changed: a checksum inside, and one way to write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mentee import files


def write_signed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with its own checksum, atomically.

    Args:
        path: where it goes.
        content: JSON-able, without the key `checksum`.
    """
    files.write_json(path, {**content, "checksum": digest_of(content)})


def read_signed(path: Path) -> dict[str, Any]:
    """Read what `write_signed` wrote; it is a ValueError where a byte has changed.

    The checksum is not compared here, so that a newer format can be told from damage: `check`.
    """
    said = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    return said


def check(path: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    """The content without its checksum, which has to be right.

    Raises:
        ValueError: it is not, or the file is not written as `write_signed` writes.
    """
    content = {key: value for key, value in said.items() if key != "checksum"}
    text = json.dumps(said, indent=2) + "\n"
    if said.get("checksum") != digest_of(content) or path.read_text(encoding="utf-8") != text:
        raise ValueError("its checksum is another one")
    return content


def digest_of(content: Mapping[str, Any]) -> str:
    """BLAKE2b of what a JSON object says, 32 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
