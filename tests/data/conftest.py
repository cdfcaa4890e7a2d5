from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def png(rng: np.random.Generator) -> Callable[..., bytes]:
    """A random image of a size and mode, as a PNG file."""

    def make(h: int = 6, w: int = 5, mode: str = "RGB") -> bytes:
        pixels = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture
def folder(tmp_path: Path, png: Callable[..., bytes]) -> Callable[..., Path]:
    """Write image files of these relative names, return their root."""

    def make(*names: str, root: str = "images", **options: object) -> Path:
        for name in names:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(**options))
        return tmp_path / root

    return make


@pytest.fixture
def cifar10() -> Path:
    home = os.environ.get("MENTEE_DATA")
    if not home:
        pytest.skip("MENTEE_DATA is not set: no real data")
    return Path(home) / "cifar10"
