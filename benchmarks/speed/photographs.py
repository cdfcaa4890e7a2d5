"""What the first lines of a command cost: photographs are looked at once for those of one color.

256 JPEGs of 512×384 pixels, tiled from images of CIFAR-10's test split; the CPU time of decoding
them all and of the search, in turn, with one thread; the least of some rounds.

    python benchmarks/speed/photographs.py
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import environment
from PIL import Image

from mentee.data import open_examples
from mentee.data.inspection import is_blank

COUNT, ROWS, COLUMNS, ROUNDS = 256, 12, 16, 7


def write_photographs(folder: Path) -> None:
    """One folder of JPEGs, in two classes."""
    source = open_examples("cifar10", split="test")
    for i in range(COUNT):
        rows = (i * ROWS * COLUMNS + np.arange(ROWS * COLUMNS)) % len(source)
        tiles = np.stack(source.contents.read(source.rows[rows]))
        tiles = tiles.reshape(ROWS, COLUMNS, *tiles.shape[1:]).swapaxes(1, 2)
        path = folder / "train" / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tiles.reshape(ROWS * 32, COLUMNS * 32, 3)).save(path, quality=90)


def seconds(call: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    """Measure, and write `photographs.json`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photographs(folder)

        def decode() -> None:
            examples = open_examples(name)
            assert examples.load()
            examples.refuse_unreadable(examples.contents.read)

        examples = open_examples(name)
        photographs = examples.contents.read(examples.rows)
        calls = (decode, lambda: [is_blank(each) for each in photographs])
        rounds = [[seconds(call) for call in calls] for _ in range(ROUNDS)]
    decoding, search = (min(times) for times in zip(*rounds, strict=True))
    content = {
        "what": __doc__,
        "decode_ms": round(1e3 * decoding, 1),
        "search_ms": round(1e3 * search, 1),
        "search_of_decoding": round(search / decoding, 4),
        "environment": environment(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
