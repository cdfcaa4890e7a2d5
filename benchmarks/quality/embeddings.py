"""What embeddings of other tasks are worth as teachers: audio, text, images; in and out of domain.

Three tasks, two teachers each, of which one was trained without labels. Every row of a task has the
same recipe, examples, order and initial weights per seed; weights are chosen on validation, each
test set is read once per run. Records and finished runs stay in `runs/embeddings/` and are not
repeated, so an interrupted benchmark resumes where it was.

    python benchmarks/quality/embeddings.py audio
    python benchmarks/quality/embeddings.py audio --ablation

MENTEE_DATA names the folder of the data; `simclr.py` trains the images' self-supervised teacher.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from compare import difference, mean, spread

HERE, RUNS = Path(__file__).parent, Path("runs/embeddings")
DATA = Path(os.environ.get("MENTEE_DATA", "data"))
IMAGES = RUNS / "cifar10-subset"
SEEDS, SHARE = 5, 0.3


@dataclass(frozen=True)
class Task:
    """One task: its recipe, its teachers, and how many labels `few` are.

    Attributes:
        recipe: of every run, but for method, teacher, seed and limit.
        domains: other test sets, as `data.out_of_domain`.
        teachers: name → (embedder, its options, learned from).
        splits: which splits are recorded.
        full: labeled examples at most; None: all.
        few: labeled examples of the second setting, and its epochs.
    """

    recipe: dict[str, Any]
    domains: dict[str, Any]
    teachers: dict[str, tuple[str, dict[str, Any], str]]
    splits: tuple[str, ...]
    full: int | None
    few: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)


TRAIN = {
    "optimizer": "adamw",
    "lr": 2e-3,
    "weight_decay": 1e-2,
    "schedule": "one-cycle",
    "batch": 64,
}
TASKS = {
    "audio": Task(
        recipe={
            "data": {
                "source": str(DATA / "philharmonia"),
                "validation": "validation",
                "seconds": 1.0,
                "views": "none",
            },
            "student": "small-fcn",
            "train": {**TRAIN, "epochs": 10},
        },
        domains={"dynamics": {"split": "test_dynamics"}},
        teachers={
            "aisfx": ("aisfx", {}, "labels of sound effects"),
            "pesto": (
                "pesto",
                {"layer": "features", "pooling": "mean+std"},
                "pitch, self-supervised",
            ),
        },
        splits=("train", "validation", "test", "test_dynamics"),
        full=None,
        few=(230, 40),
    ),
    "text": Task(
        recipe={
            "data": {
                "source": str(DATA / "sentiment"),
                "validation": "validation",
                "views": "drop",
            },
            "student": "hashed-bag-small",
            "train": {**TRAIN, "epochs": 10},
        },
        domains={name: {"split": f"test_{name}"} for name in ("tweets", "amazon", "nyt")},
        teachers={
            "minilm": ("minilm", {}, "pairs of texts"),
            "glove": ("glove", {}, "co-occurrence, unsupervised"),
        },
        splits=("train", "validation", "test", "test_tweets", "test_amazon", "test_nyt"),
        full=None,
        few=(725, 40),
    ),
    "images": Task(
        recipe={
            "data": {"source": str(IMAGES), "validation": "validation", "views": "crop-flip"},
            "student": {"network": "resnet8-cifar", "options": {"widths": [8, 16, 32]}},
            "train": {**TRAIN, "epochs": 20},
        },
        domains={"corruptions": {"corruption": "all", "limit": 300}},
        teachers={
            "efficientnet-lite0": ("efficientnet-lite0", {"size": 128}, "ImageNet labels"),
            "simclr": (
                "network:resnet8-cifar",
                {
                    "weights": "runs/teachers/simclr-cifar10.safetensors",
                    "input": "cifar10",
                    "widths": [32, 64, 128],
                },
                "CIFAR-10 images, self-supervised",
            ),
        },
        splits=("train", "test"),
        full=None,
        few=(500, 40),
    ),
}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("none", {}),
    "east": ("east", {}),
    "east-cosine": ("east-cosine", {}),
    "to-teacher": ("to-teacher", {}),
    "pca": ("pca", {"params": {"pca.width": 32}}),
    "random": ("random", {"params": {"random.width": 32}}),
    "ec": ("ec-published", {"params": {"compress.width": 32}}),
}


def weights(share: float, method: str) -> dict[str, float]:
    """(1 - share) · task + share · agreement."""
    return {"task": round(1 - share, 2), "logits" if method == "probe-kd" else "embedding": share}


def ec(share: float | None = None, **numbers: Any) -> tuple[str, dict[str, Any]]:
    """The row `ec` with other options."""
    text = {f"compress.{key}": value for key, value in {"width": 32, **numbers}.items()}
    return "ec-published", {"params": text} | ({"weights": weights(share, "ec")} if share else {})


ABLATION: dict[str, tuple[str, dict[str, Any]]] = {
    "ec d=classes": ec(width=0),
    "ec d=8": ec(width=8),
    "ec d=128": ec(width=128),
    "ec d=512": ec(width=512),
    "ec probe first": ec(learn="first"),
    "ec two layers": ec(depth=2),
    "ec student head": ec(student_head="linear"),
    "ec λ=0.1": ec(0.1),
    "ec λ=0.6": ec(0.6),
    "ec-kd": (
        "ec-kd",
        {
            "params": {"compress.width": 32},
            "weights": {"task": 0.7, "distance_correlation": 0.21, "kl": 0.09},
        },
    ),
    "ec+probe-kd": ("ec+probe-kd", {"params": {"compress.width": 32}}),
    "probe-kd": ("probe-kd", {}),
    "similarity": ("similarity", {}),
}


@dataclass(frozen=True)
class Job:
    """One run: a row taught by one teacher (none: by no one), with some labels, by one seed."""

    task: str
    row: str
    teacher: str
    few: bool
    seed: int

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        row = self.row.replace(" ", "-").replace("=", "")
        labels = "few" if self.few else "full"
        return RUNS / self.task / f"{row}-{self.teacher or 'alone'}-{labels}-seed{self.seed}"


def recipe_of(job: Job) -> dict[str, Any]:
    """The recipe of a run."""
    task = TASKS[job.task]
    content = json.loads(json.dumps(task.recipe))
    content["data"]["limit"] = task.few[0] if job.few else task.full
    content["data"]["out_of_domain"] = task.domains
    content["train"]["seed"] = job.seed
    if job.few:
        content["train"]["epochs"] = task.few[1]
        content["train"]["batch"] = 16
        content["select"] = {"every": 4}
    method, more = {**ROWS, **ABLATION}[job.row]
    content["method"] = {"name": method, **json.loads(json.dumps(more))}
    if method != "none" and "+" not in method:
        content["method"].setdefault("weights", weights(SHARE, method))
    numbers = content["method"].get("params", {})
    if numbers.get("compress.width") == 0:
        numbers["compress.width"] = classes_of(job.task)
    if job.teacher:
        content["teacher"] = {"record": str(RUNS / "records" / job.teacher), "clean": True}
    return content


def classes_of(task: str) -> int:
    """How many classes a task has."""
    return {"audio": 12, "text": 2, "images": 10}[task]


def run(job: Job) -> dict[str, Any]:
    """Train one row with one seed, or resume it, or read its result."""
    import mentee

    folder = job.folder
    if (folder / "summary.json").is_file():
        return json.loads((folder / "summary.json").read_text())
    if any((folder / "checkpoints").glob("step-*")):
        return dict(mentee.resume(folder, quiet=True).summary)
    return dict(mentee.train(recipe_of(job), out=folder, quiet=True).summary)


def record(task: str, teachers: Sequence[str] = (), splits: Sequence[str] = ()) -> None:
    """Run each teacher, or some, once over the splits of a task where that has not been done."""
    import mentee

    text = TASKS[task]
    if task == "images":
        write_images()
    for name in teachers or text.teachers:
        embedder, options, _ = text.teachers[name]
        wanted = splits or text.splits
        missing = [s for s in wanted if not (RUNS / "records" / name / s).is_dir()]
        if missing:
            source = text.recipe["data"]["source"]
            out = RUNS / "records" / name
            mentee.record(source, embedder, out, splits=missing, options=options)


def write_images() -> None:
    """5,000 labeled images, 1,000 for validation and 4,000 to test, as parquet files."""
    if (IMAGES / "test.parquet").is_file():
        return
    from datasets import load_dataset

    IMAGES.mkdir(parents=True, exist_ok=True)
    files = {split: str(DATA / f"cifar10/{split}.parquet") for split in ("train", "test")}
    whole = load_dataset("parquet", data_files=files)
    train = whole["train"].shuffle(seed=0)
    train.select(range(5000)).to_parquet(IMAGES / "train.parquet")
    train.select(range(5000, 6000)).to_parquet(IMAGES / "validation.parquet")
    whole["test"].shuffle(seed=0).select(range(4000)).to_parquet(IMAGES / "test.parquet")


def jobs_of(task: str, rows: dict[str, Any], fews: list[bool], seeds: int) -> list[Job]:
    """Every run of the table, seed by seed."""
    return [
        Job(task, row, teacher, few, seed)
        for few in fews
        for seed in range(seeds)
        for row in rows
        for teacher in ([""] if row == "none" else TASKS[task].teachers)
    ]


def scores_of(summary: dict[str, Any]) -> dict[str, float]:
    """Accuracy in per cent by test set; `out` is the mean of the other domains."""
    results = {"test": 100 * summary["test"]["accuracy"]}
    domains = {k: v for k, v in summary["out_of_domain"].items() if "/" not in k}
    for name, there in domains.items():
        results[name] = 100 * there["scores"]["accuracy"]
    return results | {"out": mean([results[name] for name in domains])}


def table(task: str, done: dict[Job, dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows: means, spreads, paired differences to scratch and to EAsT of the same teacher."""
    groups: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for job in sorted(done, key=lambda job: job.seed):
        groups.setdefault((job.row, job.teacher, job.few), []).append(done[job])
    results = []
    for (row, teacher, few), runs in groups.items():
        scores = [scores_of(each) for each in runs]
        line: dict[str, Any] = {
            "row": row,
            "teacher": teacher or None,
            "labels": TASKS[task].few[0] if few else "all",
            "seeds": len(runs),
        }
        for name in scores[0]:
            values = [each[name] for each in scores]
            line[name] = {
                "values": [round(v, 2) for v in values],
                "mean": round(mean(values), 2),
                "spread": round(spread(values), 2),
            }
            for key, base in (
                ("above_scratch", ("none", "", few)),
                ("above_east", ("east", teacher, few)),
            ):
                if base in groups and (row, teacher, few) != base and row != "none":
                    others = [scores_of(each)[name] for each in groups[base][: len(values)]]
                    gain = difference(values, others)
                    line[name][key] = {"mean": round(gain.mean, 2), "half": round(gain.half, 2)}
        line["drop"] = round(mean([each["test"] - each["out"] for each in scores]), 2)
        alike = [s["similarity"]["teacher"] for s in runs if s["similarity"]]
        line["similarity"] = round(mean(alike), 3) if alike else None
        line["seconds_per_epoch"] = round(mean([s["seconds_per_epoch"] for s in runs]), 2)
        results.append(line)
    return results


def main() -> None:
    """Record, run every row with every seed, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--ablation", action="store_true", help="options of ec; 3 seeds")
    parser.add_argument("--labels", choices=["all", "few", "both"], default="both")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--record", action="store_true", help="only record")
    arguments = parser.parse_args()
    rows = ABLATION if arguments.ablation else ROWS
    rows = {name: rows[name] for name in arguments.rows or rows}
    seeds = arguments.seeds or (3 if arguments.ablation else SEEDS)
    fews = {"all": [False], "few": [True], "both": [False, True]}[arguments.labels]
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // arguments.processes))
    record(arguments.task)
    if arguments.record:
        return
    jobs = jobs_of(arguments.task, rows, fews, seeds)
    if arguments.ablation:  # what the options are compared with
        jobs += jobs_of(arguments.task, {n: ROWS[n] for n in ("none", "east", "ec")}, fews, seeds)
    done: dict[Job, dict[str, Any]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        waiting = {pool.submit(run, job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            done[job] = future.result()
            print(f"{len(done)}/{len(jobs)} {job.folder.name}", scores_of(done[job]), flush=True)
    write(arguments.task, "ablation" if arguments.ablation else "rows", done, seeds)


def merged(there: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that are there, those measured again in their places, further ones behind."""

    def key(line: dict[str, Any]) -> tuple[Any, ...]:
        return line["row"], line["teacher"], line["labels"]

    results = {key(line): line for line in there} | {key(line): line for line in new}
    return list(results.values())


def write(task: str, what: str, done: dict[Job, dict[str, Any]], seeds: int) -> None:
    """Put the table into the task's JSON file, beside what is there."""
    path = HERE / f"embeddings-{task}.json"
    content = json.loads(path.read_text()) if path.is_file() else {}
    environment = json.loads((next(iter(done)).folder / "environment.json").read_text())
    first = next(iter(done.values()))
    content |= {
        "what": f"accuracy in per cent, {task}; chosen on validation; seeds 0 to {SEEDS - 1}",
        "recipe": TASKS[task].recipe,
        "few": TASKS[task].few,
        "teachers": {name: learned for name, (_, _, learned) in TASKS[task].teachers.items()},
        "parameters": first["parameters"]["student"],
        what: merged(content.get(what, []), table(task, done)),
        "commits": sorted(
            {
                *content.get("commits", []),
                *(
                    str(json.loads((job.folder / "environment.json").read_text())["commit"])
                    for job in done
                ),
            }
        ),
        "environment": {
            k: environment[k]
            for k in ("mentee", "python", "packages", "platform", "cores", "threads")
        },
        "command": f"python benchmarks/quality/embeddings.py {task}",
    }
    if what == "ablation":
        content["ablation_seeds"] = seeds
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for line in content[what]:
        print(line["row"], line["teacher"], line["labels"], line["test"], line["out"])


if __name__ == "__main__":
    main()
