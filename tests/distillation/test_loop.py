from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mentee import features, models
from mentee.build.setup import build
from mentee.distillation.loop import DistillationModule, Plan, averaged, train
from mentee.distillation.objective import DistillationLoss, required_layers
from mentee.errors import DivergedError
from mentee.methods import Method, adjust, find
from mentee.models import InputContract
from mentee.runs import checkpoint
from mentee.tasks import MultiLabel, SingleLabel
from mentee.teachers import OnlineTeacher
from mentee.types import Batch, Step

PLAIN = InputContract((0.5,), (0.5,))
N, SIZE, CLASSES = 64, 8, 5
RATE = 0.1


class Convolutions(nn.Module):
    """A network whose examples do not see one another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.GroupNorm(2, width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.GroupNorm(2, 2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.fc = nn.Linear(2 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


def network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Convolutions(width)


def examples() -> Batch:
    """Of every class as many."""
    generator = torch.Generator().manual_seed(3)
    return Batch(
        inputs=torch.rand(N, 1, SIZE, SIZE, generator=generator),
        ids=torch.arange(N),
        rows=torch.arange(N),
        labels=torch.arange(N) % CLASSES,
    )


def part(whole: Batch, first: int, count: int) -> Batch:
    rows = slice(first, first + count)
    assert whole.labels is not None
    return Batch(whole.inputs[rows], whole.ids[rows], whole.rows[rows], whole.labels[rows])


def load(batch: int) -> Any:
    def batches(epoch: int, start: int) -> Iterator[Batch]:
        for number in range(start, N // batch):
            yield part(examples(), number * batch, batch)

    return batches


def pair(
    method: Method, student: nn.Module | None = None, teacher: nn.Module | None = None, **more: Any
) -> tuple[DistillationModule, OnlineTeacher | None]:
    """A student and a teacher of other widths, bound by a method."""
    student = network(4, 1) if student is None else student
    ours, theirs = required_layers(method)
    x = torch.rand(2, 1, SIZE, SIZE)
    places = features.resolve(student, [*dict.fromkeys([*ours, "logits"])], x)
    taught = None
    if theirs:
        teacher = network(8, 2) if teacher is None else teacher
        taught = OnlineTeacher(teacher, features.resolve(teacher, theirs, x), PLAIN)
    criterion = DistillationLoss(
        method,
        {place.name: place.shape for place in places},
        {place.name: place.shape for place in taught.layers} if taught else {},
        groups=(torch.arange(N) % CLASSES).int(),
        examples=N,
    )
    return DistillationModule(student, places, PLAIN, criterion, **more), taught


def run(
    module: DistillationModule,
    teacher: OnlineTeacher | None,
    *,
    batch: int = 16,
    accumulate: int = 1,
    epochs: int = 2,
    clip: float | None = None,
    rate: float = RATE,
    average: Any = None,
    momentum: float = 0.0,
) -> list[Step]:
    rule = torch.optim.SGD(module.parameters(), lr=rate, momentum=momentum)
    plan = Plan(epochs, N // batch, accumulate, lambda done, steps: 1.0, clip)
    accelerator = Accelerator(cpu=True)
    return list(train(module, teacher, load(batch), rule, plan, accelerator, average=average))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def crd() -> Method:
    return adjust(find("crd-bank+kd"), {"memory.negatives": 20}, {})


@pytest.mark.parametrize("method", [find("none"), find("kd"), crd()], ids=lambda row: row.name)
def test_accumulating_two_parts_is_the_doubled_batch(method: Method) -> None:
    found = []
    for batch, accumulate in ((16, 1), (8, 2)):
        module, teacher = pair(method)
        for memory in module.criterion.memories:  # else the first part alone would fix it
            memory.log_z = {"contrast/embedding": torch.tensor([7.0, 7.0])}
        steps = run(module, teacher, batch=batch, accumulate=accumulate, momentum=0.9)
        found.append((steps, weights(module), module.criterion.memory_state()))
    (whole, weights_a, memory_a), (parts, weights_b, memory_b) = found
    assert len(whole) == len(parts) == 8
    for a, b in zip(whole, parts, strict=True):
        assert a.losses.keys() == b.losses.keys()
        assert b.loss == pytest.approx(a.loss, rel=1e-5)
        assert dict(b.losses) == pytest.approx(dict(a.losses), rel=1e-5, abs=1e-6)
        assert (a.number, a.epoch, a.examples) == (b.number, b.epoch, b.examples)
        assert b.position == 2 * a.position
    for mine, other in ((weights_a, weights_b), (memory_a, memory_b)):
        assert mine.keys() == other.keys()
        for name in mine:
            torch.testing.assert_close(other[name], mine[name], atol=1e-5, rtol=1e-5)


def test_a_step_is_the_sentence() -> None:
    module, teacher = pair(find("kd"))
    assert teacher is not None
    before = weights(module.student)
    batch = part(examples(), 0, 16)
    x = (batch.inputs - 0.5) / 0.5
    said, taught = module.student(x), teacher.network(x).detach()
    assert batch.labels is not None
    task = nn.functional.cross_entropy(said, batch.labels)
    p, q = (taught / 4).softmax(1), (said / 4).softmax(1)
    kl = 16 * (p * (p / q).log()).sum(1).mean()
    loss = 0.1 * task + 0.9 * kl
    loss.backward()
    expected = {n: before[n] - RATE * p.grad for n, p in module.student.named_parameters()}
    module.zero_grad()
    step = run(module, teacher, epochs=1, batch=16)[0]
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    assert step.losses == pytest.approx({"kl/logits": kl.item(), "task": task.item()}, rel=1e-5)
    fresh, teacher = pair(find("kd"))
    one = Plan(1, 1, 1, lambda done, steps: 1.0)
    rule = torch.optim.SGD(fresh.parameters(), lr=RATE)
    next(train(fresh, teacher, load(16), rule, one, Accelerator(cpu=True)))
    for name, tensor in fresh.student.named_parameters():
        torch.testing.assert_close(tensor.detach(), expected[name])


def test_clipping_bounds_the_whole_gradient() -> None:
    moved = []
    for clip in (None, 0.01):
        module, teacher = pair(crd())
        before = weights(module)
        rule = torch.optim.SGD(module.parameters(), lr=RATE)
        plan = Plan(1, 4, 1, lambda done, steps: 1.0, clip)
        next(train(module, teacher, load(16), rule, plan, Accelerator(cpu=True)))
        changes = [(before[n] - p.detach()) / RATE for n, p in module.named_parameters()]
        moved.append(torch.cat([change.flatten() for change in changes]))
    free, clipped = moved
    assert free.norm() > 0.1
    assert clipped.norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped, free * 0.01 / free.norm(), atol=1e-6, rtol=1e-3)


def test_the_moving_average_follows_the_student_alone() -> None:
    decay, expected = 0.8, None
    module, teacher = pair(crd())
    average = averaged(module.student, decay)
    rule = torch.optim.SGD(module.parameters(), lr=RATE)
    plan = Plan(2, 4, 1, lambda done, steps: 1.0)
    accelerator = Accelerator(cpu=True)
    for _ in train(module, teacher, load(16), rule, plan, accelerator, average=average):
        now = weights(module.student)
        if expected is None:  # the first step's weights are where it begins
            expected = now
        else:
            expected = {n: decay * expected[n] + (1 - decay) * now[n] for n in now}
    assert expected is not None
    found = average.module.state_dict()
    assert found.keys() == expected.keys()
    for name in found:
        torch.testing.assert_close(found[name], expected[name])


def test_a_student_that_was_judged_between_two_steps_trains_on() -> None:
    module, teacher = pair(find("kd"))
    rule = torch.optim.SGD(module.parameters(), lr=RATE)
    plan = Plan(1, 4, 1, lambda done, steps: 1.0)
    for _ in train(module, teacher, load(16), rule, plan, Accelerator(cpu=True)):
        assert all(part.training for part in module.modules())
        module.student.eval()


def test_label_smoothing_is_for_one_class_an_example() -> None:
    module, _ = pair(find("none"), task=SingleLabel(0.2))
    step = run(module, None, rate=1e-12, epochs=1)[0]
    batch = part(examples(), 0, 16)
    assert batch.labels is not None
    with torch.no_grad():
        log_p = module.student((batch.inputs - 0.5) / 0.5).log_softmax(1)
    target = torch.full((16, CLASSES), 0.2 / CLASSES)
    target[torch.arange(16), batch.labels] += 0.8
    assert step.loss == pytest.approx(-(target * log_p).sum(1).mean().item(), rel=1e-5)
    several = torch.randint(2, (16, CLASSES)).float()
    labeled = Batch(batch.inputs, batch.ids, batch.rows, several)
    logits = module.student((batch.inputs - 0.5) / 0.5)
    module.task = MultiLabel().with_label_smoothing(0.2)
    found = module(labeled, {})[1]["task"]
    torch.testing.assert_close(found, MultiLabel().loss(logits, several).mean())


def normed(width: int, seed: int) -> nn.Module:
    return models.build(
        "resnet8-cifar", classes=CLASSES, channels=1, seed=seed, widths=(width,) * 3
    )


def test_the_teacher_is_never_trained_nor_saved(tmp_path: Any) -> None:
    teacher_network = normed(6, 2)
    module, teacher = pair(find("cktf-bank+kd"), normed(4, 1), teacher_network)
    before = weights(teacher_network)
    run(module, teacher)
    for name, tensor in teacher_network.state_dict().items():  # batch statistics too
        assert torch.equal(tensor, before[name]), name
    assert not teacher_network.training
    assert all(p.grad is None and not p.requires_grad for p in teacher_network.parameters())
    rule = torch.optim.SGD(module.parameters(), lr=RATE)
    path = checkpoint.save(tmp_path, Step(1, 0, 1, 0.0), module, rule)
    state = torch.load(path, weights_only=True)
    assert state["student"].keys() == module.student.state_dict().keys()
    held = [*tensors(state), *module.state_dict().values()]
    theirs = [p for p in teacher_network.state_dict().values() if p.numel() > 100]
    assert theirs
    for own in held:
        assert not any(own.shape == p.shape and torch.equal(own, p) for p in theirs)
    names = " ".join(module.state_dict())
    assert "teacher" not in names
    optimized = {id(p) for group in rule.param_groups for p in group["params"]}
    assert not optimized & {id(p) for p in teacher_network.parameters()}


def tensors(content: Any) -> Iterator[Tensor]:
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from tensors(value)


def test_a_loss_that_is_no_number_stops_before_the_step() -> None:
    module, teacher = pair(find("kd"))
    with torch.no_grad():
        module.student.fc.bias[0] = math.nan
    before = weights(module.student.features)
    with pytest.raises(
        DivergedError, match=r"the loss is nan at step 1 \(epoch 1\): kl/logits nan"
    ):
        run(module, teacher)
    for name, tensor in module.student.features.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_going_on_after_any_step_is_the_same() -> None:
    def go(until: int, done: Step | None = None, state: Any = None) -> Any:
        module, teacher = pair(crd())
        rule = torch.optim.SGD(module.parameters(), lr=RATE, momentum=0.9)
        if state is not None:
            module.load_state_dict(state[0])
            rule.load_state_dict(state[1])
            module.criterion.load_memory(state[2])
        plan = Plan(2, 4, 1, lambda number, steps: 1 - number / steps)
        steps = train(module, teacher, load(16), rule, plan, Accelerator(cpu=True), done=done)
        for done in steps:
            if done.number == until:
                break
        memory = {k: v.clone() for k, v in module.criterion.memory_state().items()}
        return done, (weights(module), rule.state_dict(), memory)

    last, (expected, *_) = go(8)
    for stop in (3, 4, 5):
        done, state = go(stop)
        end, (found, *_) = go(8, done, state)
        assert end == last
        for name in expected:
            assert torch.equal(found[name], expected[name])


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_precisions_can_follow_one_another_in_a_process(precision: str, tmp_path: Any) -> None:
    from mentee import train as train_run

    recipe: dict[str, Any] = {
        "data": {
            "source": "embedded:digits",
            "views": "crop",
            "pad": 1,
            "limit": 320,
            "test": None,
        },
        "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
        "train": {"epochs": 3, "batch": 32, "precision": precision},
    }
    found = train_run(recipe, out=tmp_path / "run", quiet=True)
    assert found.summary["validation"]["loss"] < math.log(10)


def test_the_forward_pass_is_in_the_precision_asked_for() -> None:
    from mentee.recipe import read

    content = {
        "data": {"source": "embedded:digits", "limit": 64},
        "student": "resnet8-cifar",
        "train": {"precision": "bfloat16"},
    }
    for precision, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        parts = build(read(content, [f"train.precision={precision}"]))
        seen = []
        parts.student.register_forward_hook(lambda m, i, out, to=seen: to.append(out.dtype))
        steps = train(
            parts.module,
            None,
            lambda epoch, start, p=parts: p.splits.epoch(p.recipe.train, epoch, start),
            parts.optimizer,
            parts.plan,
            parts.accelerator,
        )
        assert math.isfinite(next(steps).loss)
        assert seen == [dtype]
        assert next(parts.student.parameters()).dtype == torch.float32
