from __future__ import annotations

import io
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("MENTEE_CACHE", str(tmp_path / "decoded"))


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
def wav(tmp_path: Path, rng: np.random.Generator) -> Callable[..., Path]:
    """Write a WAV file of this relative name, return its path."""

    def make(
        name: str, samples: Any = 800, *, sample_rate: int = 16_000, root: str = "clips"
    ) -> Path:
        pcm = rng.integers(-(2**15), 2**15, samples) if isinstance(samples, int) else samples
        pcm = np.asarray(pcm, "<i2")
        path = tmp_path / root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(pcm.tobytes())
        return path

    return make


@pytest.fixture
def real() -> Callable[[str], Path]:
    """A folder of the real data, or a skip that says why."""

    def find(name: str) -> Path:
        home = os.environ.get("MENTEE_DATA")
        if not home or not (Path(home) / name).is_dir():
            pytest.skip(f"MENTEE_DATA has no folder {name}: no real data")
        return Path(home) / name

    return find


@pytest.fixture
def cifar10() -> Path:
    home = os.environ.get("MENTEE_DATA")
    if not home:
        pytest.skip("MENTEE_DATA is not set: no real data")
    return Path(home) / "cifar10"
