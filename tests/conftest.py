"""What several tests share: a fixed random state, and where outside numbers and data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _own_random_numbers():
    """Each test begins from the same random state, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """What is decoded in a test is kept for the tests alone."""
    before = os.environ.get("MENTEE_CACHE")
    os.environ["MENTEE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["MENTEE_CACHE"]
    else:
        os.environ["MENTEE_CACHE"] = before


def folder_from(variable: str) -> Path:
    """The folder an environment variable names, or a skip that says why."""
    given = os.environ.get(variable)
    if not given or not Path(given).is_dir():
        pytest.skip(f"{variable} names no folder; set it to run this test")
    return Path(given)


@pytest.fixture
def reference() -> Path:
    """Losses and gradients computed by other people's code."""
    return folder_from("MENTEE_REFERENCE")


@pytest.fixture
def cifar10() -> Path:
    """The folder with CIFAR-10's train.parquet and test.parquet."""
    return folder_from("MENTEE_DATA") / "cifar10"


@pytest.fixture
def teacher_weights() -> Path:
    """A ResNet-20 trained on CIFAR-10."""
    return folder_from("MENTEE_MODELS") / "resnet20-cifar10.safetensors"
