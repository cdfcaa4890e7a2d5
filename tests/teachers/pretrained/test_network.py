"""A network with weights of your own, read at its embedding."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mentee import models
from mentee.errors import MenteeError
from mentee.teachers.pretrained import find_embedder


def saved(path, network, **more):
    save_file({**network.state_dict(), **more}, path)
    return path


def pixels(b=3):
    return torch.randint(256, (b, 32, 32, 3)).to(torch.uint8)


def test_the_vector_is_what_its_classifier_reads(tmp_path):
    network = models.build("resnet8-cifar", classes=7, seed=1).eval()
    path = saved(tmp_path / "a.safetensors", network)
    it = find_embedder("network:resnet8-cifar", weights=path, input="cifar10")
    images = pixels()
    x = models.normalize(images.permute(0, 3, 1, 2) / 255, models.contract_of("cifar10"))
    classifier = network.get_submodule(network.feature_layers["classifier"])
    with torch.no_grad():
        logits = classifier(it.pooled(images))
        torch.testing.assert_close(logits, network(x), rtol=1e-4, atol=1e-4)


def test_a_file_without_a_classifier_and_with_a_projection_head_fits(tmp_path):
    network = models.build("resnet8-cifar", classes=7, seed=1)
    whole = find_embedder(
        "network:resnet8-cifar", weights=saved(tmp_path / "a.safetensors", network)
    )
    head = network.feature_layers["classifier"] + "."
    body = {k: v for k, v in network.state_dict().items() if not k.startswith(head)}
    save_file({**body, "projector.weight": torch.ones(2)}, tmp_path / "b.safetensors")
    bare = find_embedder("network:resnet8-cifar", weights=tmp_path / "b.safetensors")
    images = pixels()
    torch.testing.assert_close(bare.pooled(images), whole.pooled(images))


def test_weights_of_another_network_are_refused(tmp_path):
    path = saved(tmp_path / "a.safetensors", models.build("resnet8-cifar", classes=7, seed=1))
    with pytest.raises(MenteeError, match=r"lacks .* weights of resnet14-cifar, such as"):
        find_embedder("network:resnet14-cifar", weights=path)
    other = saved(tmp_path / "b.safetensors", nn.Linear(2, 3))
    with pytest.raises(MenteeError, match=r"nothing in .* fits"):
        find_embedder("network:resnet8-cifar", weights=other)


def test_gray_weights_ask_for_one_channel(tmp_path):
    gray = models.build("resnet8-cifar", classes=7, channels=1, seed=1)
    path = saved(tmp_path / "a.safetensors", gray)
    text = (
        r"conv1\.weight: \[16, 1, 3, 3\] in the file, \[16, 3, 3, 3\] in the network; it reads 1 "
        r"channels: give the option channels=1$"
    )
    with pytest.raises(MenteeError, match=text):
        find_embedder("network:resnet8-cifar", weights=path)
    assert find_embedder("network:resnet8-cifar", weights=path, channels=1).width == 64
    wider = models.build("resnet8-cifar", classes=7, seed=1, widths=(8, 32, 64))
    path = saved(tmp_path / "b.safetensors", wider)
    text = r"bn1\.bias: \[8\] in the file, \[16\] in the network; it is of another network$"
    with pytest.raises(MenteeError, match=text):
        find_embedder("network:resnet8-cifar", weights=path)


@pytest.mark.parametrize(("name", "kind"), [("small-fcn", "audio"), ("hashed-bag-small", "text")])
def test_networks_for_audio_and_text(tmp_path, name, kind):
    network = models.build(name, classes=3, seed=1)
    it = find_embedder(f"network:{name}", weights=saved(tmp_path / "a.safetensors", network))
    assert it.kind == kind
    one, two = (
        (torch.rand(20000), torch.rand(5)) if kind == "audio" else ("a text of words", "another")
    )
    both = it.pooled([one, two])
    torch.testing.assert_close(both[:1], it.pooled([one]), rtol=1e-4, atol=1e-5)
    assert both.shape == (2, it.width)


def test_the_networks_own_options_are_passed_on_and_checked_by_it(tmp_path):
    network = models.build("resnet8-cifar", classes=7, seed=1, widths=(8, 16, 24))
    path = saved(tmp_path / "a.safetensors", network)
    it = find_embedder("network:resnet8-cifar", weights=path, widths=[8, 16, 24])
    assert it.width == 24
    with pytest.raises(MenteeError, match="resnet8-cifar has no option 'wdith'"):
        find_embedder("network:resnet8-cifar", weights=path, wdith=3)
