"""The steps of a few runs on a device, and where the host waits for it in each of them.

    python -m tests.training.device_steps CASES       # JSON: case to the waits of two steps
    python -m tests.training.device_steps FAULTS      # of losses with faults, and of none

On a machine without CUDA the device is that of `tests.second_device`, which counts the waits; with
CUDA torch itself refuses to wait (`torch.cuda.set_sync_debug_mode("error")`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from torch import Tensor

from mentee import models, record_network, train
from mentee.build import resolve
from mentee.distillation.weights import measurement
from mentee.errors import DivergedError
from mentee.losses import LOSSES
from mentee.memory import record_rows
from mentee.recording import networks
from mentee.recording.embedders import import_vectors
from mentee.runs.checkpoint import list_checkpoints
from mentee.training import trainer
from mentee.types import Step
from tests import second_device

BEFORE, LAST = 1, 3
"""Steps before those that are looked at, and the last of these."""
N = 40

USUAL = """
data: {source: arrays, views: crop, pad: 1, validation: null, test: null}
student: {network: resnet8-cifar, options: {widths: [4, 8, 8], stem: 4}}
teacher: $network
train: {epochs: 1, batch: 8, lr: 0.001}
select: {keep: last}
"""
CASES = """
soft targets: {method: lskd+hard-label+dkd+nkd+dist+ttm+wttm+mlkd+output-mse}
features:
  method:
    name: sp+rkd+rkd-distance+rkd-angle+pkt+cc+rrd+dcd+itrd+cka+fitnet+at+nst+vid+ickd+ofd+ft+ab+\
fsp+reviewkd+semckd
    params: {paraphraser.steps: 2}
default contrast: {method: crd+cktf}
bank: {method: {name: crd-bank+cktf-bank+kd, params: {memory.negatives: 20}}}
exact bank: {method: {name: crd-exact+cktf-exact, params: {memory.negatives: 8}}}
sharded bank:
  method: {name: crd-bank, params: {memory.kind: sharded_bank, memory.negatives: 20}}
queue: {method: {name: crd-bank, params: {memory.kind: queue, memory.negatives: 30}}}
reused classifier: {method: simkd}
reused classifier, pooled: {method: simkd-pooled}
embeddings:
  teacher: $vectors
  method:
    name: east+east-cosine+pca+random+to-teacher+phi-s+similarity+probe-kd
    params: {pca.width: 8, random.width: 8, probe.steps: 2}
embeddings, compressed:
  teacher: $vectors
  method: {name: ec, params: {compress.width: 8, compress.steps: 2}}
embeddings, compressed meanwhile:
  teacher: $vectors
  method: {name: ec-kd, params: {compress.width: 8}}
embeddings, published:
  teacher: $vectors
  method: {name: ec-published, params: {compress.width: 8}}
recorded rows as negatives: &rows
  teacher: $vectors
  method:
    name: own
    terms:
      - layers: embedding
        representation: {name: unit, of: {name: to_teacher}}
        loss: {name: info_nce}
        memory: {name: record, params: {negatives: 20}}
        weight: 1.0
      - layers: embedding
        representation: {name: unit, of: {name: to_teacher}}
        loss: {name: sigmoid_contrast}
        memory: {name: record, params: {negatives: 20}}
        weight: 1.0
recorded rows, read for each batch: *rows
recorded, in memory: {teacher: {record: $recorded, clean: true}, method: cktf+kd}
recorded, by view: {teacher: {record: $recorded}, data: {cycle: 2}, method: cktf+kd}
several teachers:
  teacher:
    teachers: {net: $network, vec: $vectors}
    methods: {net: kd, vec: {name: to-teacher}}
    dropout: 0.3
  method: {balance: uncertainty}
the student's average: {teacher: {ema: 0.9}, method: kd}
unit: {method: {name: at+kd, balance: unit}}
uncertainty: {method: {name: at+kd, balance: uncertainty}}
gradient: {method: {name: at+kd, balance: gradient}}
many keys:
  method: kd+cktf
  train: {optimizer: adamw, weight_decay_all: false, gradient_accumulation: 2, max_grad_norm: 1.0,
    ema: 0.9, label_smoothing: 0.1, class_weights: balanced, mixup: 0.3}
bfloat16: {method: cktf+kd, train: {precision: bfloat16}}
label-free: {data: {label: false}, method: cktf}
semi-supervised: {data: {limit: 20, unlabeled: {share: 0.5}}, method: kd+crd}
several labels:
  labels: bits
  method:
    name: binary-kd+east-kd+ec-binary-kd+probe-binary-kd
    params: {compress.width: 8, probe.steps: 2}
  train: {class_weights: balanced}
real values:
  labels: values
  teacher: $regression
  method: output-mse+bounded-regression
"""


class EnoughError(Exception):
    """The steps that are looked at are done."""


class Material:
    """What the cases learn from."""

    def __init__(self, folder: Path) -> None:
        random, options = np.random.default_rng(5), {"widths": [8, 8, 16], "stem": 4}
        self.network, self.regression = (
            {"network": "resnet8-cifar", "classes": k, "options": options}
            | {"weights": str(folder / f"{k}.safetensors")}
            for k in (10, 1)
        )
        for made in (self.network, self.regression):
            network = models.build(
                "resnet8-cifar", classes=made["classes"], channels=1, seed=0, **options
            )
            save_file(network.state_dict(), made["weights"])
        self.images = random.integers(0, 256, (N, 8, 8, 1), dtype=np.uint8)
        bits = (random.random((N, 10)) < 0.5).astype(np.float32)
        bits[::7, 3] = np.nan
        self.labels = {"classes": np.arange(N) % 10, "bits": bits, "values": random.random(N)}
        self.recorded = str(folder / "recorded")
        whole = self.filled(yaml.safe_load(USUAL) | {"method": "cktf+kd"})
        record_network(whole, self.recorded, views=2, say=silent, data=self.data("classes"))
        ids = [str(number) for number in range(N)]
        vectors = random.normal(size=(N, 12)).astype(np.float32)
        np.savez(folder / "vectors.npz", ids=ids, embedding=vectors)
        import_vectors(folder / "vectors.npz", self.data("classes"), folder / "vectors", say=silent)
        self.vectors = {"record": str(folder / "vectors"), "clean": True}

    def data(self, labels: str) -> dict[str, Any]:
        """The examples with one kind of labels."""
        ids = [str(number) for number in range(N)]
        return {"image": self.images, "label": self.labels[labels], "id": ids}

    def filled(self, value: Any) -> Any:
        """A recipe with what is made here in the place of `$NAME`."""
        if isinstance(value, Mapping):
            return {key: self.filled(each) for key, each in value.items()}
        return getattr(self, value[1:]) if isinstance(value, str) and value[:1] == "$" else value


def silent(line: str) -> None:
    """Say nothing of it."""


def recipe(name: str) -> dict[str, Any]:
    """The recipe of a case, with all that it leaves out."""
    own, whole = yaml.safe_load(CASES)[name], yaml.safe_load(USUAL)
    return whole | own | {part: whole[part] | own.get(part, {}) for part in ("data", "train")}


def waits(name: str, material: Material, folder: Path) -> dict[str, int]:
    """Where the host waits for the device in the two steps after `BEFORE`, and how often."""
    marks: list[int] = []

    def on_step(step: Step) -> None:
        marks.append(len(second_device.waits))
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("error" if BEFORE <= step.number < LAST else "default")
        if step.number == LAST:
            raise EnoughError

    asked = material.filled(recipe(name))
    data = material.data(asked.pop("labels", "classes"))
    record_rows.LARGEST_TABLE = 0 if "read for each batch" in name else 1 << 30
    with contextlib.suppress(EnoughError):
        train(asked, data=data, out=folder / name, quiet=True, on_step=on_step)
        raise AssertionError(f"{name} ended after {len(marks)} steps")
    return dict(Counter(second_device.waits[marks[BEFORE - 1] : marks[LAST - 1]]))


def reads(material: Material, folder: Path) -> dict[str, int]:
    """The waits of a loss that reads what it is given."""
    with changed_kl(lambda loss: loss + 0 * loss.mean().item()):
        return waits("the student's average", material, folder)


def diverges(material: Material, folder: Path) -> dict[str, Any]:
    """The error of a loss that is nan in step 3, and the checkpoints, one every two steps."""
    calls: list[int] = []

    def third(loss: Tensor) -> Tensor:
        calls.append(1)
        return loss + (torch.nan if len(calls) == 3 else 0)

    asked = material.filled(recipe("the student's average")) | {"save": {"steps": 2}}
    with changed_kl(third):
        try:
            train(asked, data=material.data("classes"), out=folder / "nan", quiet=True)
        except DivergedError as error:
            kept = [path.name for path in list_checkpoints(folder / "nan" / "checkpoints")]
            return {"error": str(error).partition(":")[0], "steps": len(calls), "kept": kept}
    raise AssertionError("a loss that is nan was not noticed")


def weights(material: Material, folder: Path) -> dict[str, Any]:
    """The student of a whole run."""
    asked = material.filled(recipe("many keys")) | {"method": "kd+at"}
    run = train(asked, data=material.data("classes"), out=folder, quiet=True)
    tensors = load_file(run.path / "student.safetensors")
    return {name: each.flatten().tolist() for name, each in tensors.items()}


@contextlib.contextmanager
def changed_kl(change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The loss `kl` with its values changed."""
    spec = LOSSES["kl"]

    @functools.wraps(spec.function)
    def changed(*args: Any, **params: Any) -> Tensor:
        return change(spec.function(*args, **params))

    LOSSES["kl"] = replace(spec, function=changed)
    yield
    LOSSES["kl"] = spec


class OnSecondDevice(Accelerator):
    """Processes and precision as on the CPU, on the device of `tests.second_device`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for state in (AcceleratorState, PartialState):
            state._shared_state["device"] = torch.device(second_device.NAME, 0)


def main(what: str) -> None:
    """Run the cases, or those with faults, and print what was found."""
    torch.set_num_threads(1)
    measurement.FIRST = 1  # the losses of the first steps are read one by one
    trainer.check_teachers = lambda parts, say: {}  # scores of a teacher, before the first step
    networks.check_for_record = lambda *args: None
    gpu = torch.cuda.is_available()
    if not gpu:
        second_device.register()  # before the first backward pass, which counts the devices
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        material = Material(folder)
        on_cpu = {} if gpu or what == "CASES" else weights(material, folder / "on the cpu")
        if not gpu:
            resolve.Accelerator = OnSecondDevice
        if what == "CASES":
            for name in yaml.safe_load(CASES):
                print(json.dumps({name: waits(name, material, folder)}), flush=True)
            return
        found = {"reads": reads(material, folder), "diverges": diverges(material, folder)}
        print(json.dumps(found))
        print(json.dumps({"same weights": weights(material, folder / "there") == on_cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
