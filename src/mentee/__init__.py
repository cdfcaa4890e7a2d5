"""Mentee: train a compact student from what bigger networks know, and prove what that was worth."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mentee.comparisons import Comparison, compare
    from mentee.methods import METHODS, Method, Term, Word
    from mentee.probes import Probed, chain, probe
    from mentee.run import Run, record, record_network, resume, train, verify
    from mentee.sweeps import Sweep, sweep

__version__ = "0.1.0"
__all__ = [
    "METHODS",
    "Comparison",
    "Method",
    "Probed",
    "Run",
    "Sweep",
    "Term",
    "Word",
    "chain",
    "compare",
    "probe",
    "record",
    "record_network",
    "resume",
    "sweep",
    "train",
    "verify",
]

_HOMES = {
    "Comparison": "mentee.comparisons",
    "compare": "mentee.comparisons",
    "METHODS": "mentee.methods",
    "Method": "mentee.methods",
    "Probed": "mentee.probes",
    "Term": "mentee.methods",
    "Word": "mentee.methods",
    "Run": "mentee.run",
    "chain": "mentee.probes",
    "probe": "mentee.probes",
    "Sweep": "mentee.sweeps",
    "record": "mentee.run",
    "record_network": "mentee.run",
    "resume": "mentee.run",
    "sweep": "mentee.sweeps",
    "train": "mentee.run",
    "verify": "mentee.run",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: `import mentee` loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mentee' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
