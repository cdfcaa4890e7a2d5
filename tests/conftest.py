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
