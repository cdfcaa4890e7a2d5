r"""Which parts of the contrast matter: memory, loss, layers, positions, temperature, weights.

CIFAR-10, ResNet-20 → ResNet-8 on 5,000 labeled images, from a record of eight views: the recipe
`cifar10-laptop` in bfloat16, and one thing varied at a time. Finished runs stay in `runs/` and are
not repeated.

    python benchmarks/quality/contrast.py --teacher resnet20-cifar10.safetensors
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from methods import compared, environment

HERE = Path(__file__).parent
BASELINES = ("none", "kd", "fitnet", "crd", "cktf", "cktf+kd")
NEGATIVES = 1024


def variants() -> dict[str, Any]:
    """Every row by name: the published ones with banks for 5,000 images, and the new ones."""
    from mentee.methods import Component, Method, Term, adjust, find

    def in_batch(
        layers: str, weight: float, loss: str = "info_nce", params: Mapping[str, Any] | None = None
    ) -> Term:
        return Term(layers, Component(loss, params or {}), weight, Component("project"))

    def dense(layers: str, weight: float, params: Mapping[str, Any] | None = None) -> Term:
        return Term(layers, Component("info_nce", params or {}), weight, Component("dense_project"))

    def row(name: str, *terms: Term) -> Method:
        return Method(name, terms)

    fitnet, kd = find("fitnet").terms, find("kd").terms
    pooled = tuple(in_batch(layers, 0.8) for layers in ("stem", "stages", "embedding"))
    both = (dense("stages", 1.0), in_batch("embedding", 0.8))
    rows = [
        row("embedding", in_batch("embedding", 0.8)),
        row("embedding-symmetric", in_batch("embedding", 0.8, params={"symmetric": True})),
        row("embedding-class", in_batch("embedding", 0.8, "class_info_nce")),
        row("pooled", *pooled),
        row("dense-1", dense("stages.1", 1.0)),
        row("dense", dense("stages", 1.0)),
        row("dense-3", dense("stages", 3.0)),
        row("dense+embedding", *both),
        row("dense+embedding-0.2", *(cold(t, 0.2) for t in both)),
        row("dense+embedding-0.05", *(cold(t, 0.05) for t in both)),
        row("dense+embedding-3", *(replace(t, weight=3 * t.weight) for t in both)),
        row("dense+embedding+kd", *both, *kd),
        row("dense+embedding+fitnet", *both, *fitnet),
        row("fitnet+kd", *fitnet, *kd),
    ]
    small = {"memory.negatives": NEGATIVES}
    banks = {name: adjust(find(name), small, {}) for name in ("crd-bank", "cktf-bank")}
    return {name: find(name) for name in BASELINES} | banks | {each.name: each for each in rows}


def cold(term: Any, temperature: float) -> Any:
    """The same term at another temperature."""
    loss = replace(term.loss, params={**term.loss.params, "temperature": temperature})
    return replace(term, loss=loss)


def main() -> None:
    """Compare, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="resnet8-cifar")
    parser.add_argument("--rows", nargs="+", default=None)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/quality-contrast"))
    parser.add_argument("--json", type=Path, default=HERE / "contrast.json")
    options = parser.parse_args()
    methods = variants()
    names = options.rows or list(methods)
    result = compared(options, names, methods, changes=(f"data.limit={options.images}",))
    content = {
        "what": f"test accuracy of {options.student} on CIFAR-10, {options.images} labeled images, "
        f"taught by ResNet-20, {options.epochs} epochs, seeds 0 to {options.seeds - 1}",
        **result.content,
        "environment": environment(options, "commit"),
    }
    options.json.write_text(
        json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(result)


if __name__ == "__main__":
    main()
