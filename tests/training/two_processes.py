"""The same few trainings in one process or in two, to be compared; started by test_parallel."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from mentee import models, resume, train
from mentee.api import Interrupted
from mentee.parallel import exit_process, rank, world

RATE = 0.05


def cktf(**numbers: Any) -> dict[str, Any]:
    """CKTF+KD with a memory."""
    return {"name": "cktf-bank+kd", "params": {f"memory.{k}": v for k, v in numbers.items()}}


def one_term(agree: str) -> dict[str, Any]:
    """An agreement at the embedding, without a memory."""
    return {"name": agree, "terms": [{"layers": "embedding", "loss": agree, "weight": 1.0}]}


def similarity(**numbers: Any) -> dict[str, Any]:
    """The row of that name with another memory."""
    return {"name": "similarity", "params": {f"memory.{k}": v for k, v in numbers.items()}}


METHODS: dict[str, dict[str, Any]] = {
    "shared": cktf(negatives=48),
    "whole-bank": cktf(negatives=200),
    "sharded": cktf(kind="sharded_bank", negatives=48),
    "sharded-whole": cktf(kind="sharded_bank", negatives=200),
    "exact": cktf(negatives=48, draw="exact"),
    "queue": cktf(kind="queue", negatives=70),
    "batch": cktf(kind="batch"),
    "east": {"name": "east"},
    "east-cosine": {"name": "east-cosine"},
    "ec": {"name": "ec", "params": {"compress.width": 8}},
    "similarity": similarity(negatives=70),
    "similarity-bank": similarity(kind="bank", negatives=48),
    "similarity-sharded": similarity(kind="sharded_bank", negatives=48),
    "similarity-batch": one_term("similarity_kl"),
    "cka": one_term("cka"),
    "rkd": {"name": "rkd"},
    "dist": {"name": "dist", "params": {"dist.temperature": 1.0}},
    "ab": {"name": "ab"},
    "fsp": {"name": "fsp"},
    "ft": {"name": "ft", "params": {"paraphraser.learn": "joint"}},
    "ofd": {"name": "ofd"},
    "semckd": {"name": "semckd", "weights": {"squared": 1.0}},
    "unit": {**cktf(negatives=48), "balance": "unit"},
    "uncertainty": {**cktf(negatives=48), "balance": "uncertainty"},
    "gradient": {**cktf(negatives=48), "balance": "gradient", "weights": {"contrast": 0.3}},
    "in-batch": {"name": "cktf+kd"},
    "gradient-of-a-batch": {"name": "rkd", "balance": "gradient"},
}


def without_batch_norm(seed: int, widths: tuple[int, ...]) -> nn.Module:
    """A CIFAR ResNet whose examples do not see one another."""
    network = models.build("resnet8-cifar", classes=10, channels=1, seed=seed, widths=widths)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(2, child.num_features))
    return network


def recipe(method: Any, teacher: Any = "given", **training: Any) -> dict[str, Any]:
    """Five steps of plain gradient descent, so that a step is the gradient times the rate."""
    plain = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "lr": RATE}
    data = {"source": "embedded:digits", "views": "crop", "pad": 1, "limit": 160}
    return {
        "data": {**data, "validation": None, "test": None},
        "student": "given",
        "teacher": teacher,
        "method": method,
        "train": {"epochs": 1, "batch": 32, **plain, **training},
        "save": {"minutes": None},
    }


def several(folder: Path) -> dict[str, Any]:
    """Two teachers, one of which is dropped for half of the examples."""
    teachers = {}
    for seed, name in enumerate(("a", "b"), start=3):
        network = models.build("resnet8-cifar", classes=10, channels=1, seed=seed)
        save_file(network.state_dict(), folder / f"{name}.safetensors")
        weights = str(folder / f"{name}.safetensors")
        teachers[name] = {"network": "resnet8-cifar", "weights": weights}
    return {"teachers": teachers, "dropout": 0.5}


def trained(out: Path, method: Any, teacher: Any = "given", **training: Any) -> dict[str, Any]:
    """A training's losses and weights of every step, and all that its checkpoint holds."""
    student = without_batch_norm(1, (8, 16, 32))
    student.__deepcopy__ = partial(itself, student)  # a run trains a copy, and this one is watched
    given = without_batch_norm(2, (16, 32, 64)) if teacher == "given" else None
    weights, steps = [copy(student)], []

    def note(step: Any) -> None:
        steps.append(step)
        weights.append(copy(student))

    train(
        recipe(method, teacher, **training),
        out=out,
        student=student,
        teacher=given,
        quiet=True,
        on_step=note,
    )
    state = torch.load(out / "checkpoints" / f"step-{steps[-1].number:08d}.pt", weights_only=True)
    return {
        "losses": [dict(step.losses) for step in steps],
        "loss": [step.loss for step in steps],
        "examples": [step.examples for step in steps],
        "weights": weights,
        "heads": state["adapters"],
        "memory": state["memories"],
        "loss_weights": state["loss_weights"],
    }


def itself(network: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """The first copy of a network: itself."""
    del network.__deepcopy__
    return network


def copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def gradients(found: dict[str, Any]) -> list[dict[str, Tensor]]:
    """Of each step, from what it changed."""
    pairs = zip(found["weights"], found["weights"][1:], strict=False)
    return [{name: (a[name] - b[name]) / RATE for name in a} for a, b in pairs]


def stopped_and_resumed(out: Path) -> None:
    """A training with dropout, once without a stop, once stopped by a signal to the second."""

    def stop(step: Any) -> None:
        if rank() == 1 and step.number == 7:
            signal.raise_signal(signal.SIGTERM)

    whole = recipe("none", None, epochs=2)
    train(whole, out=out / "unstopped", student=dropping(), quiet=True)
    try:
        train(whole, out=out / "stopped", student=dropping(), quiet=True, on_step=stop)
    except Interrupted:
        torch.manual_seed(99)
    resume(out / "stopped", student=dropping(), quiet=True)


def dropping() -> nn.Module:
    torch.manual_seed(0)
    hidden = [nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(32, 10))


def main(out: Path) -> None:
    """Train with each memory; the first process writes down what came of it."""
    Accelerator(cpu=True)  # for `rank`, before the first training
    assert world() == 2
    found = {name: trained(out / name, method) for name, method in METHODS.items()}
    found["several"] = trained(out / "several", "to-teacher", several(out))
    if rank() == 0:
        torch.save(found, out / "found.pt")
    stopped_and_resumed(out)
    train(out / "recipe.yaml", out=out / "whole", quiet=True)
    last = ["data.validation=null", "train.epochs=1", "train.lr=0.3"]
    train(out / "recipe.yaml", out=out / "last", changes=last, quiet=True)
    exit_process(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
