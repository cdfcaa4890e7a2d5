"""The methods of the table and the layers of a network as plain text."""

from __future__ import annotations

from collections.abc import Mapping

from mentee import models
from mentee.catalogue.equation import describe_terms, formulas, other_weights
from mentee.catalogue.needs import needs
from mentee.catalogue.pairs import CandidatePair, PairResult
from mentee.catalogue.trial_inputs import trial_inputs
from mentee.features import list_layers
from mentee.free_memory import plain_memory_errors
from mentee.methods import METHODS, Method, find
from mentee.report import align

MORE = (
    "Methods can be summed: crd+kd. One method with its terms and formulas: mentee methods cktf.\n"
    "Methods that fit two networks: mentee methods --student resnet8-cifar --teacher resnet20-cifar"
)


def list_methods(methods: Mapping[str, Method] = METHODS) -> str:
    """One line for each method, grouped by what they need.

    Args:
        methods: the table, with methods of your own.
    """
    width = max(map(len, methods))
    groups: dict[str, list[str]] = {}
    for method in methods.values():
        line = f"  {method.name:<{width}}  {method.about}".rstrip()
        groups.setdefault(", ".join(needs(method)), []).append(line)
    blocks = ["\n".join([f"{needed}:", *lines]) for needed, lines in groups.items()]
    return "\n\n".join([*blocks, MORE])


def show_method(name: str, methods: Mapping[str, Method] = METHODS) -> str:
    """A method as its terms, layers × representation × loss × weight, and what it needs.

    Args:
        name: of a method, a form of one, or a sum of these.
        methods: the table, with methods of your own.

    Raises:
        MenteeError: there is no such method.

    Example:
        >>> print(show_method("l1", {"l1": Method("l1", about="Nothing.")}))
        l1: Nothing.
        L =  1 · task
        needs: no teacher
    """
    method = find(name, methods)
    lines = [f"{method.name}: {method.about}", *([method.source] if method.source else [])]
    lines.append(f"L =  {method.task:g} · task")
    lines += [f"   + {term}" for term in describe_terms(method.terms)]
    if weights := other_weights(method):
        lines.append(f"     ({'; '.join(weights)})")
    if method.reuse:
        end = "a projector, and the teacher's classifier"
        lines.append(f"The student is its backbone, read at {method.reuse}, {end}.")
    components = formulas(method)
    width = max(map(len, components), default=0)
    lines += [f"{component:<{width}}  {formula}" for component, formula in components.items()]
    lines.append(f"needs: {', '.join(needs(method))}")
    return "\n".join([*lines, *([f"note: {method.note}"] if method.note else [])])


@plain_memory_errors("choose a smaller size, or fewer channels or classes")
def show_pair(
    pair: CandidatePair, methods: Mapping[str, Method] = METHODS, *, time: bool = False
) -> str:
    """The methods that fit a pair with their costs, and why others do not.

    Args:
        pair: the two networks.
        methods: by name.
        time: measure how much longer a step takes.
    """
    results = [pair.apply(method, time=time) for method in methods.values()]
    head = ["fits", "heads", "memory", "record", *(["a step"] if time else [])]
    costs = [head, *(cost_cells(each) for each in results if each.problem is None)]
    blocks = [pair_header(pair), align(costs, right=True)]
    if problems := [[each.name, each.problem] for each in results if each.problem]:
        blocks.append(f"does not fit\n{align(problems)}")
    return "\n\n".join(blocks)


def pair_header(pair: CandidatePair) -> str:
    """The two networks, and the meaning of the columns."""
    student, teacher = pair.names
    sizes = [models.count_parameters(each) for each in (pair.student, pair.teacher)]
    inputs = [pair.inputs[each].title for each in (pair.student, pair.teacher)]
    read = inputs[0]
    if inputs[0] != inputs[1]:
        read = f"the student reads {inputs[0]}, the teacher {inputs[1]} (from a record)"
    return (
        f"student {student} ({sizes[0]:,} parameters), teacher {teacher} ({sizes[1]:,}): "
        f"{read}, {pair.classes} classes, {pair.examples:,} examples\n"
        "heads: parameters trained and dropped (kept: added to the student); memory: of banks and "
        "queues; record: of an example and view, in float16"
    )


def cost_cells(result: PairResult) -> list[str]:
    """The cells of a method that fits."""
    record = "live only" if result.record is None else bytes_text(result.record)
    heads = f"{result.heads:,}" + (f" ({result.added:+,} kept)" if result.added else "")
    cells = [result.name, heads, bytes_text(result.memory), record]
    return cells if result.slowdown is None else [*cells, f"{result.slowdown:+.0%}"]


def bytes_text(count: int) -> str:
    """A number of bytes as text.

    Example:
        >>> bytes_text(0), bytes_text(40), bytes_text(51_200), bytes_text(256_000_000)
        ('0', '40 B', '51.2 kB', '256.0 MB')
    """
    for unit, bytes in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes:
            return f"{count / bytes:.1f} {unit}"
    return f"{count} B" if count else "0"


@plain_memory_errors("choose a smaller size, or fewer channels or classes")
def show_layers(
    network: str, *, size: int = 32, channels: int = 3, classes: int = 10, every: bool = False
) -> str:
    """The layers of a network that can be read, a line each: name, shape, module.

    Args:
        network: a name for `mentee.models.build`.
        size: height and width of the image, where the network reads images; those of audio read a
            second, those of text 128 bytes.
        channels: of the image.
        classes: outputs of the classifier.
        every: all modules; else the short names alone.
    """
    module = models.build(network, classes=classes, channels=channels, seed=0)
    inputs = trial_inputs(network, size=size, channels=channels)
    layers = list_layers(module, inputs.blank())
    rows = [
        [
            layer.name,
            " × ".join(map(str, layer.shape)),
            "output of the network" if layer.is_result else f"{layer.io} of {layer.path}",
        ]
        for layer in layers
        if every or layer.name != layer.path
    ]
    count = models.count_parameters(module)
    return f"{network}: {count:,} parameters, {inputs.title}\n{align(rows)}"
