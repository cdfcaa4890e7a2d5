"""After the transfer: what a student's embedding is worth; and the whole way there by one call."""

from mentee.probes.asking import Probed, probe
from mentee.probes.chaining import chain

__all__ = ["Probed", "chain", "probe"]
