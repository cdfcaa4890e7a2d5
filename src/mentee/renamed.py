"""Names of version 0.1 that were renamed, for the messages that name the new ones."""

from __future__ import annotations

from collections.abc import Sequence

SINCE = "0.2"

KEYS = {
    "watch": "monitor",
    "data.rate": "data.sample_rate",
    "data.length": "data.max_bytes",
    "data.unlabelled": "data.unlabeled",
    "student.input.rate": "student.input.sample_rate",
    "student.input.length": "student.input.max_bytes",
    "student.reuse.place": "student.reuse.layer",
    "teacher.average": "teacher.ema",
    "teacher.drop": "teacher.dropout",
    "teacher.input.rate": "teacher.input.sample_rate",
    "teacher.input.length": "teacher.input.max_bytes",
    "method.numbers": "method.params",
    "method.terms.places": "method.terms.layers",
    "method.terms.agree": "method.terms.loss",
    "method.terms.represent": "method.terms.representation",
    "method.terms.fade": "method.terms.stage_decay",
    "method.terms.first": "method.terms.exclusive_warmup",
    "method.terms.rise": "method.terms.ramp",
    "train.rate": "train.lr",
    "train.decay": "train.weight_decay",
    "train.decay_all": "train.weight_decay_all",
    "train.optimiser": "train.optimizer",
    "train.average": "train.ema",
    "train.smoothing": "train.label_smoothing",
    "train.accumulate": "train.gradient_accumulation",
    "train.clip": "train.max_grad_norm",
    "train.workers": "train.num_workers",
    "probe.layer.rate": "probe.layer.lr",
    "probe.layer.decay": "probe.layer.weight_decay",
    "probe.finetune.rate": "probe.finetune.lr",
    "probe.finetune.decay": "probe.finetune.weight_decay",
    "probe.finetune.optimiser": "probe.finetune.optimizer",
}
"""Keys of a recipe, without the indices of list entries."""

COMMANDS = {"places": "layers", "chain": "pipeline"}
"""Commands of `mentee`."""

PYTHON = {"Word": "Component", "chain": "pipeline", "Probed": "ProbeResult"}
"""Names of the package `mentee`."""

COMPONENTS = {
    "associate": "semckd",
    "factors": "paraphraser",
    "flow": "fsp",
    "maps": "feature_maps",
    "margin": "margin_relu",
    "regress": "regressor",
    "review": "reviewkd",
    "vectors": "pooled",
}
"""Losses, representations and memories, as a term names them."""

METHODS = {"standardised": "standardized"}
"""Methods, and forms of methods."""


def renamed(old: str, new: str) -> str:
    """The message for an old name.

    Example:
        >>> renamed("train.rate", "train.lr")
        'train.rate is called train.lr since 0.2'
    """
    return f"{old} is called {new} since {SINCE}"


def new_key(path: Sequence[str]) -> str | None:
    """The new name of a recipe key of version 0.1; None: it was not renamed.

    Args:
        path: the parts of the key, with indices of list entries.

    Example:
        >>> new_key(["method", "terms", "0", "agree"]), new_key(["train", "epochs"])
        ('method.terms.0.loss', None)
    """
    plain = ".".join(part for part in path if not part.isdigit())
    new = KEYS.get(plain)
    if new is None and path[-1] == "numbers" and path[0] == "method":
        new = "params"  # of a component within a term
    return None if new is None else ".".join([*path[:-1], new.rpartition(".")[2]])
