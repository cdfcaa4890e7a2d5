"""A teacher that was trained without labels: SimCLR on the CIFAR-10 training images, on one core.

Two random views of each image go through one network; NT-Xent (of the library `lightly`) asks each
view to find its partner among all views of the batch. A linear probe evaluates the pooled features:
logistic regression on 5,000 labeled training images, tested on 2,000 test images. Only the probe
reads labels, and nothing is chosen by it.

    pip install --no-deps lightly
    OMP_NUM_THREADS=1 python benchmarks/quality/simclr.py --epochs 60 --minutes 57

Views are 24×24 for the first 80 % of the budget, which is 1.9 times as fast, then 32×32. The budget
is minutes of processor time, and the learning rate falls with it, so another processor gives
another number. ResNet-8 with 32, 64 and 128 channels (308,650 parameters): the probe has 38.0 %
with random weights, 56.9 % after 4 epochs, 61.0 % after 8 and 62.4 % after 12, the learning rate
still at 0.3 of its peak. Those minutes were of the clock, 36 on a core shared with other work; the
run was stopped by hand after 14 epochs, and those weights are the teacher in `embeddings.py`. The
final probe of a run is in the JSON file next to its weights. A stopped run resumes with
`--start WEIGHTS` and a smaller `--rate`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from copy import deepcopy
from pathlib import Path

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from mentee.data import open_examples
from mentee.files import write, write_json
from mentee.models import CONTRACTS, build, count_parameters, load_weights, normalize

CONTRACT = CONTRACTS["cifar10"]
LUMA = (0.299, 0.587, 0.114)


def crop(pixels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """Random resized crops, half of them mirrored: uint8 `[b, h, w, c]` → `[b, c, size, size]`.

    The area is 0.2 to 1 of the image, the ratio of its sides 3/4 to 4/3; values in [0, 1].
    """
    b = len(pixels)
    area = torch.empty(b).uniform_(0.2, 1.0, generator=draw)
    ratio = torch.empty(b).uniform_(math.log(3 / 4), math.log(4 / 3), generator=draw).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1).clamp_(max=1.0)
    center = (torch.rand(b, 2, generator=draw) * 2 - 1) * (1 - sides)
    mirror = torch.where(torch.rand(b, 1, generator=draw) < 0.5, -1.0, 1.0)
    diagonal = sides * torch.cat([mirror, torch.ones(b, 1)], 1)
    affine = torch.cat([torch.diag_embed(diagonal), center[:, :, None]], 2)
    grid = functional.affine_grid(affine, [b, 3, size, size], align_corners=False)
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def jitter(x: Tensor, draw: torch.Generator) -> Tensor:
    """Change light, contrast, saturation and hue of four images in five, gray one in five.

    x ← x · light; x ← m + (x − m) · contrast with m the image's mean gray; x ← g + (x − g) ·
    saturation with g each pixel's gray; hue: each pixel's colors rotate about the gray axis.
    """
    b = len(x)
    luma = x.new_tensor(LUMA).reshape(1, 3, 1, 1)

    def factor(strength: float) -> Tensor:
        return 1 + (torch.rand(b, 1, 1, 1, generator=draw) * 2 - 1) * strength

    y = (x * factor(0.4)).clamp_(0, 1)
    mean = (y * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    y = torch.lerp(mean, y, factor(0.4)).clamp_(0, 1)
    gray = (y * luma).sum(1, keepdim=True)
    y = torch.lerp(gray, y, factor(0.4))
    y = torch.einsum("bij,bjhw->bihw", rotations(b, 0.1, draw), y).clamp_(0, 1)
    y = torch.where(torch.rand(b, 1, 1, 1, generator=draw) < 0.8, y, x)
    plain = (y * luma).sum(1, keepdim=True).expand_as(y)
    return torch.where(torch.rand(b, 1, 1, 1, generator=draw) < 0.2, plain, y)


def rotations(b: int, turns: float, draw: torch.Generator) -> Tensor:
    """`[b, 3, 3]` rotations of RGB about (1, 1, 1) by up to ±`turns` of a full turn (Rodrigues)."""
    angle = (torch.rand(b, 1, 1, generator=draw) * 2 - 1) * (2 * math.pi * turns)
    axis = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    cosine = angle.cos()
    return cosine * torch.eye(3) + angle.sin() * axis + (1 - cosine) / 3


def view(pixels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """One random view of each image, ready for the network: `[b, 3, size, size]`."""
    x = normalize(jitter(crop(pixels, size, draw), draw), CONTRACT)
    return x.to(memory_format=torch.channels_last)


@torch.no_grad()
def features(network: nn.Module, pixels: Tensor) -> Tensor:
    """What the classifier reads, `[n, d]`, of images as they are."""
    network.eval()
    result: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: result.append(inputs[0]))
    for part in pixels.split(500):
        network(normalize(part.permute(0, 3, 1, 2).float().div_(255), CONTRACT))
    hook.remove()
    network.train()
    return torch.cat(result).float()


def probe(network: nn.Module, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """Accuracy in per cent of a linear classifier on the features."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
    linear.fit(features(network, train[0]).numpy(), train[1].numpy())
    return 100 * linear.score(features(network, test[0]).numpy(), test[1].numpy())


def labeled(split: str, n: int) -> tuple[Tensor, Tensor]:
    """`n` images, balanced over the classes, with their labels."""
    examples = open_examples("cifar10", split=split, limit=n)
    pixels = examples.read(torch.arange(len(examples)).numpy())
    return pixels, torch.from_numpy(examples.labels)


def save(network: nn.Module, path: Path, facts: dict[str, object]) -> None:
    """Write the weights and what is needed to build the network again."""
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    write(path, lambda temporary: save_file(weights, temporary))
    write_json(path.with_suffix(".json"), facts)


def main() -> None:
    """Train, save every few minutes, and probe now and then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet8-cifar")
    parser.add_argument("--widths", type=int, nargs=3, default=(32, 64, 128))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="of processor time, at most"
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate of AdamW")
    parser.add_argument("--temperature", type=float, default=0.2)
    parser.add_argument("--small", type=int, default=24, help="pixels of the views at first")
    parser.add_argument("--grown", type=float, default=0.8, help="part of training they are small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="go on from these weights, with a new head")
    parser.add_argument("--probes", type=int, default=5, help="epochs between two probes")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/teachers/simclr-cifar10.safetensors")
    )
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    draw = torch.Generator().manual_seed(arguments.seed)
    options = {"widths": tuple(arguments.widths)}
    network = build(arguments.network, classes=10, seed=arguments.seed, **options)
    untrained = deepcopy(network)
    before: dict[str, object] | None = None
    if arguments.start:
        load_weights(network, arguments.start)
        before = json.loads(arguments.start.with_suffix(".json").read_text())
    network.to(memory_format=torch.channels_last)
    width = network.fc.in_features
    head = SimCLRProjectionHead(width, width, 128)
    loss_of = NTXentLoss(temperature=arguments.temperature)
    parameters = [*network.parameters(), *head.parameters()]
    steps = arguments.epochs * (50_000 // arguments.batch)
    optimizer = torch.optim.AdamW(parameters, lr=arguments.rate, weight_decay=1e-2)
    unlabeled = open_examples("cifar10", split="train")
    pixels = unlabeled.read(torch.arange(len(unlabeled)).numpy())
    train, test = labeled("train", 5000), labeled("test", 2000)
    began = time.process_time()
    facts: dict[str, object] = {
        "network": arguments.network,
        "options": options,
        "classes": 10,
        "parameters": count_parameters(network),
        "place": "fc.input: the classifier itself was never trained",
        "width": width,
        "normalization": {"mean": CONTRACT.mean, "std": CONTRACT.std},
        "size": 32,
        "data": "cifar10, split train, 50,000 images, no labels",
        "method": "SimCLR: NT-Xent of lightly, AdamW, cosine learning rate, bfloat16",
        "command": {key: str(value) for key, value in vars(arguments).items()},
        "probe": "logistic regression, 5,000 training images, accuracy in % of 2,000 test images",
        "probe_random_weights": probe(untrained, train, test),
        "before": before,
        "probes": {},
    }
    print(facts["probe_random_weights"], count_parameters(network), flush=True)
    step = 0
    for epoch in range(arguments.epochs):
        size = (
            arguments.small if done(step, steps, began, arguments.minutes) < arguments.grown else 32
        )
        order = torch.randperm(len(pixels), generator=draw)
        mean = 0.0
        rows = order[: len(order) // arguments.batch * arguments.batch].split(arguments.batch)
        for batch in rows:
            first, second = (view(pixels[batch], size, draw) for _ in range(2))
            both = torch.cat([first, second])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                last = embed(network, both)
            a, b = head(last.float()).chunk(2)
            loss = loss_of(a, b)
            part = done(step, steps, began, arguments.minutes)
            for group in optimizer.param_groups:
                group["lr"] = arguments.rate * learning_rate(part, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            mean += loss.item() / len(rows)
            if part >= 1:
                break
        minutes = (time.process_time() - began) / 60
        over = epoch + 1 == arguments.epochs or minutes >= arguments.minutes
        facts |= {"epochs": epoch + 1, "minutes": round(minutes, 1), "loss": round(mean, 3)}
        if over or (epoch + 1) % arguments.probes == 0:
            facts["probes"] |= {str(epoch + 1): round(probe(network, train, test), 2)}
        save(network, arguments.out, facts)
        shown = {key: facts[key] for key in ("epochs", "minutes", "loss")}
        print(shown, size, facts["probes"].get(str(epoch + 1), ""), flush=True)
        if over:
            return


def done(step: int, steps: int, began: float, minutes: float) -> float:
    """The part of the training that is over, by steps or by time, whichever ends first."""
    return max(step / steps, (time.process_time() - began) / 60 / minutes)


def learning_rate(part: float, step: int, warm: int = 200) -> float:
    """Up in a line over the first steps, then down along half a cosine to zero."""
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))


def embed(network: nn.Module, x: Tensor) -> Tensor:
    """What the classifier reads, with its gradient."""
    result: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: result.append(inputs[0]))
    network(x)
    hook.remove()
    return result[0]


if __name__ == "__main__":
    main()
