"""The layers and the methods of networks of audio and text, through the command line."""

from __future__ import annotations

from typing import Any

import pytest

from mentee.catalogue.trial_inputs import trial_inputs
from mentee.models import NETWORKS, kind_of, normalize

EMBEDDINGS = {
    **{"small-fcn": 160, "mobile-fcn": 256, "cp-resnet": 512},
    **{"hashed-bag": 16, "hashed-bag-small": 16, "char-cnn": 512, "char-cnn-small": 192},
}
TITLES = {"audio": "1 s at 16000 Hz", "text": "texts of 128 bytes", "image": "3 × 8 × 8"}


@pytest.mark.parametrize("name", [name for name in NETWORKS if kind_of(name) != "image"])
def test_layers_of_each_network_of_audio_or_text(mentee: Any, name: str) -> None:
    status, out, _ = mentee("layers", name, "--classes", "7")
    head, logits, embedding, *_ = out.splitlines()
    assert status == 0
    assert head.endswith(f" parameters, {TITLES[kind_of(name)]}")
    assert logits.split()[:2] == ["logits", "7"]
    assert embedding.split()[:2] == ["embedding", str(EMBEDDINGS[name])]


@pytest.mark.parametrize(
    ("student", "teacher", "read"),
    [
        pytest.param("small-fcn", "mobile-fcn", TITLES["audio"], id="audio"),
        pytest.param("hashed-bag-small", "char-cnn-small", TITLES["text"], id="text"),
        pytest.param(
            *("small-fcn", "resnet8-cifar"),
            f"the student reads {TITLES['audio']}, the teacher {TITLES['image']} (from a record)",
            id="audio-from-image",
        ),
        pytest.param(
            *("resnet8-cifar", "char-cnn-small"),
            f"the student reads {TITLES['image']}, the teacher {TITLES['text']} (from a record)",
            id="image-from-text",
        ),
    ],
)
def test_methods_of_pairs_of_each_kind(mentee: Any, student: str, teacher: str, read: str) -> None:
    pair = ("--student", student, "--teacher", teacher, "--size", "8")
    status, out, _ = mentee("methods", "kd", *pair, "--time", "--batch", "2")
    assert status == 0
    assert f": {read}, 10 classes, " in out
    assert out.splitlines()[-1].split()[:5] == ["kd", "0", "0", "20", "B"]
    _, out, _ = mentee("methods", "crd", *pair)
    record = 2 * EMBEDDINGS.get(teacher, 64)
    assert out.splitlines()[-1].split()[-2:] == [str(record), "B"]


def test_a_method_that_keeps_the_classifier_fits_networks_of_two_kinds(mentee: Any) -> None:
    pair = ("--student", "hashed-bag-small", "--teacher", "small-fcn")
    _, out, _ = mentee("methods", "simkd-pooled", *pair)
    assert "kept" in out.splitlines()[-1]


@pytest.mark.parametrize("name", ["small-fcn", "char-cnn-small", "resnet8-cifar"])
def test_random_inputs_are_in_the_range_that_a_network_reads(name: str) -> None:
    inputs = trial_inputs(name, size=8, channels=3)
    batch = inputs.batch(4)
    least, most = {"audio": (-1, 1), "text": (ord("a"), ord("z")), "image": (0, 1)}[kind_of(name)]
    assert batch.shape == (4, *inputs.shape)
    assert least <= batch.min() < batch.max() <= most
    assert normalize(batch, inputs.contract).shape == batch.shape
    assert inputs.blank(3).shape == (3, *inputs.shape)
    assert inputs.blank().dtype == batch.dtype
