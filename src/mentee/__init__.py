"""Mentee: train a compact student from what bigger networks know, and prove what that was worth."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mentee.api import Run, record, record_network, resume, train, verify
    from mentee.experiments.compare import Comparison, compare
    from mentee.experiments.pipeline import pipeline
    from mentee.experiments.probe import ProbeResult, probe
    from mentee.experiments.sweep import Sweep, sweep
    from mentee.methods import METHODS, Component, Method, Term

__version__ = "0.2.0"
__all__ = [
    "METHODS",
    "Comparison",
    "Component",
    "Method",
    "ProbeResult",
    "Run",
    "Sweep",
    "Term",
    "compare",
    "pipeline",
    "probe",
    "record",
    "record_network",
    "resume",
    "sweep",
    "train",
    "verify",
]

_HOMES = {
    "Comparison": "mentee.experiments.compare",
    "compare": "mentee.experiments.compare",
    "METHODS": "mentee.methods",
    "Method": "mentee.methods",
    "ProbeResult": "mentee.experiments.probe",
    "Term": "mentee.methods",
    "Component": "mentee.methods",
    "Run": "mentee.api",
    "pipeline": "mentee.experiments.pipeline",
    "probe": "mentee.experiments.probe",
    "Sweep": "mentee.experiments.sweep",
    "record": "mentee.api",
    "record_network": "mentee.api",
    "resume": "mentee.api",
    "sweep": "mentee.experiments.sweep",
    "train": "mentee.api",
    "verify": "mentee.api",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `import mentee` loads no torch."""
    if name not in _HOMES:
        from mentee.renamed import PYTHON
        from mentee.renamed import renamed as called

        if new := PYTHON.get(name):
            raise AttributeError(called(f"mentee.{name}", f"mentee.{new}"))
        raise AttributeError(f"module 'mentee' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
