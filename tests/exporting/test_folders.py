"""The formats that are folders: for timm, and a state dict with its class."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch
from safetensors import safe_open

import mentee
from mentee import models
from mentee.errors import MenteeError
from mentee.exporting.graph import ShippedStudent
from mentee.exporting.source import Bundle


def test_timm_loads_the_folder_with_its_preprocessing(run_of):
    run, data = run_of("timm")
    folder = mentee.export(run, data=data, format="timm").path
    assert folder == run / "export" / "timm"
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    numbers = timm.data.resolve_model_data_config(network)
    assert numbers["input_size"] == (3, 32, 32)
    assert numbers["crop_pct"] == pytest.approx(7 / 8)
    assert network.pretrained_cfg["label_names"] == ["0", "1", "2"]
    x = torch.rand(4, 3, 32, 32)
    mean, std = (torch.tensor(numbers[name])[:, None, None] for name in ("mean", "std"))
    pt2 = mentee.export(run, data=data, format="pt2", dtype="float32").path
    with torch.no_grad():
        expected = torch.export.load(pt2).module()(x)
        torch.testing.assert_close(network((x - mean) / std), expected, atol=1e-5, rtol=1e-5)


def test_a_network_of_ours_is_none_of_timm(run_of, tmp_path):
    with pytest.raises(MenteeError, match="resnet8-cifar, which timm does not know; take --format"):
        mentee.export(run_of("digits")[0], format="timm", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_of_timm_has_no_class_of_ours(run_of, tmp_path):
    run, data = run_of("timm")
    with pytest.raises(MenteeError, match="for Mentee's own networks alone"):
        mentee.export(run, data=data, format="safetensors", out=tmp_path / "out")
    with pytest.raises(MenteeError, match="needs --format onnx or pt2"):
        mentee.export(run, data=data, format="timm", output="embedding")


@pytest.mark.parametrize("name", ["digits", "audio", "text", "regression"])
def test_a_state_dict_and_its_class_need_no_mentee(exported_of, name):
    exported = exported_of(name, "safetensors")
    folder = exported.path
    assert exported.parity.difference < 1e-5 * max(1, exported.parity.largest)
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert "names" in file.metadata()["mentee"]
    inputs = torch.randint(1, 100, (3, *exported.signature.shape))
    inputs = inputs.to(getattr(torch, exported.signature.dtype)) / (100 if name == "audio" else 1)
    inputs = inputs.to(getattr(torch, exported.signature.dtype))
    torch.save(inputs, folder / "x.pt")
    code = (
        "import sys; sys.modules['mentee'] = sys.modules['jaxtyping'] = None\n"
        "import torch, network\n"
        "torch.save(network.load()(torch.load('x.pt')).detach(), 'y.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    pt2 = exported_of(name, "pt2").path
    with torch.no_grad():
        expected = torch.export.load(pt2).module()(inputs)
    torch.testing.assert_close(torch.load(folder / "y.pt"), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", models.NETWORKS)
def test_the_source_of_each_network_stands_alone(name):
    make = models.NETWORKS[name]
    made = getattr(make, "func", make)
    bundle = Bundle()
    bundle.add(made.__module__, made.__name__)
    bundle.add(ShippedStudent.__module__, ShippedStudent.__name__)
    assert "mentee" not in bundle.text().replace("mentee-", "")
    assert "jaxtyping" not in bundle.text()
    names: dict = {}
    exec(compile(bundle.text(), name, "exec"), names)
    options = dict(getattr(make, "keywords", {}))
    arguments = getattr(make, "args", ())
    with torch.device("meta"):
        network = names[made.__name__](*arguments, classes=3, **options)
        expected = models.build(name, classes=3).state_dict()
    shapes = {key: each.shape for key, each in network.state_dict().items()}
    assert shapes == {key: each.shape for key, each in expected.items()}
