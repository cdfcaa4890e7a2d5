r"""What made embedding compression lose, and what it is made of now: one thing varied at a time.

Tasks with few labels and teachers that know another task (aisfx: sound effects; GloVe: words that
occur together; MiniLM: pairs of sentences; an RBM: pixels); `-rest`: with the other examples
unlabeled. Every task has a test set of its own domain and one or more of others.
Runs of one task and seed share examples, order and initial weights. Finished runs stay in `runs/`
and are not repeated.

    python benchmarks/quality/compression.py --tasks audio-few text-few --seeds 3
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import embeddings
from compare import difference, mean, spread

DIGITS = embeddings.Task(
    recipe={
        "data": {"source": "embedded:digits", "views": "crop", "pad": 1},
        "student": "resnet8-cifar",
        "train": {},
    },
    domains={"corruptions": {"corruption": "all", "limit": 20}},
    teachers={},
    splits=("train",),
    full=None,
    few=(200, 10),
)
KINDS = embeddings.TASKS | {"digits": DIGITS}
HERE, RUNS = Path(__file__).parent, Path("runs/compression")
SCRATCH = "none"
REST = {"unlabeled": {"share": 0.75}}
# task: (data and students of embeddings.py, teacher, what differs in data, in train, select)
TASKS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], int]] = {
    "digits-few": ("digits", "rbm", {"limit": 200}, {"epochs": 10, "batch": 20}, 1),
    "digits-rest": ("digits", "rbm", {"limit": 200, **REST}, {"epochs": 5, "batch": 40}, 1),
    "audio-few": ("audio", "aisfx", {"limit": 230}, {"epochs": 20, "batch": 16}, 4),
    "audio-rest": ("audio", "aisfx", {"limit": 230, **REST}, {"epochs": 6, "batch": 64}, 1),
    "text-few": ("text", "glove", {"limit": 500}, {"epochs": 20, "batch": 16}, 4),
    "text-all": ("text", "glove", {}, {"epochs": 5, "batch": 64}, 1),
    "text-rest": ("text", "glove", {"limit": 500, **REST}, {"epochs": 4, "batch": 64}, 1),
    "sentences-few": ("text", "minilm", {"limit": 500}, {"epochs": 20, "batch": 16}, 4),
    "sentences-rest": ("text", "minilm", {"limit": 500, **REST}, {"epochs": 4, "batch": 64}, 1),
}


def rows() -> dict[str, Any]:
    """Every method by name; `published` is the reconstruction, the others change one thing."""
    from mentee.methods import Component, Method, Term, find

    def term(
        loss: str = "distance_correlation",
        weight: float = 0.6,
        *,
        compressor: str = "compress",
        warmup: float = 0.0,
        loss_params: dict[str, Any] | None = None,
        **params: Any,
    ) -> Term:
        width = {"width": 64} if compressor != "to_teacher" and compressor != "pooled" else {}
        representation = Component(compressor, {**width, **params})
        parts = Component(loss, loss_params or {}), weight, representation
        return Term("embedding", *parts, exclusive_warmup=warmup)

    def row(name: str, *terms: Term, task: float = 0.4) -> Method:
        return Method(name, terms, task=task)

    def with_soft(name: str, near: float, alike: float, learn: str = "first") -> Method:
        """As `ec` is now, with other weights, or a compressor that learns with the student."""
        logits = Component("compressed_logits")
        soft_term = Term(("logits", "embedding"), Component("soft_labels"), alike, logits)
        terms = term(weight=near, gain=0.01, learn=learn), soft_term
        return row(name, *terms, task=round(1 - near - alike, 3))

    soft = replace(find("probe-kd").terms[0], weight=0.6)
    head = {"student_head": "linear"}
    first = {"learn": "first", **head}
    listed = [
        row("published", term()),
        row("distances", term(weight=0.1, gain=0.01), task=0.9),
        with_soft("joint-0.3", 0.1, 0.3, "joint"),
        with_soft("joint-0.6", 0.1, 0.6, "joint"),
        with_soft("soft-0.6", 0.1, 0.6),
        with_soft("soft-0.8", 0.1, 0.8),
        with_soft("near-0.3", 0.3, 0.6),
        row("lambda-0.3", term(weight=0.3), task=0.7),
        row("lambda-0.1", term(weight=0.1), task=0.9),
        row("width-8", term(width=8)),
        row("first", term(learn="first")),
        row("student-head", term(**head)),
        row("cka", term("cka")),
        row("cka-debiased", term("cka", loss_params={"debiased": True})),
        row("debiased", term(loss_params={"debiased": True})),
        row("debiased-0.3", term(weight=0.3, loss_params={"debiased": True}), task=0.7),
        row(
            "debiased+soft",
            term(weight=0.42, loss_params={"debiased": True}),
            replace(soft, weight=0.18),
        ),
        row("cosine", term("cosine", **head)),
        row("cosine-first", term("cosine", **first)),
        row("info-nce", term("info_nce", compressor="dense_to_teacher", weight=0.6)),
        row("pca", term(compressor="pca", width=32)),
        row("zero", term(gain=0.0)),
        row("zero-0.1", term(weight=0.1, gain=0.0), task=0.9),
        row("zero-debiased", term(loss_params={"debiased": True}, gain=0.0)),
        row(
            "zero-debiased-0.1",
            term(weight=0.1, loss_params={"debiased": True}, gain=0.0),
            task=0.9,
        ),
        row("zero-debiased-head", term(loss_params={"debiased": True}, gain=0.0, **head)),
        replace(row("balanced", term(weight=0.3), task=1.0), balance="gradient"),
        replace(
            row(
                "zero-debiased-balanced",
                term(weight=0.3, loss_params={"debiased": True}, gain=0.0),
                task=1.0,
            ),
            balance="gradient",
        ),
        row("cosine-first-warm", term("cosine", 1.0, warmup=0.5, **first), task=1.0),
        row("to-teacher-warm", term("cosine", 1.0, compressor="to_teacher", warmup=0.5), task=1.0),
        row(
            "to-teacher-warm+soft",
            term("cosine", 1.0, compressor="to_teacher", warmup=0.5),
            soft,
        ),
    ]
    named = {name: find(name) for name in (SCRATCH, "ec", "east", "to-teacher", "probe-kd")}
    return named | {each.name: each for each in listed}


def recipe_of(task: str, method: str, seed: int) -> dict[str, Any]:
    """The recipe of a run; scratch does not read unlabeled examples."""
    kind, teacher, data, train, every = TASKS[task]
    content: dict[str, Any] = json.loads(json.dumps(KINDS[kind].recipe))
    content["data"] |= data | {"out_of_domain": KINDS[kind].domains}
    content["train"] |= train | {"seed": seed}
    content |= {"select": {"every": every}, "method": method}
    if method != SCRATCH:
        record = str(embeddings.RUNS / "records" / teacher)
        content["teacher"] = {"record": record, "clean": True}
    return content


def run(task: str, method: str, seed: int) -> dict[str, Any]:
    """Train one row with one seed, or resume it, or read its result."""
    import mentee

    folder, methods = RUNS / task / f"{method}-seed{seed}", rows()
    if (folder / "summary.json").is_file():
        summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
        return summary
    if any((folder / "checkpoints").glob("step-*")):
        return dict(mentee.resume(folder, methods=methods, quiet=True).summary)
    recipe = recipe_of(task, method, seed)
    if method != SCRATCH:
        kind, teacher, *_ = TASKS[task]
        if kind == "digits":
            record_digits(embeddings.RUNS / "records" / teacher)
        else:
            embeddings.record(kind, [teacher], ["train"])
    return dict(mentee.train(recipe, methods=methods, out=folder, quiet=True).summary)


def record_digits(out: Path) -> None:
    """The record of docs/embeddings.md: what an RBM without labels finds in the pixels."""
    import numpy as np
    from sklearn.neural_network import BernoulliRBM

    from mentee.api import import_vectors
    from mentee.data import open_examples

    if (out / "train").is_dir():
        return
    digits = open_examples("embedded:digits", split="train")
    pixels = digits.read(np.arange(len(digits))).reshape(len(digits), -1).numpy() / 255
    vectors = BernoulliRBM(n_components=128, random_state=0).fit_transform(pixels)
    file = RUNS / "rbm.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, ids=digits.ids, embedding=vectors)
    import_vectors(file, "embedded:digits", out, say=lambda line: None)


def measured(task: str, names: list[str], seeds: int) -> list[dict[str, Any]]:
    """Mean, spread and paired difference to scratch of what is there, in domain and out of it."""
    # Of `-rest`, scratch is that of the same labels alone.
    base = task.replace("-rest", "-few")
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name in dict.fromkeys([SCRATCH, *names]):
        for seed in range(seeds):
            where = base if name == SCRATCH else task
            path = RUNS / where / f"{name}-seed{seed}" / "summary.json"
            if path.is_file():
                scores = embeddings.scores_of(json.loads(path.read_text()))
                found.setdefault(name, {})[seed] = scores
    lines = []
    for name, runs in found.items():
        line: dict[str, Any] = {"row": name, "seeds": sorted(runs)}
        for key in ("test", "out"):
            values = [runs[seed][key] for seed in sorted(runs)]
            line[key] = {
                "values": [round(v, 2) for v in values],
                "mean": round(mean(values), 2),
                "spread": round(spread(values), 2),
            }
            shared = sorted(runs.keys() & found.get(SCRATCH, {}).keys())
            if name != SCRATCH and len(shared) > 1:
                gain = difference(
                    [runs[seed][key] for seed in shared],
                    [found[SCRATCH][seed][key] for seed in shared],
                )
                line[key]["above"] = {
                    "mean": round(gain.mean, 2),
                    "half": round(gain.half, 2),
                    "clear": gain.clear,
                }
        lines.append(line)
    return lines


def main() -> None:
    """Train what is missing, and write the JSON of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rows", nargs="+", default=None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=1e9, help="start no run after these")
    parser.add_argument("--json", type=Path, default=HERE / "compression.json")
    options = parser.parse_args()
    names = options.rows or list(rows())
    end = time.monotonic() + 60 * options.minutes
    for seed in range(options.seeds):
        for task in options.tasks:
            for name in names:
                if name == SCRATCH and task.endswith("-rest"):
                    continue
                if time.monotonic() > end:
                    sys.exit(3)
                started = time.monotonic()
                scores = embeddings.scores_of(run(task, name, seed))
                if (took := time.monotonic() - started) > 1:
                    print(
                        f"{took:5.1f} s  {task} {name} {seed}: {scores['test']:.1f} "
                        f"{scores['out']:.1f}",
                        flush=True,
                    )
    write(options.json, options.seeds)


def class_shares(gain: float) -> dict[str, float]:
    """A linear compressor of GloVe, trained alone: the variance between classes, and its accuracy.

    The share of the variance of the 64 entries that lies between the classes, and the accuracy of
    the probe, on 600 examples of the training split that are held out.
    """
    import torch
    from torch import nn

    from mentee.data import open_examples
    from mentee.records import open_record

    embeddings.record("text", ["glove"], ["train"])
    examples = open_examples(embeddings.TASKS["text"].recipe["data"]["source"], split="train")
    record = open_record(embeddings.RUNS / "records" / "glove" / "train", "train")
    x = record.read(record.positions(examples.keys), names=["embedding"])["embedding"].float()
    x, y = (x - x.mean(0)) / x.std(0), torch.as_tensor(examples.labels).long()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, held = order[:-600], order[-600:]
    torch.manual_seed(0)
    h, probe = nn.Linear(x.shape[1], 64), nn.Linear(64, 2)
    h.weight.data *= gain
    h.bias.data *= gain
    steps = 5 * (len(train) // 64)
    optimizer = torch.optim.AdamW([*h.parameters(), *probe.parameters()], 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        rows_ = train[torch.randint(len(train), (64,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(probe(h(x[rows_])), y[rows_]).backward()
        optimizer.step()
        schedule.step()
    c, labels = h(x[held]).detach(), y[held]
    c = c - c.mean(0)
    between = sum((labels == k).sum() * c[labels == k].mean(0).square().sum() for k in (0, 1))
    return {
        "gain": gain,
        "between_classes": round(float(between / c.square().sum()), 3),
        "probe": round(float((probe(h(x[held])).argmax(1) == labels).float().mean()), 3),
    }


def write(path: Path, seeds: int) -> None:
    """The table of every finished run, with environment and commits."""
    folders = sorted(RUNS.glob("*/*/summary.json"))
    environments = [json.loads((f.parent / "environment.json").read_text()) for f in folders]
    last = environments[-1]
    content = {
        "what": "accuracy in per cent, chosen on validation; `out`: mean of the other domains; "
        "`above`: paired difference to scratch with half of its 95 % interval",
        "tasks": {
            task: {"teacher": teacher, "data": data, "train": train}
            for task, (_, teacher, data, train, _) in TASKS.items()
        },
        "rows": {task: measured(task, list(rows()), seeds) for task in TASKS},
        "class_shares": [class_shares(gain) for gain in (1.0, 0.0)],
        "commits": sorted({str(each["commit"]) for each in environments}),
        "environment": {
            k: last[k] for k in ("mentee", "python", "packages", "platform", "cores", "threads")
        },
        "command": "python benchmarks/quality/compression.py",
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(*page(content["rows"]), sep="\n")


def page(rows_of: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The tables of docs/results/embeddings.md: in domain, then out of it; clear ones are bold.

    A column for each task, a row for each method with as many seeds as the student from scratch.
    """
    lines = []
    for key in ("test", "out"):
        tasks = {
            task: {row["row"]: row for row in rows if len(row["seeds"]) == len(rows[0]["seeds"])}
            for task, rows in rows_of.items()
            if rows
        }
        names = dict.fromkeys(name for rows in tasks.values() for name in rows)
        lines += ["", "| | " + " | ".join(f"`{task}`" for task in tasks) + " |"]
        lines += ["|---" * (len(tasks) + 1) + "|"]
        for name in names:
            cells = (cell(rows[name][key]) if name in rows else "" for rows in tasks.values())
            lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def cell(score: dict[str, Any]) -> str:
    """A mean, with its difference to scratch and half of the interval."""
    above = score.get("above")
    if above is None:
        return f"{score['mean']:.1f}"
    text = f"{above['mean']:+.1f} ± {above['half']:.1f}"
    return f"{score['mean']:.1f}, " + (f"**{text}**" if above["clear"] else text)


if __name__ == "__main__":
    main()
