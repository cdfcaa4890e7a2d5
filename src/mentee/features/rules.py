"""Rules that find the stem, the stages and the classifier of a network.

Each goes by what the network declares in `layers`, then by what timm declares (`feature_info`,
`default_cfg`, `get_classifier`), then by the dry run.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mentee.errors import LayerError
from mentee.features.layer import layout_of
from mentee.features.trace import Trace, resolution

_STEM = re.compile(
    r"(.*\.)?(stem|patch_embed(s|dings)?1?|pixel_embed|conv_proj|embedder|base_layer)(\.0)?"
)
_DEPTH_QUARTERS = 4
_COARSER = 0.6
"""A stage has at most this share of the points of the one before; 0.25 by stride 2, 0.5 in 1-D."""


@dataclass(frozen=True)
class Stage:
    """A stage's module, and its number of channels where the network declares it."""

    path: str
    channels: int | None = None


def declared(trace: Trace, key: str) -> tuple[str, ...]:
    """Module paths that the network declares in `layers`; empty where it declares none.

    Raises:
        LayerError: it declares a module that does not exist, or that was not called.
    """
    table = getattr(trace.network, "feature_layers", None)
    if not isinstance(table, Mapping) or key not in table:
        return ()
    paths = (table[key],) if isinstance(table[key], str) else tuple(table[key])
    for path in paths:
        if trace.at(path) is None:
            raise LayerError(
                f"{type(trace.network).__name__}.feature_layers names for {key!r} the module "
                f"{path!r}, which the network does not call; correct the class attribute"
            )
    return paths


def find_stem(trace: Trace) -> str:
    """The module whose output is the stem's.

    1. declared in `layers`; 2. the first module that is called stem, patch_embed or the like;
    3. the first module with an activated output, at the top or one deeper, in the first half of
    the network; 4. the module around the first weights, with at most one other that has weights.

    Raises:
        LayerError: no module with weights was called.
    """
    for path in declared(trace, "stem"):
        return path
    order = [path for path in trace.called() if _has_rows(trace, path)]
    for path in order:
        parent = path.rpartition(".")[0]
        if _STEM.fullmatch(path) and not (_STEM.fullmatch(parent) and trace.at(parent)):
            return path
    depths = _depths(trace.called())
    for depth in (1, 2):
        for path in order[: math.ceil(len(order) / 2)]:
            if depths[path] <= depth and _is_activated(trace, path):
                return path
    return _around_first_weights(trace, order)


def find_stages(trace: Trace) -> tuple[Stage, ...]:
    """The modules whose outputs are the stages', fine to coarse; the stem is never one of them.

    1. declared in `layers`; 2. `feature_info` of timm, the last entry of each reduction;
    3. the last module at each resolution, at the shallowest depth with two resolutions or more;
    4. where the resolution never changes (ViT, mixers): the blocks at each quarter of the depth.
    None where the network has neither maps nor tokens.
    """
    paths = declared(trace, "stages")
    if paths:
        return tuple(Stage(path) for path in paths)
    order = _after_stem(trace)
    return (
        _by_feature_info(trace, set(order))
        or _by_resolution(trace, order, depths=(1, 2))
        or _by_blocks(trace, order, layouts=("tokens",))
        or _by_resolution(trace, order, depths=(3, 4, 5))
        or _by_blocks(trace, order, layouts=("tokens", "map"))
    )


def find_classifier(trace: Trace) -> str | None:
    """The path of the module whose input is the embedding, or None.

    1. declared in `layers`; 2. `default_cfg` and `get_classifier` of timm; of several heads the
    first; 3. the last linear layer or 1×1 convolution whose output is the logits; 4. the last
    one with as many outputs as there are logits (a softmax or a pooling may follow it).
    """
    known = [*declared(trace, "classifier"), *_timm_heads(trace)]
    for path in known:
        if trace.at(path, "input") is not None:
            return path
    heads = [path for path in ["", *trace.called()] if _is_head(trace.modules[path])]
    for path in reversed(heads):
        output = trace.at(path)
        if output is not None and _is_same(output.tensor, trace.result):
            return path
    width = trace.result.shape[1] if trace.result.ndim > 1 else 1
    wide = [path for path in heads if _width(trace.modules[path]) == width]
    return wide[-1] if wide else None


def _has_rows(trace: Trace, path: str) -> bool:
    reading = trace.at(path)
    return reading is not None and layout_of(reading.tensor, len(trace.example)) is not None


def _is_activated(trace: Trace, path: str) -> bool:
    """Whether the module is an activation, or ends with one."""
    ends = {
        trace.readings[module, "output"].tick: module
        for module in trace.modules[path].modules()
        if (module, "output") in trace.readings and _is_leaf(module)
    }
    if not ends:
        return False
    home = type(ends[max(ends)]).__module__
    return home == "torch.nn.modules.activation" or ".activations" in home


def _is_leaf(module: nn.Module) -> bool:
    passing = isinstance(module, (nn.Identity, nn.Dropout, nn.Dropout2d))
    return not passing and not any(True for _ in module.children())


def _around_first_weights(trace: Trace, order: list[str]) -> str:
    weighted = {leaf for _, leaf in trace.leaves}
    first = next((path for path in order if trace.modules[path] in weighted), None)
    if first is None:
        raise LayerError(
            f"{type(trace.network).__name__} has no 'stem': it calls no module with weights. "
            "Name a module by its path"
        )
    around = [path for path in order if f"{first}.".startswith(f"{path}.")]
    small = [path for path in around if _weighted(trace.modules[path], weighted) <= 2]
    return small[-1]


def _weighted(module: nn.Module, weighted: set[nn.Module]) -> int:
    return sum(inner in weighted for inner in module.modules())


def _after_stem(trace: Trace) -> list[str]:
    stem = trace.at(find_stem(trace))
    start = -1 if stem is None else stem.tick
    order = [path for path in trace.called() if _has_rows(trace, path)]
    return [path for path in order if trace.readings[trace.modules[path], "output"].tick > start]


def _by_feature_info(trace: Trace, after: set[str]) -> tuple[Stage, ...]:
    info = getattr(trace.network, "feature_info", None)
    entries = getattr(info, "info", info)
    if not isinstance(entries, (list, tuple)) or not all(isinstance(e, Mapping) for e in entries):
        return ()
    by_reduction: dict[object, list[Stage]] = defaultdict(list)
    for entry in entries:
        path, channels = _last_inside(trace, entry.get("module", "")), entry.get("num_chs")
        reading = trace.at(path)
        if reading is None or channels not in (reading.tensor.shape[1], reading.tensor.shape[-1]):
            return ()
        if path in after:
            by_reduction[entry.get("reduction")].append(Stage(path, channels))
    if len(by_reduction) == 1:
        return _quarters(*by_reduction.values())
    return tuple(stages[-1] for stages in by_reduction.values())


def _last_inside(trace: Trace, path: str) -> str:
    """The module itself; for a list of modules, which is never called, its last one."""
    module = trace.modules.get(path)
    if isinstance(module, nn.ModuleList) and len(module):
        return f"{path}.{len(module) - 1}"
    return path


def _by_resolution(trace: Trace, order: list[str], depths: Iterable[int]) -> tuple[Stage, ...]:
    for depth in depths:
        last: dict[int, str] = {}
        for path in _cut(trace, order, depth):
            size = resolution(trace, trace.readings[trace.modules[path], "output"])
            if size is not None:
                _add_coarser(last, math.prod(size), path)
        if len(last) > 1:
            return tuple(Stage(path) for path in last.values())
    return ()


def _cut(trace: Trace, order: list[str], depth: int) -> list[str]:
    """The modules at one depth, and those above it with nothing called inside."""
    depths = _depths(trace.called())
    parents = {_parent(path, depths) for path in depths}
    return [
        path
        for path in order
        if depths[path] == depth or (depths[path] < depth and path not in parents)
    ]


def _depths(called: list[str]) -> dict[str, int]:
    """Each path's depth in modules that are called: lists of modules do not count."""
    depths: dict[str, int] = {}
    known = set(called)
    for path in sorted(called, key=len):
        parent = _parent(path, known)
        depths[path] = 1 if parent is None else depths[parent] + 1
    return depths


def _parent(path: str, known: Container[str]) -> str | None:
    """The nearest module around it that is called; None for the network itself."""
    while path := path.rpartition(".")[0]:
        if path in known:
            return path
    return None


def _add_coarser(last: dict[int, str], points: int, path: str) -> None:
    """Add a module as the last of its resolution, or as the first of a coarser one."""
    if points in last:
        if points == next(reversed(last)):
            last[points] = path
    elif not last or points <= _COARSER * next(reversed(last)):
        last[points] = path


def _by_blocks(trace: Trace, order: list[str], layouts: tuple[str, ...]) -> tuple[Stage, ...]:
    """Siblings of one class whose outputs have one shape: the outermost, then largest family."""
    depths = _depths(trace.called())
    families: dict[tuple[object, ...], list[Stage]] = defaultdict(list)
    for path in order:
        module = trace.modules[path]
        tensor = trace.readings[module, "output"].tensor
        if layout_of(tensor, len(trace.example)) in layouts and any(
            True for _ in module.children()
        ):
            parent = path.rpartition(".")[0]
            families[parent, type(module), tensor.shape].append(Stage(path))
    repeated = [family for family in families.values() if len(family) > 1]
    outermost = min(repeated, key=lambda f: (depths[f[0].path], -len(f)), default=None)
    return () if outermost is None else _quarters(outermost)


def _quarters(blocks: list[Stage]) -> tuple[Stage, ...]:
    """The blocks that end each quarter of the depth; all of them where there are four or fewer."""
    parts = min(_DEPTH_QUARTERS, len(blocks))
    return tuple(blocks[math.ceil(len(blocks) * part / parts) - 1] for part in range(1, parts + 1))


def _timm_heads(trace: Trace) -> list[str]:
    config = getattr(trace.network, "default_cfg", None)
    named = config.get("classifier") if isinstance(config, Mapping) else None
    paths = [named] if isinstance(named, str) else list(named or ())
    getter = getattr(trace.network, "get_classifier", None)
    head = getter() if callable(getter) else None
    if isinstance(head, (tuple, list, nn.ModuleList)):
        head = next(iter(head), None)
    return paths + [path for path, module in trace.modules.items() if module is head]


def _is_head(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.kernel_size == (1, 1)
    return isinstance(module, nn.Linear)


def _width(module: nn.Module) -> object:
    return getattr(module, "out_features", None) or getattr(module, "out_channels", None)


def _is_same(output: Tensor, result: Tensor) -> bool:
    if output is result:
        return True
    return output.numel() == result.numel() and torch.equal(output.flatten(), result.flatten())
