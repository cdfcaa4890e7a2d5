"""From names to layers: `resolve` for those that a method reads, `list_layers` for all."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mentee.errors import LayerError, first_few, suggest
from mentee.features.layer import IO, Layer, layout_of
from mentee.features.rules import Stage, find_classifier, find_stages, find_stem
from mentee.features.trace import Reading, Trace, channel_axis, dry_run

LAST = "stages.last"
SHORT_NAMES = ("logits", "embedding", "stages", "stem")
_MARKS: dict[str, IO] = {"in": "input", "out": "output"}


def resolve(network: nn.Module, wanted: Sequence[str], example: Tensor) -> tuple[Layer, ...]:
    """Find the layers of a network by their names, with one dry forward.

    `logits` is the network's output; `embedding` the input of its classifier; `stages` the
    outputs of its resolution stages, as `stages.0`, `stages.1`, ... from fine to coarse (a network
    of one resolution, such as a ViT, gives the blocks that end each quarter of its depth);
    `stages.last` the coarsest of them, however many there are; `stem` the output of the stem, after
    its activation. Any other name is a module's path: `layer2.0.conv1` or `layer2:out` for its
    output, `layer2:in` for its input. A network whose attribute `layers` declares them, as
    `{"stem": ..., "stages": (...), "classifier": ...}` (module paths), is read there.

    Args:
        network: any module, not wrapped and not compiled; it is left as it was.
        wanted: the names; a name that is listed twice counts once.
        example: a small batch of the network's inputs, `[b, ...]`; two examples are enough.

    Returns:
        The layers, in the order of the names.

    Raises:
        LayerError: the network has no such layer; the text names the close ones.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> for layer in resolve(network, ["embedding", "logits", "0"], torch.zeros(2, 4)):
        ...     print(layer.name, layer.path or "(the network)", layer.io, layer.shape)
        embedding 2 input (8,)
        logits (the network) output (3,)
        0 0 output (8,)
    """
    trace = dry_run(network, example)
    if isinstance(network, torch.jit.ScriptModule) and (inside := {*wanted} - {"logits"}):
        names = ", ".join(sorted(inside))
        raise LayerError(
            f"a scripted network can be read at its logits only, not at {names}; take a method of "
            "logits, such as kd, or pass the network itself"
        )
    layers = [layer for name in wanted for layer in _find(trace, name)]
    return tuple({layer.name: layer for layer in layers}.values())


def list_layers(network: nn.Module, example: Tensor) -> list[Layer]:
    """All layers of a network: the short names first, then every module with a tensor output.

    Args:
        network: any module, not wrapped and not compiled; it is left as it was.
        example: a small batch of the network's inputs, `[b, ...]`.

    Returns:
        The layers; a short name that the network does not have is left out.

    Example:
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> [layer.name for layer in list_layers(network, torch.zeros(2, 4))]
        ['logits', 'embedding', 'stem', '0', '1', '2']
    """
    trace = dry_run(network, example)
    names = (*SHORT_NAMES, *(name for name in trace.called() if name not in SHORT_NAMES))
    return [layer for name in names for layer in _find_or_none(trace, name)]


def _find_or_none(trace: Trace, name: str) -> list[Layer]:
    try:
        return _find(trace, name)
    except LayerError:
        return []


def _find(trace: Trace, name: str) -> list[Layer]:
    if name == "logits":
        result = Reading(trace.result, trace.tick, trace.result._version)
        return [_describe(trace, name, "", "output", result)]
    if name == "embedding":
        return [_embedding(trace)]
    if name == "stem":
        path = find_stem(trace)
        return [_describe(trace, "stem", path, "output", trace.at(path))]
    if name == "stages":
        return [_stage(trace, f"stages.{i}", stage) for i, stage in enumerate(_stages(trace))]
    if name == LAST:
        return [_stage(trace, LAST, _stages(trace)[-1])]
    if re.fullmatch(r"stages\.\d+", name):
        return [_numbered_stage(trace, name)]
    return [_module(trace, name)]


def _embedding(trace: Trace) -> Layer:
    path = find_classifier(trace)
    reading = None if path is None else trace.at(path, "input")
    if path is None or reading is None:
        raise LayerError(
            f"{_title(trace)} has no 'embedding': no linear layer or 1×1 convolution gives its "
            "logits. Name the classifier's input yourself, such as 'fc:in', or state "
            'feature_layers = {"classifier": ...} in its class'
        )
    return _describe(trace, "embedding", path, "input", reading)


def _stages(trace: Trace) -> tuple[Stage, ...]:
    stages = find_stages(trace)
    if not stages:
        raise LayerError(
            f"{_title(trace)} has no 'stages': it gives no maps or tokens of several resolutions, "
            "nor a row of equal blocks. Name modules by their paths, or state "
            'feature_layers = {"stages": (...)} in its class'
        )
    return stages


def _stage(trace: Trace, name: str, stage: Stage) -> Layer:
    return _describe(trace, name, stage.path, "output", trace.at(stage.path), stage.channels)


def _numbered_stage(trace: Trace, name: str) -> Layer:
    stages, number = _stages(trace), int(name.partition(".")[2])
    if number >= len(stages):
        raise LayerError(
            f"no layer {name!r} in {_title(trace)}: 'stages' has {len(stages)} entries, "
            f"stages.0 to stages.{len(stages) - 1}"
        )
    return _stage(trace, name, stages[number])


def _module(trace: Trace, name: str) -> Layer:
    path, _, mark = name.partition(":")
    if path not in trace.modules or mark not in ("", *_MARKS):
        known = [*SHORT_NAMES, *(known for known in trace.modules if known)]
        raise LayerError(
            f"no layer {name!r} in {_title(trace)}; "
            f"{suggest(path, known)}; ':in' after a module's path reads its input"
        )
    io = _MARKS.get(mark, "output")
    return _describe(trace, name, path, io, trace.at(path, io))


def _describe(
    trace: Trace,
    name: str,
    path: str,
    io: IO,
    reading: Reading | None,
    channels: int | None = None,
) -> Layer:
    """The layer at a module's input or output; a LayerError where nothing can be delivered."""
    if reading is None:
        raise LayerError(_not_read(trace, name, path, io))
    tensor, examples = reading.tensor, len(trace.example)
    layout = layout_of(tensor, examples)
    if layout is None:
        raise LayerError(
            f"the layer {name!r} in {_title(trace)} gives {list(tensor.shape)} for {examples} "
            f"examples; expected [{examples}, d], [{examples}, t, d] or [{examples}, c, h, w]. "
            "Take another module, such as the one around it"
        )
    axis = 1 if layout == "vector" else channel_axis(trace, reading, channels)
    moved = Layer(name, path, io, (), layout, axis).deliver(tensor)
    shape = tuple(moved.shape[1:])
    if name in ("embedding", "logits") and layout == "map" and shape[1:] == (1, 1):
        layout, shape = "vector", shape[:1]
    prefix = _prefix(trace, shape[0]) if layout == "tokens" else 0
    return Layer(name, path, io, shape, layout, axis, trace.is_overwritten(reading), prefix)


def _not_read(trace: Trace, name: str, path: str, io: IO) -> str:
    inside = [known for known in trace.called() if known.startswith(f"{path}.")]
    start = f"the layer {name!r} in {_title(trace)}: the module {path!r} "
    if inside:
        few = first_few(inside, 6)
        return start + f"is only a container or gives no tensor ({io}); inside it: {few}"
    return start + f"is not called by forward in eval mode, or has no tensor {io}"


def _prefix(trace: Trace, tokens: int) -> int:
    """Declared prefix tokens, where the layer has just these and one token a patch."""
    declared = getattr(trace.network, "num_prefix_tokens", 0)
    patches = trace.at("patch_embed")
    if not declared or patches is None or patches.tensor.ndim != 3:
        return 0
    return int(declared) if tokens == patches.tensor.shape[1] + declared else 0


def _title(trace: Trace) -> str:
    return type(trace.network).__name__
