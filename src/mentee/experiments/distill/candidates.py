"""Students that fit a budget of parameters, bytes and milliseconds: known networks, and scaled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, TypeAlias, TypeVar

from torch import Tensor, nn

from mentee.errors import RecipeError
from mentee.experiments.distill.latency import latency, too_slow
from mentee.models import count_parameters
from mentee.models.resnet import MOST_STRIDE
from mentee.recipe import Network

SMALL, MAPS = 48, 32
"""Images above this side are read with a stride that leaves maps of about the other."""
MOST = 3
"""Candidates, apart from what a recipe names."""
Some = TypeVar("Some")
Options: TypeAlias = Callable[[int], dict[str, Any]]
"""Of a network, by its width."""


@dataclass(frozen=True)
class Budget:
    """What a student may cost; None: anything.

    Attributes:
        parameters: the most.
        bytes: the most of its weights, four for each parameter and saved statistic.
        milliseconds: the most for one example, the median of many calls on one thread.
    """

    parameters: int | None = None
    bytes: int | None = None
    milliseconds: float | None = None

    def __str__(self) -> str:
        texts = [
            f"at most {self.parameters:,} parameters" if self.parameters else "",
            f"at most {self.bytes:,} bytes" if self.bytes else "",
            f"at most {self.milliseconds:g} ms" if self.milliseconds else "",
        ]
        return ", ".join(filter(None, texts)) or "any size"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A student that may be trained.

    Attributes:
        network: as in a recipe.
        name: in tables and folders.
        parameters: of it.
        bytes: of its weights.
        milliseconds: of one example; None: there was no need to measure.
        runtime: that measured it.
    """

    network: Network
    name: str
    parameters: int
    bytes: int
    milliseconds: float | None = None
    runtime: str = ""

    def as_json(self) -> dict[str, Any]:
        """Its name, options and costs."""
        own = {"network": self.network.network, "options": self.network.options}
        return {**vars(self), **own}


def candidates(
    own: Network,
    kind: str,
    example: Tensor,
    build: Callable[[Network], nn.Module],
    budget: Budget,
    *,
    given: bool,
) -> tuple[list[Candidate], list[str]]:
    """Students within a budget, the largest first.

    Args:
        own: the recipe's student.
        kind: of the data.
        example: one input `[1, ...]`, as the student reads it.
        build: a network for the data's classes.
        budget: what a student may cost.
        given: whether the user named the student: then it is the only one.

    Returns:
        At most `MOST`, large and small ones, and a line for each network that does not fit.

    Raises:
        RecipeError: none fits.
    """
    within, lines = [], list[str]()
    names = iter([(own.network, {})]) if given else proposals(kind, example, build, budget)
    for name, options in names:
        network = own.model_copy(update={"network": name, "options": {**own.options, **options}})
        candidate, module = sized(network, options, build)
        if reason := over(candidate, budget) or too_slow(module, example, budget.milliseconds):
            lines.append(f"{candidate.name}: {reason}")
        else:
            within.append((candidate, module))
    within.sort(key=lambda each: -each[0].parameters)
    measured = dict[str, Candidate]()  # the export takes seconds: of those that are chosen
    while within:
        chosen = spread(within, MOST)
        new = [each for each in chosen if each[0].name not in measured]
        if budget.milliseconds is None or not new:
            return [measured.get(each.name, each) for each, _ in chosen], lines
        for candidate, module in new:
            time_of, runtime = latency(module, example)
            timed = replace(candidate, milliseconds=time_of, runtime=runtime)
            measured[candidate.name] = timed
            if reason := over(timed, budget):
                lines.append(f"{candidate.name}: {reason}")
                within.remove((candidate, module))
    raise RecipeError(
        f"no student costs {budget}: {'; '.join(lines)}; allow more, or name one of yours as "
        "student"
    )


def spread(candidates: Sequence[Some], most: int) -> list[Some]:
    """The first, the last, and so many in all, as far apart as they can be.

    Example:
        >>> spread("abcdefghi", 3), spread("ab", 3)
        (['a', 'e', 'i'], ['a', 'b'])
    """
    if len(candidates) <= most:
        return list(candidates)
    return [candidates[round(i * (len(candidates) - 1) / (most - 1))] for i in range(most)]


def proposals(
    kind: str, example: Tensor, build: Callable[[Network], nn.Module], budget: Budget
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and options of networks of a kind, scaled to the budget where they can be."""
    most = min(
        budget.parameters or 2**62,
        budget.bytes // 4 if budget.bytes else 2**62,
    )
    for name, (options, usual) in family(kind, example).items():
        if options is None or budget == Budget():
            yield name, options(usual) if options else {}
        elif most < 2**62:
            yield name, options(widest(name, options, build, most))
        else:  # the largest that are fast enough are taken
            yield from ((name, options(width)) for width in (2 * usual, usual, usual // 2))


def family(kind: str, example: Tensor) -> dict[str, tuple[Options | None, int]]:
    """The networks of a kind of data by name: their options by width, and a usual width.

    The last one is the student of a recipe that names none; None: it has one width.
    """
    if kind == "audio":
        return {
            "mobile-fcn": (None, 0),
            "small-fcn": (lambda w: {"widths": (w, 3 * w, 6 * w, 10 * w)}, 16),
        }
    if kind == "text":
        return {
            "char-cnn": (lambda w: {"width": w, "widths": (3 * w, 3 * w, 4 * w, 6 * w)}, 32),
            "hashed-bag": (lambda w: {"buckets": 100 * w}, 600),
        }
    side = min(example.shape[-2:])
    large = side > SMALL
    more = {"stem_stride": min(MOST_STRIDE, round(side / MAPS))} if large else {}
    fixed: dict[str, tuple[Options | None, int]] = {}
    if large and find_spec("timm"):
        fixed["timm:mobilenetv3_small_050"] = (None, 0)
    return fixed | {
        f"resnet{n}-cifar": (lambda w: {"widths": (w, 2 * w, 4 * w), **more}, 32 if large else 16)
        for n in (20, 14, 8)
    }


def widest(
    name: str,
    options: Callable[[int], dict[str, Any]],
    build: Callable[[Network], nn.Module],
    most: int,
) -> int:
    """The largest width with at most so many parameters; 4, the least, where none has."""
    low, high = 4, 4096 if name == "hashed-bag" else 128
    while low < high:
        middle = (low + high + 1) // 2
        network = Network(network=name, options=options(middle))
        low, high = (low, middle - 1) if count_parameters(build(network)) > most else (middle, high)
    return low


def sized(
    network: Network, options: dict[str, Any], build: Callable[[Network], nn.Module]
) -> tuple[Candidate, nn.Module]:
    """A candidate with its parameters and bytes, and its module."""
    module = build(network)
    tail = "".join(
        f"-{value[0] if isinstance(value, tuple) else value}" for value in options.values()
    )
    size = sum(4 * each.numel() for each in module.state_dict().values())
    name = network.network.replace(":", "-").replace("/", "-") + tail
    return Candidate(network, name, count_parameters(module), size), module


def over(candidate: Candidate, budget: Budget) -> str:
    """Which part of a budget a candidate exceeds; empty: none."""
    if budget.parameters is not None and candidate.parameters > budget.parameters:
        return f"{candidate.parameters:,} parameters"
    if budget.bytes is not None and candidate.bytes > budget.bytes:
        return f"{candidate.bytes:,} bytes"
    if budget.milliseconds is not None and (candidate.milliseconds or 0) > budget.milliseconds:
        return f"{candidate.milliseconds:.1f} ms ({candidate.runtime})"
    return ""
