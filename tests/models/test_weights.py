from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mentee.errors import MenteeError
from mentee.models import CONTRACTS, build, classes_of, count_parameters, load_weights, normalize


def thin(classes=4, seed=0, widths=(4, 4, 8)):
    return build("resnet8-cifar", classes=classes, seed=seed, widths=widths)


def equal(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def wrapped(state):
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".safetensors", dict),
        (".pt", dict),
        (".pth", lambda state: {"state_dict": state, "epoch": 3}),
        (".ckpt", lambda state: {"model": wrapped(state), "optimizer": {}, "best_acc": 0.5}),
        (".bin", wrapped),
    ],
)
def test_weights_survive_the_way_through_a_file(tmp_path, suffix, pack):
    source, target = thin(seed=1), thin(seed=2)
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(pack(source.state_dict()), path)
    assert not equal(source, target)
    assert load_weights(target, path) == []
    assert equal(source, target)


def test_counters_of_batch_norm_may_be_absent(tmp_path):
    source, target = thin(seed=1), thin(seed=2)
    saved = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(saved, tmp_path / "old.safetensors")
    assert load_weights(target, str(tmp_path / "old.safetensors")) == []
    assert equal(source, target)


def test_another_number_of_classes_is_named_and_the_rest_can_be_loaded(tmp_path):
    source, target = thin(classes=100, seed=1), thin(classes=10, seed=2)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    message = r"classifier for 100 classes, this network has 10: build it with classes=100.*strict"
    with pytest.raises(MenteeError, match=message):
        load_weights(target, tmp_path / "w.safetensors")
    assert equal(target, thin(classes=10, seed=2))
    head = target.fc.weight.clone()
    left = load_weights(target, tmp_path / "w.safetensors", strict=False)
    assert left == ["fc.bias", "fc.weight"]
    assert torch.equal(target.fc.weight, head)
    assert torch.equal(target.layer3[0].conv1.weight, source.layer3[0].conv1.weight)


def test_the_classifier_of_a_network_without_places_is_its_last_linear_layer(tmp_path):
    save_file(
        nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 7)).state_dict(), tmp_path / "w.safetensors"
    )
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))
    with pytest.raises(MenteeError, match="classifier for 7 classes, this network has 5"):
        load_weights(network, tmp_path / "w.safetensors")
    wider = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 7))
    with pytest.raises(MenteeError, match=r"other shape.*0\.weight \[3, 4\] against \[2, 4\]"):
        load_weights(wider, tmp_path / "w.safetensors")


def test_what_is_missing_unknown_or_of_another_shape_is_listed_shortly(tmp_path):
    path = tmp_path / "w.safetensors"
    state = build("resnet14-cifar", classes=4, widths=(4, 4, 6)).state_dict()
    del state["bn1.weight"]
    save_file(state, path)
    with pytest.raises(MenteeError) as caught:
        load_weights(thin(), path)
    text = str(caught.value)
    assert "missing in the file (1): bn1.weight" in text
    assert "unknown to the network (36): layer1.1.bn1.bias" in text
    assert "and 31 more" in text
    assert "layer3.0.bn1.bias [6] against [8]" in text
    assert len(text) < 1000
    assert equal(thin(), thin())


def test_a_file_of_which_nothing_fits_is_refused_even_when_not_strict(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(
        MenteeError, match=r"(?s)nothing in .* fits\. .*unknown to the network \(1\): a"
    ):
        load_weights(thin(), tmp_path / "w.safetensors", strict=False)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MenteeError, match=r"there is no file .*none\.pt"):
        load_weights(thin(), tmp_path / "none.pt")
    with pytest.raises(MenteeError, match="there is no file"):
        load_weights(thin(), tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all, but long enough to be read"])
def test_what_is_not_a_checkpoint_is_said_to_be_none(tmp_path, suffix, content):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(MenteeError, match=r"cannot be read as weights .*expected a safetensors"):
        load_weights(thin(), path)


def test_other_files_and_contents_are_refused(tmp_path):
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(MenteeError, match=r"read from \.safetensors, \.pt"):
        load_weights(thin(), tmp_path / "w.h5")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(MenteeError, match="holds a list, not named tensors"):
        load_weights(thin(), tmp_path / "list.pt")
    torch.save({"epoch": 3, "a": torch.ones(1)}, tmp_path / "mixed.pt")
    with pytest.raises(MenteeError, match="more than named tensors, or none: epoch"):
        load_weights(thin(), tmp_path / "mixed.pt")


def test_a_whole_saved_network_is_not_unpickled(tmp_path):
    torch.save(thin(), tmp_path / "whole.pt")
    with pytest.raises(MenteeError, match=r"torch\.save\(network\.state_dict\(\), path\)"):
        load_weights(thin(), tmp_path / "whole.pt")


def test_count_parameters_counts_a_shared_one_once_and_no_buffer():
    shared = nn.Linear(3, 3)
    network = nn.Sequential(shared, shared, nn.BatchNorm1d(3))
    assert count_parameters(network) == 3 * 3 + 3 + 2 * 3


def test_classes_of_leaves_the_modes_as_they_were():
    network = thin(classes=9)
    network.layer2.eval()
    before = [module.training for module in network.modules()]
    statistics = network.bn1.running_mean.clone()
    assert classes_of(network, torch.rand(1, 3, 8, 8)) == 9
    assert [module.training for module in network.modules()] == before
    assert torch.equal(network.bn1.running_mean, statistics)
    with pytest.raises(MenteeError, match=r"expected logits \[b, k\] from Conv2d, got shape"):
        classes_of(nn.Conv2d(3, 2, 1), torch.rand(1, 3, 4, 4))


def folder(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set")
    return Path(path)


@pytest.mark.data
def test_the_shared_teacher_loads_and_knows_cifar10():
    parquet = pytest.importorskip("pyarrow.parquet")
    from io import BytesIO

    from PIL import Image

    weights = folder("MENTEE_MODELS") / "resnet20-cifar10.safetensors"
    file = parquet.ParquetFile(folder("MENTEE_DATA") / "cifar10" / "test.parquet")
    rows = next(file.iter_batches(512)).to_pylist()
    images = [np.asarray(Image.open(BytesIO(row["image"]["bytes"]))) for row in rows]
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    labels = torch.tensor([row["label"] for row in rows])
    teacher = build("resnet20-cifar", classes=10)
    assert load_weights(teacher, weights) == []
    with torch.no_grad():
        logits = teacher.eval()(normalize(x, CONTRACTS["cifar10"]))
    accuracy = float((logits.argmax(1) == labels).float().mean())
    # 85.81 % on all 10,000; three standard errors of 512 images are 4.6 points.
    assert 0.81 < accuracy < 0.91


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.bool])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_whole_numbers_are_no_weights(tmp_path, suffix, dtype, strict):
    state = {**thin(seed=1).state_dict(), "conv1.weight": torch.ones(4, 3, 3, 3, dtype=dtype)}
    path, network = tmp_path / f"w{suffix}", thin(seed=2)
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(
        MenteeError, match=r"has whole numbers for weights \(1\): conv1.weight; exp"
    ):
        load_weights(network, path, strict=strict)
    assert equal(network, thin(seed=2))
