"""The metadata of a model card: what the hub lists and filters by."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from huggingface_hub import EvalResult, ModelCardData

from mentee.data.arrays import CIFAR10_HUB
from mentee.report.page import RunFiles, run_title
from mentee.report.run_page import main_score

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PIPELINES = {"image": "image-classification", "audio": "audio-classification"}
PIPELINES |= {"text": "text-classification"}
EMBEDDINGS = {"image": "image-feature-extraction"}

Licenses: TypeAlias = Mapping[str, str | None]
NOT_GIVEN: Licenses = dict.fromkeys(("Student", "Teacher", "Data"))


def metadata(
    run: RunFiles, recipe: Mapping[str, Any], data: str, licenses: Licenses
) -> ModelCardData:
    """The metadata of the hub, with scores and their intervals as `model-index`."""
    summary, kind = run.summary, (recipe.get("data") or {}).get("kind") or "image"
    pipeline = PIPELINES.get(kind) if summary.get("task") in ("single", "multi") else None
    if summary.get("task") == "none":
        pipeline = EMBEDDINGS.get(kind, "feature-extraction")
    hub = data if HUB_ID.fullmatch(data) else None
    results = []
    for part in ("test", "validation"):
        interval = ((summary.get("details") or {}).get(part) or {}).get("interval") or {}
        for metric, value in (summary.get(part) or {}).items():
            known = interval.get("score") == metric
            ends = (
                {"confidence_interval_95": [interval["low"], interval["high"]]} if known else None
            )
            about = (pipeline or "other", hub or "local", data, metric, value)
            if math.isfinite(value):
                results.append(EvalResult(*about, dataset_split=part, metric_args=ends))
    main, method = main_score(summary), summary["method"]
    bases = map(hub_model, (recipe.get("student") or {}, recipe.get("teacher") or {}))
    return ModelCardData(
        license=licenses["Student"],
        base_model=list(dict.fromkeys(filter(None, bases))) or None,
        datasets=[hub] if hub else None,
        eval_results=results or None,
        metrics=[main[1]] if main else None,
        model_name=run_title(summary),
        pipeline_tag=pipeline,
        tags=["mentee", *(["knowledge-distillation", method] if method != "none" else [])],
    )


def hub_model(network: Mapping[str, Any]) -> str | None:
    """Where the hub has the weights that a network began with; None: it is not known."""
    name, options = str(network.get("network", "")), network.get("options") or {}
    tagged = re.fullmatch(r"timm:(\w+\.\w+)", name)
    return f"timm/{tagged[1]}" if tagged and options.get("pretrained") else None


def data_name(recipe: Mapping[str, Any]) -> str:
    """The data's name on the hub, or of built-in data; never a path."""
    source = str((recipe.get("data") or {}).get("source"))
    scheme, _, name = source.partition(":")
    if source == "cifar10":
        return CIFAR10_HUB
    return name.partition(":")[0] if scheme in ("hub", "embedded") else "local data"
