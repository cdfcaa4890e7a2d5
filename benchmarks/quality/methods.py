r"""The whole table on one task, and CKTF's claim: does a method gain from being derived so?

CIFAR-10, ResNet-20 → ResNet-8 on 5,000 labeled images, from a record of eight views: the recipe
`cifar10-laptop` with fewer epochs and bfloat16, a bank of 1,024 negatives in every row that has one
(there are 4,750 training images). Every row of the table that such a teacher fits, and of the
thirteen rows of the paper also `cktf(X)` and `X+cktf`. `--student` trains some of them again with a
student of another family. Finished runs stay in `runs/` and not repeated.

    python benchmarks/quality/methods.py --teacher resnet20-cifar10.safetensors
    python benchmarks/quality/methods.py --teacher … --student mobilenetv2-cifar --rows … \
        --precision float32 --out runs/second --json benchmarks/quality/methods-second.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
THIRTEEN = ("kd", "fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ab", "ft", "fsp", "nst", "crd")
LIVE_ONLY = ("cktf-exact",)
NEGATIVES = 1024


def form(name: str) -> str:
    """The row that `cktf(name)` is: a row of the table where its terms are the same."""
    from mentee.methods import METHODS, find

    terms = find(f"cktf({name})").terms
    return next((n for n, row in METHODS.items() if row.terms == terms), f"cktf({name})")


def summed(name: str) -> str:
    """`X+cktf`, by the name of the table where it has the sum."""
    from mentee.methods import find

    return find(f"{name}+cktf").name


def rows() -> list[str]:
    """All that a network of the student's classes can teach, the thirteen and their forms first."""
    from mentee.methods import METHODS

    forms = [each for name in THIRTEEN for each in (form(name), summed(name))]
    several = [
        n for n, row in METHODS.items() if any(t.loss.name == "binary_kd" for t in row.terms)
    ]
    table = [name for name in METHODS if name not in (*several, *LIVE_ONLY)]
    return list(dict.fromkeys(["none", *THIRTEEN, *forms, *table]))


def with_small_banks(names: list[str]) -> dict[str, Any]:
    """The same rows with as many negatives as there are examples for."""
    from mentee.methods import adjust, find

    def small(name: str) -> Any:
        row = find(name)
        has = any(term.memory and term.memory.name == "bank" for term in row.terms)
        return adjust(row, {"memory.negatives": NEGATIVES}, {}) if has else row

    return {name: small(name) for name in names}


def claim(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each of the thirteen: what it gains as `cktf(X)` and as `X+cktf`, paired by seed."""
    from mentee.experiments.statistics import difference, holm, noise, verdict

    result = {each["method"]: each["test"]["scores"] for each in content["rows"] if each["test"]}
    names, seeds = list(result), [str(seed) for seed in content["seeds"]]
    scores = np.array([[result[n].get(s, np.nan) for s in seeds] for n in names])
    pooled = noise(scores)
    lines: list[dict[str, Any]] = []
    for name in THIRTEEN:
        for other in (form(name), summed(name)):
            if other == name or name not in result or other not in result:
                continue
            gain = difference(scores, names.index(other), names.index(name), pooled)
            lines.append({"row": name, "derived": other, "gain": gain})
    for kind in (False, True):  # one family of questions for each kind of form
        family = [line for line in lines if ("+" in line["derived"]) is kind]
        for line, p in zip(family, holm([line["gain"].p for line in family]), strict=True):
            line |= {"kind": "sum" if kind else "form", "verdict": verdict(line["gain"], p)}
            line["gain"] = {
                "mean": line["gain"].mean,
                "low": line["gain"].low,
                "high": line["gain"].high,
                "p_holm": p,
            }
    return lines


def compared(
    options: argparse.Namespace,
    names: list[str],
    methods: dict[str, Any],
    *,
    precision: str = "bfloat16",
    changes: tuple[str, ...] = (),
) -> Any:
    """The comparison of methods on the task, by the options of the command line."""
    import mentee

    return mentee.compare(
        "cifar10-laptop",
        names,
        seeds=options.seeds,
        students=[options.student],
        views=8,
        processes=options.processes,
        out=options.out,
        changes=[
            *changes,
            f"train.epochs={options.epochs}",
            f"train.precision={precision}",
            f"teacher.weights={options.teacher}",
            "method=kd",
        ],
        methods=methods,
    )


def joined(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The rows of both, those of `content` where a method is in both.

    The file is of the same task, images, order, steps and seeds: scores are paired by seed.

    Raises:
        ValueError: the two differ in seeds, students or budget.
    """
    other = json.loads(path.read_text(encoding="utf-8"))
    for key in ("seeds", "students", "budget"):
        theirs, ours = other[key] and list(other[key]), content[key] and list(content[key])
        if theirs != ours:
            raise ValueError(f"{path}: {key} is {theirs}, here it is {ours}")
    names = {each["method"] for each in content["rows"]}
    more = [each for each in other["rows"] if each["method"] not in names]
    return {**content, "rows": [*content["rows"], *more]}


def environment(options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Of a run from scratch of the comparison."""
    first = next(options.out.glob(f"{options.student}-none-seed*/environment.json"))
    content = json.loads(first.read_text(encoding="utf-8"))
    keys = ("mentee", *more, "python", "packages", "platform", "cores")
    return {key: content[key] for key in keys}


def main() -> None:
    """Compare, and write the JSON and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="resnet8-cifar")
    parser.add_argument("--rows", nargs="+", default=None)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--precision", default="bfloat16", help="bfloat16 or float32")
    parser.add_argument("--out", type=Path, default=Path("runs/quality-methods"))
    parser.add_argument("--json", type=Path, default=HERE / "methods.json")
    parser.add_argument("--also", type=Path, help="a JSON of this task, for rows not trained here")
    options = parser.parse_args()
    names = options.rows or rows()
    result = compared(options, names, with_small_banks(names), precision=options.precision)
    content = result.content if options.also is None else joined(result.content, options.also)
    commits = {
        json.loads(path.read_text(encoding="utf-8"))["commit"]
        for path in options.out.glob(f"{options.student}-*/environment.json")
    }
    page = {
        "what": f"test accuracy of {options.student} on CIFAR-10, 5,000 labeled images, taught by "
        f"ResNet-20, {options.epochs} epochs, seeds 0 to {options.seeds - 1}",
        **content,
        "claim": claim(content),
        "commits": sorted(map(str, commits)),
        "environment": environment(options),
        "command": f"python benchmarks/quality/methods.py --teacher TEACHER --student "
        f"{options.student} --epochs {options.epochs} --seeds {options.seeds}"
        + (f" --precision {options.precision}" if options.precision != "bfloat16" else "")
        + (f" --rows {' '.join(options.rows)}" if options.rows else ""),
    }
    options.json.write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    options.json.with_suffix(".svg").write_text(
        (options.out / "compare.svg").read_text(encoding="utf-8"), encoding="utf-8"
    )
    print(result)


if __name__ == "__main__":
    main()
