"""What a student is worth that was trained without labels: probes with few labels and with many.

`images`: the teacher is EfficientNet-lite0, trained on ImageNet and read at its stages, the student
a ResNet-8 on unlabeled CIFAR-10 images. `audio`: the teacher is aisfx, trained on sound effects,
the student a small convolutional network on unlabeled notes of an orchestra, with embeddings. Each
student is then probed with 1, 10 and 100 % of the labels of the same examples, three draws each, on
a test split that chooses nothing; so are the untrained student and the teacher. Methods of one seed
have the same examples, order and initial weights. No label chooses anything: the last weights stay.

Methods of two teachers read embeddings: unchanged, standardized by PHI-S, and with teacher dropout;
for these the similarity of the student to each teacher is measured.

`--stop`: the same runs again with `select: {patience: 4, cooldown: 0.2}`: how many steps the stop
by neighbors saves, and what it costs. The teacher is recorded once, with a few views. Records and
finished runs stay in `runs/label-free/` and not repeated, so an interrupted benchmark goes on
where it was.

    python benchmarks/quality/label_free.py images
    python benchmarks/quality/label_free.py images --stop

MENTEE_DATA names the folder of the data. Rows of two teachers of the images need the one that
`simclr.py` trains, and are left out without it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from compare import difference, mean, spread

HERE = Path(__file__).parent
DATA = Path(os.environ.get("MENTEE_DATA", "data"))
SHARES, DRAWS, DROP = (0.01, 0.1, 1.0), 3, 0.5
STOP = {"every": 1, "patience": 4, "cooldown": 0.2}
TRAIN = {
    "optimizer": "adamw",
    "lr": 2e-3,
    "weight_decay": 1e-2,
    "schedule": "one-cycle",
    "batch": 64,
    "precision": "bfloat16",
}
FEW = {"memory.negatives": 4096}
SIMCLR = Path("runs/teachers/simclr-cifar10.safetensors")


@dataclass(frozen=True)
class DemoSetting:
    """How large the benchmark is.

    Attributes:
        runs: where records and runs are kept.
        images: unlabeled images.
        views: recorded beside the clean one.
        epochs: of a student.
        seeds: of each row.
    """

    runs: Path = Path("runs/label-free")
    images: int = 5_000
    views: int = 4
    epochs: int = 40
    seeds: int = 3


@dataclass(frozen=True)
class Row:
    """The teachers of a row of the table, and the method.

    Attributes:
        method: a name of the table.
        teachers: names of `embedders`; none: the network's layers.
        params: of the method.
        dropout: of two teachers.
    """

    method: str
    teachers: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    dropout: float = 0.0


def of_two(*teachers: str) -> dict[str, Row]:
    """The rows of two teachers."""
    return {
        "two": Row("to-teacher", teachers),
        "two-phi-s": Row("phi-s", teachers),
        "two-drop": Row("phi-s", teachers, dropout=DROP),
    }


IMAGES = {
    "kd": Row("kd"),
    "crd": Row("crd"),
    "cktf": Row("cktf"),
    "crd-bank": Row("crd-bank", params=FEW),
    "cktf-bank": Row("cktf-bank", params=FEW),
    "cosine": Row("to-teacher"),
    "cosine+cktf": Row("to-teacher+cktf"),
    "similarity": Row("similarity"),
    "lite0-alone": Row("to-teacher", ("lite0",)),
    "simclr-alone": Row("to-teacher", ("simclr",)),
    **of_two("lite0", "simclr"),
}
AUDIO = {
    "crd": Row("crd", ("aisfx",)),
    "crd-bank": Row("crd-bank", ("aisfx",), {"memory.negatives": 1024}),
    "cosine": Row("to-teacher", ("aisfx",)),
    "similarity": Row("similarity", ("aisfx",)),
    "east": Row("east", ("aisfx",)),
    "pesto-alone": Row("to-teacher", ("pesto",)),
    **of_two("aisfx", "pesto"),
}
ROWS = {"images": IMAGES, "audio": AUDIO}


@dataclass(frozen=True)
class Job:
    """One run: a row with one seed, to its end or stopped by neighbors."""

    task: str
    row: str
    seed: int
    stops: bool
    setting: DemoSetting

    @property
    def folder(self) -> Path:
        """Where the run is kept."""
        name = f"{self.row}-{self.setting.epochs}-seed{self.seed}{'-stop' * self.stops}"
        return self.setting.runs / self.task / name


def recipe_of(job: Job) -> dict[str, Any]:
    """The recipe of a run."""
    row, records = ROWS[job.task][job.row], job.setting.runs / "records" / job.task
    each = {name: {"record": str(records / name), "clean": True} for name in row.teachers}
    teacher: dict[str, Any] = {"teachers": each, "dropout": row.dropout}
    if len(each) < 2:
        teacher = next(iter(each.values()), {"record": str(records / "places")})
    return {
        **base(job.task, job.setting),
        "teacher": teacher,
        "method": {"name": row.method, "params": row.params},
        "train": {**TRAIN, "epochs": job.setting.epochs, "seed": job.seed},
        "monitor": {"limit": min(1000, job.setting.images)},
        "select": STOP if job.stops else {"every": 1, "keep": "last"},
        "probe": {
            "shares": list(SHARES),
            "seeds": DRAWS,
            "ways": ["linear", "knn"],
            "who": ["student", "untrained"],
            "test": "test",
        },
    }


def base(task: str, setting: DemoSetting) -> dict[str, Any]:
    """Data and student."""
    alone = {"label": False, "test": None}
    if task == "audio":
        source = str(DATA / "philharmonia")
        data = {"source": source, "seconds": 1.0, "views": "none", **alone}
        return {"data": data, "student": "small-fcn"}
    data = {"source": str(subset(setting)), "views": "crop-flip", **alone}
    return {"data": data, "student": {"network": "resnet8-cifar", "input": "cifar10"}}


def embedders(task: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name → teacher and options, of those whose embeddings are recorded."""
    if task == "audio":
        pesto = {"layer": "features", "pooling": "mean+std"}
        return {"aisfx": ("aisfx", {}), "pesto": ("pesto", pesto)}
    simclr = {"weights": str(SIMCLR), "input": "cifar10", "widths": [32, 64, 128]}
    return {
        "lite0": ("efficientnet-lite0", {"size": 128}),
        "simclr": ("network:resnet8-cifar", simclr),
    }


def subset(setting: DemoSetting) -> Path:
    """The folder of the images: so many of the training part, and all of the test split."""
    return setting.runs / f"cifar10-{setting.images}"


def write_images(setting: DemoSetting) -> None:
    """Take the images, always the same ones, where that has not been done."""
    folder = subset(setting)
    if (folder / "test.parquet").is_file():
        return
    from datasets import load_dataset

    folder.mkdir(parents=True, exist_ok=True)
    files = {split: str(DATA / f"cifar10/{split}.parquet") for split in ("train", "test")}
    whole = load_dataset("parquet", data_files=files)
    train = whole["train"].shuffle(seed=0).select(range(setting.images))
    train.to_parquet(folder / "train.parquet")
    count = min(len(whole["test"]), setting.images)
    whole["test"].shuffle(seed=0).select(range(count)).to_parquet(folder / "test.parquet")


def record(task: str, rows: list[str], setting: DemoSetting) -> None:
    """Run the teachers once, where that has not been done."""
    import mentee

    out, chosen = setting.runs / "records" / task, [ROWS[task][row] for row in rows]
    if names := [row.method for row in chosen if not row.teachers]:
        teacher = {"network": "package:efficientnet-lite0", "size": 128}
        recipe = {**base(task, setting), "teacher": teacher, "method": names[0]}
        recipe["data"]["view_seed"] = 0
        mentee.record_network(recipe, out / "places", names=names, views=setting.views)
    for name, (embedder, options) in embedders(task).items():
        missing = [split for split in ("train", "test") if not (out / name / split).is_dir()]
        if missing and any(name in row.teachers for row in chosen):
            source = base(task, setting)["data"]["source"]
            mentee.record(source, embedder, out / name, splits=missing, options=options)


def run(job: Job) -> dict[str, Any]:
    """Train and probe one row with one seed, or resume it, or read its result."""
    import mentee
    from mentee.api import train_or_resume
    from mentee.build.overrides import PythonOverrides
    from mentee.recipe import read

    done = train_or_resume(read(recipe_of(job)), job.folder, PythonOverrides())
    return {"summary": dict(done.summary), "probe": dict(silent(mentee.probe, job).content)}


def silent(probe: Any, job: Job) -> Any:
    """A probe that prints nothing; the first seed of one row probes the teacher too."""
    first = job.seed == 0 and job.row == "cosine"
    more = ["probe.who=[student,untrained,teacher]"] if first and not job.stops else []
    return probe(job.folder, changes=more, say=lambda line: None)


def scores(results: dict[str, Any], network: str, way: str, share: float) -> list[float]:
    """In per cent, one for each draw of the labels."""
    return [
        100 * row["score"]
        for row in results["probe"]["rows"]
        if (row["who"].split()[0], row["way"], row["share"]) == (network, way, share)
    ]


def table(done: dict[Job, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows × ways × shares: a number for each seed, and paired differences with intervals."""
    rows = list(dict.fromkeys(job.row for job in done))
    runs = {row: [done[job] for job in ordered(done) if job.row == row] for row in rows}
    results: list[dict[str, Any]] = []
    for way in ("linear", "knn"):
        for share in SHARES:
            values = {
                row: [mean(scores(each, "student", way, share)) for each in runs[row]]
                for row in rows
            }
            first = runs[rows[0]]
            values["random"] = [mean(scores(each, "untrained", way, share)) for each in first]
            requested = (scores(each, "teacher", way, share) for row in rows for each in runs[row])
            teachers = [each for each in requested if each]
            for row, numbers in values.items():
                line: dict[str, Any] = {"row": row, "way": way, "share": share}
                line |= {"values": [round(v, 2) for v in numbers], "mean": round(mean(numbers), 2)}
                line["spread"] = round(spread(numbers), 2)
                for other in ("random", "kd", "crd-bank"):
                    if other in values and other != row:
                        gain = difference(numbers, values[other])
                        half = round(gain.half, 2) if gain.seeds > 1 else None
                        line[f"above_{other}"] = [round(gain.mean, 2), half]
                results.append(line)
            if teachers:
                line = {"row": "teacher", "way": way, "share": share}
                results.append(line | {"mean": round(mean(teachers[0]), 2)})
    return results


def ordered(done: dict[Job, dict[str, Any]]) -> list[Job]:
    """By seed."""
    return sorted(done, key=lambda job: job.seed)


def stopped(done: dict[Job, dict[str, Any]]) -> list[dict[str, Any]]:
    """For each row, what the stop saved of the steps, and the probe's points that it cost."""
    results = []
    for row in dict.fromkeys(job.row for job in done):
        pairs = [
            (done[replace(job, stops=False)], done[job])
            for job in ordered(done)
            if job.row == row and job.stops and replace(job, stops=False) in done
        ]
        if not pairs:
            continue
        saved = [100 * (1 - b["summary"]["steps"] / a["summary"]["steps"]) for a, b in pairs]
        line: dict[str, Any] = {"row": row, "steps_saved": [round(v, 1) for v in saved]}
        for share in SHARES:
            lost = [
                mean(scores(a, "student", "linear", share))
                - mean(scores(b, "student", "linear", share))
                for a, b in pairs
            ]
            line[f"lost_{share:g}"] = [round(v, 2) for v in lost]
        results.append(line)
    return results


def main() -> None:
    """Record, run every row with every seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=list(ROWS))
    parser.add_argument("--stop", action="store_true", help="also stopped by neighbors")
    parser.add_argument("--finished", action="store_true", help="write the tables, run nothing")
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--images", type=int, default=DemoSetting.images)
    parser.add_argument("--views", type=int, default=DemoSetting.views)
    parser.add_argument("--epochs", type=int, default=DemoSetting.epochs)
    parser.add_argument("--seeds", type=int, default=DemoSetting.seeds)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=Path, default=DemoSetting.runs)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--also", type=Path, help="rows of this file stay in the result")
    arguments = parser.parse_args()
    setting = DemoSetting(
        arguments.runs, arguments.images, arguments.views, arguments.epochs, arguments.seeds
    )
    rows = arguments.rows or list(ROWS[arguments.task])
    if arguments.task == "images" and not SIMCLR.is_file():
        print(f"left out: rows that need {SIMCLR} (simclr.py)", flush=True)
        rows = [row for row in rows if "simclr" not in IMAGES[row].teachers]
    os.environ.setdefault(
        "OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // arguments.processes))
    )
    if arguments.task == "images":
        write_images(setting)
    if not arguments.finished:
        record(arguments.task, rows, setting)
    jobs = jobs_of(arguments, rows, setting)
    done: dict[Job, dict[str, Any]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        waiting = {pool.submit(run, job): job for job in jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            done[job] = future.result()
            text = mean(scores(done[job], "student", "linear", 1.0))
            print(f"{len(done)}/{len(jobs)} {job.folder.name}  linear {text:.2f}", flush=True)
    write(arguments, setting, done)


def jobs_of(arguments: Any, rows: list[str], setting: DemoSetting) -> list[Job]:
    """All runs; with `--finished` those of which every seed is there."""
    jobs = [
        Job(arguments.task, row, seed, stops, setting)
        for stops in ([False, True] if arguments.stop else [False])
        for seed in range(setting.seeds)
        for row in rows
    ]
    if arguments.finished:
        jobs = [job for job in jobs if (job.folder / "probe.json").is_file()]
        runs = Counter((job.row, job.stops) for job in jobs)
        jobs = [job for job in jobs if runs[job.row, job.stops] == setting.seeds]
    return jobs


def joined(content: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The rows of an earlier file, and behind them those that only `content` has.

    Raises:
        ValueError: the two differ in examples or length.
    """
    for key in ("examples", "setting"):
        if content[key] != other[key]:
            raise ValueError(f"{key} is {other[key]} there, here it is {content[key]}")
    known = {each["row"] for each in other["rows"]}
    later = [each for each in content["rows"] if each["row"] not in known]
    names = list(dict.fromkeys(each["row"] for each in later))
    keys = ("commits", "environment", "command")
    added = {"rows": names, **{key: content[key] for key in keys}}
    minutes = other["minutes_per_run"] | {n: content["minutes_per_run"][n] for n in names}
    return {
        **other,
        "rows": [*other["rows"], *later],
        "minutes_per_run": minutes,
        "added": [*other.get("added", []), added],
    }


def similarity(done: dict[Job, dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """For each row of two teachers, what the students kept of each, a mean over the seeds."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    whole = [job for job in ordered(done) if not job.stops]
    for row in dict.fromkeys(job.row for job in whole):
        text = [done[job]["summary"].get("kept") for job in whole if job.row == row]
        for name in text[0] or ():
            results.setdefault(row, {})[name] = {
                key: round(mean([each[name][key] for each in text]), 3)
                for key in ("similarity", "explained", "neighbors")
            }
    return results


def write(arguments: Any, setting: DemoSetting, done: dict[Job, dict[str, Any]]) -> None:
    """Put the tables into the task's JSON file."""
    whole = {job: each for job, each in done.items() if not job.stops}
    first = next(iter(whole))
    text = {job: json.loads((job.folder / "environment.json").read_text()) for job in done}
    environment = text[first]
    rows = list(dict.fromkeys(job.row for job in whole))
    summaries = [each["summary"] for each in done.values()]
    content = {
        "what": f"test accuracy in per cent of probes, {arguments.task}; means over {DRAWS} draws "
        f"of the labels; seeds 0 to {setting.seeds - 1}; half the width of 95 % intervals",
        "setting": {"images": setting.images, "views": setting.views, "epochs": setting.epochs},
        "recipe": recipe_of(first),
        "examples": done[first]["probe"]["settings"]["test"]["examples"],
        "parameters": sorted({each["parameters"]["student"] for each in summaries}),
        "rows": table(whole),
        "stop": stopped(done),
        "kept": similarity(done),
        "minutes_per_run": {
            row: round(
                mean([whole[j]["summary"]["seconds"] for j in whole if j.row == row]) / 60, 1
            )
            for row in rows
        },
        "environment": {
            key: environment[key]
            for key in ("mentee", "python", "packages", "platform", "cores", "threads")
        },
        "commits": {
            kind: sorted({text[job]["commit"] for job in done if job.stops == stops})
            for kind, stops in (("to the end", False), ("stopped", True))
        },
        "command": f"python benchmarks/quality/label_free.py {arguments.task}"
        + " --stop" * arguments.stop
        + f" --rows {' '.join(rows)}" * bool(arguments.also),
    }
    out = arguments.out or HERE / f"label-free-{arguments.task}.json"
    if arguments.also:
        content = joined(content, json.loads(arguments.also.read_text(encoding="utf-8")))
    out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for line in [*content["rows"], *content["stop"]]:
        print(line)


if __name__ == "__main__":
    main()
