"""One suite over every real teacher: what each promises, whatever it learned."""

import json
import socket

import pytest
import torch

from mentee.errors import DataError, MenteeError
from mentee.teachers.pretrained import EMBEDDERS, find_embedder

SMALL = {name: {"size": 64} for name in EMBEDDERS if name.startswith("efficientnet")}


@pytest.fixture
def it(real, name):
    return real(name, **SMALL.get(name, {}))


def examples(kind, sample_rate):
    """Five examples of different sizes, the first one the smallest there is."""
    draw = torch.Generator().manual_seed(0)
    if kind == "text":
        return ["a", "the film was good", "", "Not good, not bad!", "so " * 40]
    if kind == "audio":
        lengths = (1, 100, sample_rate // 5, sample_rate // 5, sample_rate // 2)
        return [torch.rand(n, generator=draw) - 0.5 for n in lengths]
    shapes = ((1, 1, 3), (32, 32, 3), (20, 40, 1), (70, 50, 3), (32, 32, 3))
    return [torch.randint(256, shape, generator=draw).to(torch.uint8) for shape in shapes]


@pytest.mark.parametrize("name", EMBEDDERS)
def test_vectors_are_float32_of_the_width_promised_and_the_same_again(it):
    contents = examples(it.kind, it.sample_rate)
    threads = torch.get_num_threads()
    said = it.pooled(contents)
    assert said.shape == (5, it.width)
    assert said.dtype == torch.float32
    assert not said.requires_grad
    assert said.isfinite().all()
    assert torch.equal(said, it.pooled(contents))
    assert torch.get_num_threads() == threads
    assert it.pooled([]).shape == (0, it.width)


@pytest.mark.parametrize("name", EMBEDDERS)
def test_an_example_says_the_same_alone_as_among_others(it):
    contents = examples(it.kind, it.sample_rate)
    said = it.pooled(contents)
    alone = torch.cat([it.pooled([one]) for one in contents])
    torch.testing.assert_close(said, alone, rtol=1e-4, atol=1e-5)
    assert (said[3] - said[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", EMBEDDERS)
def test_the_contract_says_where_it_comes_from_and_can_be_written(it, name):
    assert json.loads(json.dumps(it.contract)) == it.contract
    assert {"learned_from", "source", "license", "pooling"} <= set(it.contract)
    assert "NC" not in it.contract["license"]
    assert it.contract.get("sample_rate") == it.sample_rate
    assert it.name == name


@pytest.mark.parametrize("name", EMBEDDERS)
def test_the_fingerprint_is_of_the_weights_and_stays(it, name, monkeypatch):

    def no_network(*given, **named):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    again = find_embedder(name, **SMALL.get(name, {}))
    assert again.fingerprint() == it.fingerprint()
    assert len(it.fingerprint()) == 32
    assert int(it.fingerprint(), 16) >= 0


@pytest.mark.parametrize("name", EMBEDDERS)
def test_contents_of_another_kind_are_refused(it, name):
    other = examples("text" if it.kind != "text" else "audio", 16000)
    with pytest.raises(DataError, match=f"{name} reads {it.kind}, each .*; got"):
        it.pooled(other)


@pytest.mark.parametrize("name", ["aisfx", "musicnn", "pesto"])
def test_frames_need_one_length(it):
    clips = torch.rand(2, it.sample_rate, generator=torch.Generator().manual_seed(1)) - 0.5
    said = it.frames(list(clips))
    assert said.shape[::2] == (2, it.width)
    torch.testing.assert_close(said[1:], it.frames([clips[1]]), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="need clips of one length, got 2 lengths"):
        it.frames([clips[0], clips[1, :-1]])


@pytest.mark.parametrize("name", ["minilm", "glove", "efficientnet-lite0"])
def test_the_others_have_no_frames(it):
    with pytest.raises(MenteeError, match="no frames; use pooled"):
        it.frames(examples(it.kind, it.sample_rate))
