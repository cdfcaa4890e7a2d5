"""Folders that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from mentee.build.own_input import TRAINED
from mentee.errors import MenteeError
from mentee.exporting.graph import ShippedStudent
from mentee.exporting.layer_difference import module_layers
from mentee.exporting.runtime import OpenedStudent, as_arrays, packages, silent
from mentee.exporting.signature import KEY, read_signature
from mentee.exporting.student import Student
from mentee.files import write_json
from mentee.models import InputContract
from mentee.runs.folder import Folder

FILE, CONFIG, WEIGHTS = "", "config.json", "model.safetensors"


def write(student: Student, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`: the network alone, its preprocessing as numbers.

    Raises:
        MenteeError: it is no network of timm.
    """
    network, contract, signature = student.recipe.student, student.contract, student.signature
    zoo, _, name = network.network.partition(":")
    if zoo != "timm" or network.reuse is not None or not isinstance(contract, InputContract):
        raise MenteeError(
            f"the student is {network.network}, which timm does not know; take --format onnx, pt2 "
            "or safetensors"
        )
    channels, h, w = signature.shape
    options = {key: value for key, value in network.options.items() if key not in TRAINED}
    repeated = 1 if len(contract.mean) == channels else channels or 1
    preprocessing = {
        "input_size": [channels, contract.resize or h, contract.resize or w],
        "mean": list(contract.mean) * repeated,
        "std": list(contract.std) * repeated,
        "interpolation": (
            contract.interpolation if contract.resize else signature.prepare["interpolation"]
        ),
        "crop_pct": 1 / float(signature.prepare["margin"]),
        "crop_mode": "center",
        "num_classes": len(signature.names),
    }
    config = {
        "architecture": name.partition(".")[0],
        "num_classes": len(signature.names),
        "model_args": {**options, "in_chans": channels},
        "label_names": list(signature.names),
        "pretrained_cfg": preprocessing,
        KEY: asdict(signature),
    }
    write_json(folder / CONFIG, config)
    Folder(folder).save_weights(folder / WEIGHTS, student.network.state_dict())


def open_file(path: Path) -> OpenedStudent:
    """A folder that `write` wrote, in timm, normalized as its `config.json` tells.

    Raises:
        MenteeError: timm is missing.
    """
    (timm,) = packages("vision", "timm")
    with silent():
        network = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
        numbers = timm.data.resolve_model_data_config(network)
    signature = read_signature(json.dumps(json.loads((path / CONFIG).read_text())[KEY]), path)
    inside = {**signature.inside, "mean": numbers["mean"], "std": numbers["std"]}
    module = ShippedStudent(network, **inside).eval()
    return OpenedStudent(signature, as_arrays(module), partial(module_layers, module))
