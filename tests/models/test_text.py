"""What the networks of text promise; `test_sizes.py` counts their parameters."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.features import Capture, resolve
from mentee.models import CharCNN, HashedBag, build

TEXTS = [b"Not bad at all!", b"", b"A", "ein schöner Film".encode(), b"the worst film I have seen"]
THIN = {
    "hashed-bag": {"buckets": 300, "hidden": 8},
    "hashed-bag-small": {"buckets": 300},
    "char-cnn": {"width": 6, "widths": (8, 8, 10, 12)},
    "char-cnn-small": {"width": 4, "widths": (4, 6, 6, 8)},
}


def padded(texts, length=40):
    rows = [list(text) + [0] * (length - len(text)) for text in texts]
    return torch.tensor(rows, dtype=torch.uint8)


def thin(name, seed=0):
    return build(name, classes=3, seed=seed, **THIN[name])


def wanted(name):
    return ["stem", *(["stages"] if name.startswith("char") else []), "embedding", "logits"]


def test_places_of_the_bag_are_vectors():
    network = build("hashed-bag-small", classes=3, seed=0)
    layers = resolve(network, wanted("hashed-bag"), padded(TEXTS))
    assert [layer.layout for layer in layers] == ["vector"] * 3
    assert min(layer.shape[0] for layer in layers[:2]) >= 16
    assert layers[2].shape == (3,)


def test_places_of_the_convolutions_are_tokens():
    network = build("char-cnn-small", classes=3, seed=0)
    layers = resolve(network, wanted("char-cnn"), padded(TEXTS, 50))
    shapes = [(50, 48), (25, 48), (13, 64), (7, 96), (192,), (3,)]
    assert [layer.shape for layer in layers] == shapes
    assert [layer.layout for layer in layers] == ["tokens"] * 4 + ["vector"] * 2


@pytest.mark.parametrize("name", THIN)
def test_every_parameter_learns_from_the_layers(name):
    network, x = thin(name), padded(TEXTS)
    with Capture(network, resolve(network, wanted(name), x)) as capture:
        features = capture.capture(x)
    sum((value - 1).square().mean() for value in features.values()).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert bool(parameter.grad.any()), path


@pytest.mark.parametrize("name", THIN)
@pytest.mark.parametrize("training", [True, False])
def test_what_stands_behind_the_end_changes_nothing(name, training):
    network = thin(name).train(training)
    with torch.no_grad():
        want = network(padded(TEXTS, 26))
        for length in (27, 31, 64):
            torch.testing.assert_close(network(padded(TEXTS, length)), want)
        alone = torch.cat([network(padded([text], max(1, len(text)))) for text in TEXTS])
        torch.testing.assert_close(alone, want)


@pytest.mark.parametrize("name", THIN)
def test_texts_without_a_byte_are_finite(name):
    network = thin(name)
    loss = network(torch.zeros(2, 1, dtype=torch.uint8)).square().sum()
    loss.backward()
    assert bool(loss.isfinite())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("name", THIN)
def test_bytes_may_be_int64_and_are_left_alone(name):
    network, x = thin(name), padded(TEXTS)
    before = x.clone()
    assert torch.equal(network(x), network(x.long()))
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", THIN)
def test_mixed_precision_is_close(name):
    network, x = thin(name), padded(TEXTS)
    with torch.no_grad():
        want = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            given = network(x).float()
    assert float((given - want).norm()) < 0.05 * float(want.norm())


@pytest.mark.parametrize("name", THIN)
def test_channels_last_changes_nothing(name):
    network, x = thin(name), padded(TEXTS)
    want = network(x)
    assert torch.equal(network.to(memory_format=torch.channels_last)(x), want)


@pytest.mark.parametrize("name", THIN)
def test_a_state_dict_makes_the_same_network(name):
    network, other, x = thin(name), thin(name, seed=1), padded(TEXTS)
    assert not torch.equal(network(x), other(x))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(x), other(x))
    assert all(value.is_floating_point() for value in network.state_dict().values())


@pytest.mark.parametrize("name", THIN)
def test_the_whole_network_can_be_exported_from_bytes(name):
    network, x = thin(name).eval(), padded(TEXTS)
    exported = torch.export.export(network, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    more = padded([*TEXTS, b"and one more"])
    torch.testing.assert_close(exported.module()(more), network(more))


def test_the_bag_is_the_mean_of_its_formula():
    network, x = HashedBag(classes=3, buckets=100, hidden=7), padded(TEXTS)
    state, rows = network.state_dict(), []
    for numbers in network.grams(x).tolist():
        known = [state["bag.table.weight"][number] for number in numbers if number]
        rows.append(sum(known) / len(known) if known else torch.zeros(16))
    hidden = F.linear(torch.stack(rows), state["hidden.0.weight"], state["hidden.0.bias"])
    want = F.linear(hidden.relu(), state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(network(x), want)


def test_the_row_for_nothing_stays_zero():
    network = HashedBag(classes=2, buckets=50)
    optimizer = torch.optim.SGD(network.parameters(), 1.0)
    network(padded(TEXTS)).square().sum().backward()
    optimizer.step()
    assert not network.bag.table.weight[0].any()


def test_stages_of_the_convolutions_are_the_formula_of_each_position():
    network, text = CharCNN(classes=2, width=5, widths=(6, 6, 6, 6)), b"a film, not bad"
    state, t = network.state_dict(), len(text)

    def layer(path, x, kernel):
        weight, half = state[f"{path}.conv.weight"], kernel // 2
        out = []
        for i in range(len(x)):
            near = [(k, x[i + k - half]) for k in range(kernel) if 0 <= i + k - half < len(x)]
            out.append(sum(weight[:, :, k] @ value for k, value in near))
        norm = (state[f"{path}.norm.weight"], state[f"{path}.norm.bias"])
        return [F.layer_norm(value, value.shape, *norm).relu() for value in out]

    x = layer("stem", [state["bytes.weight"][byte] for byte in text], 5)
    for stage in ("stage1", "stage2", "stage3"):
        x = [torch.stack(x[i : i + 2]).amax(0) for i in range(0, len(x), 2)]
        x = layer(f"{stage}.conv1", x, 3)
        x = [a + b for a, b in zip(x, layer(f"{stage}.conv2", x, 3), strict=True)]
    assert len(x) == -(-t // 8)
    pooled = torch.cat([sum(x) / len(x), torch.stack(x).amax(0)])
    want = F.linear(pooled, state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(network(padded([text]))[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HashedBag(classes=2, buckets=0), "at least 1 bucket, not 0"),
        (lambda: HashedBag(classes=2, width=0), "width is at least 1 .* not 0 and 0"),
        (lambda: HashedBag(classes=2, hidden=-1), "hidden at least 0, not 16 and -1"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(MenteeError, match=message):
        make()
