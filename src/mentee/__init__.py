"""Mentee: train a compact student from what bigger networks know, and prove what that was worth."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mentee.api import (
        Run,
        benchmark,
        export,
        load,
        record,
        record_network,
        resume,
        train,
        verify,
    )
    from mentee.experiments.compare import Comparison, compare
    from mentee.experiments.distill import Distilled, advise, distill
    from mentee.experiments.pipeline import pipeline
    from mentee.experiments.probe import ProbeResult, probe
    from mentee.experiments.sweep import Sweep, sweep
    from mentee.methods import METHODS, Component, Method, Term
    from mentee.sharing.card import card
    from mentee.sharing.publish import push

__version__ = "0.2.0"
__all__ = [
    "METHODS",
    "Comparison",
    "Component",
    "Distilled",
    "Method",
    "ProbeResult",
    "Run",
    "Sweep",
    "Term",
    "advise",
    "benchmark",
    "card",
    "compare",
    "distill",
    "export",
    "load",
    "pipeline",
    "probe",
    "push",
    "record",
    "record_network",
    "resume",
    "sweep",
    "train",
    "verify",
]

_MODULES = {
    "mentee.api": (
        "Run",
        "benchmark",
        "export",
        "load",
        "record",
        "record_network",
        "resume",
        "train",
        "verify",
    ),
    "mentee.experiments.compare": ("Comparison", "compare"),
    "mentee.experiments.distill": ("Distilled", "advise", "distill"),
    "mentee.experiments.pipeline": ("pipeline",),
    "mentee.experiments.probe": ("ProbeResult", "probe"),
    "mentee.experiments.sweep": ("Sweep", "sweep"),
    "mentee.methods": ("METHODS", "Component", "Method", "Term"),
    "mentee.sharing.card": ("card",),
    "mentee.sharing.publish": ("push",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import mentee` loads no torch."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    from mentee.renamed import PYTHON, renamed

    if new := PYTHON.get(name):
        raise AttributeError(renamed(f"mentee.{name}", f"mentee.{new}"))
    raise AttributeError(f"module 'mentee' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
