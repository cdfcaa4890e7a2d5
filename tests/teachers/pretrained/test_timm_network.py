"""Networks of timm, read before their classifier."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mentee.errors import MenteeError
from mentee.models import contract_of, normalize
from mentee.teachers.pretrained import find_embedder

timm = pytest.importorskip("timm", reason="timm is not installed")


@pytest.fixture
def trained(tmp_path):
    network = timm.create_model("test_resnet", num_classes=5)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    return network.eval(), tmp_path / "a.safetensors"


def test_the_vector_is_what_the_classifier_reads(trained):
    network, path = trained
    it = find_embedder("timm:test_resnet", weights=path, size=32)
    pixels = torch.randint(256, (2, 32, 32, 3)).to(torch.uint8)
    x = normalize(pixels.permute(0, 3, 1, 2) / 255, contract_of("timm:test_resnet"))
    with torch.no_grad():
        said = network.get_classifier()(it.pooled(pixels))
        torch.testing.assert_close(said, network(x), rtol=1e-4, atol=1e-4)


def test_random_weights_teach_nothing(trained):
    with pytest.raises(MenteeError, match="random weights and nothing to teach: give weights="):
        find_embedder("timm:test_resnet")
    with pytest.raises(MenteeError, match="not both"):
        find_embedder("timm:test_resnet", weights=trained[1], pretrained=True)


def test_weights_of_another_network_are_refused(trained):
    with pytest.raises(MenteeError, match=r"lacks .* weights of timm:test_vit|nothing in"):
        find_embedder("timm:test_vit", weights=trained[1])


def test_images_are_resized_and_cut_as_the_checkpoint_was_trained(tmp_path):
    """Against timm's own transform of PIL images, which rounds to bytes on its way."""
    network = timm.create_model("test_vit", num_classes=0).eval()
    path = tmp_path / "vit.safetensors"
    save_file(network.state_dict(), path)
    it = find_embedder("timm:test_vit.r160_in1k", weights=path)
    assert (it.contract["interpolation"], it.contract["crop_pct"]) == ("bicubic", 0.95)
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)).resize((300, 200))
    settings = timm.get_pretrained_cfg("test_vit.r160_in1k")
    how = {"mean": settings.mean, "std": settings.std, "crop_pct": settings.crop_pct}

    def read_by_timm(**more):
        with torch.no_grad():
            prepared = timm.data.create_transform((3, 160, 160), **how | more)(image)
            return network(prepared[None])

    vector = it.pooled([torch.from_numpy(np.array(image))])
    off = (vector - read_by_timm(interpolation="bicubic")).abs().max()
    assert off < 0.2 * (vector - read_by_timm(interpolation="bilinear")).abs().max()
    assert off < 0.2 * (vector - read_by_timm(interpolation="bicubic", crop_pct=1.0)).abs().max()
