"""Kill commands at random moments, continue them, and compare all they leave with no kill at all.

    OMP_NUM_THREADS=1 python -m tests.campaigns.kills --kills 200 --seed 1

Each command runs in a process that is forked from this one, which has everything imported and has
computed nothing; one in ten in a new interpreter. It gets SIGKILL, SIGTERM or SIGINT at a random
moment, some of them twice, and the command that a person would give next continues it. In the end
every deterministic file has to be that of an undisturbed run, and no process, lock or temporary
file may be left. The last line has the totals; every fault is printed when it is found.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
HANG = 120.0
ORPHAN = 40.0
FRESH = 0.1
"""The share of commands that get an interpreter of their own."""

MODULES = (
    "accelerate",
    "datasets",
    "onnxscript",
    "optuna",
    "scipy.io",
    "sklearn.datasets",
    "sklearn.linear_model",
    "torch._dynamo",
    "torch.onnx",
    "mentee.cli",
    "mentee.experiments.compare",
    "mentee.experiments.distill",
    "mentee.experiments.pipeline",
)
"""What the commands import, some of it late."""

STOPPED = re.compile(r"^stopped", re.MULTILINE)
"""What a command says that a signal has stopped."""

Command = list[str]


class Child(Exception):  # noqa: N818 - carries a forked process to the end of the program
    """Unwinds a forked process, so that it runs a command and ends as any interpreter does."""


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        name: of it.
        first: the command.
        next: what continues it, by what is in the folder.
        before: commands whose result it starts from, run once.
        weight: how often it is drawn.
    """

    name: str
    first: Command
    next: Callable[[], Command] | None = None
    before: Sequence[Command] = ()
    weight: float = 1.0

    def command(self) -> Command:
        return self.first if self.next is None else self.next()


def recipe(weights: Path) -> dict[str, Any]:
    return {
        "data": {
            "source": "embedded:digits",
            "views": "crop",
            "pad": 1,
            "limit": 128,
            "validation": 0.25,
        },
        "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8], "stem": 4}},
        "teacher": {"network": "resnet8-cifar", "weights": str(weights)},
        "method": "kd",
        "train": {"epochs": 4, "batch": 16},
        "save": {"steps": 4, "minutes": None},
        "probe": {
            "ways": ["knn", "linear", "finetune"],
            "shares": [0.05],
            "seeds": 2,
            "finetune": {"epochs": 1, "least": 8},
        },
    }


def cases(work: Path, files: Mapping[str, Path]) -> list[Case]:
    """All commands; each works in `work/case`."""
    out, one = work / "case", str(files["online"])
    run, record, to = str(out / "run"), str(out / "record"), ["--out", str(out)]

    def resumed(command: Command) -> Callable[[], Command]:
        there = Path(run, "recipe.yaml")
        return lambda: ["resume", run] if there.is_file() else command

    def train(file: str) -> Command:
        return ["train", str(files[file]), "--out", run]

    recorded = ["record", one, "--out", record, "--batch", "16", "--views"]
    many = [one, "--views", "2", "--processes"]
    return [
        Case("train", train("online"), resumed(train("online"))),
        Case("train ema", train("ema"), resumed(train("ema"))),
        Case("train recorded", train("recorded"), resumed(train("recorded"))),
        Case("train workers", train("workers"), resumed(train("workers")), weight=0.5),
        Case("record", [*recorded, "4"]),
        Case("grow", [*recorded, "4", "--methods", "at"], before=[[*recorded, "1"]]),
        Case(
            "overwrite",
            [*recorded, "3", "--dtype", "float32", "--overwrite"],
            before=[[*recorded, "2"]],
        ),
        Case("compare", ["compare", *many, "1", "--methods", "kd", "--seeds", "2", *to]),
        Case(
            "sweep",
            ["sweep", *many, "2", "--methods", "none,kd", "--seeds", "1", *to],
            weight=0.15,  # its processes are new interpreters
        ),
        Case(
            "budget",
            ["compare", *many, "1", "--methods", "kd,at", "--seeds", "1", "--budget", "0.25", *to],
        ),
        Case("probe", ["probe", run], before=[train("online")]),
        Case("pipeline", ["pipeline", one, "--views", "2", *to]),
        Case(
            "distill",
            ["distill", one, "--epochs", "24", "--seeds", "1", "--processes", "1", *to],
            weight=0.15,  # it has some thirty runs
        ),
    ]


@dataclass
class Campaign:
    """The state of a campaign."""

    work: Path
    rng: random.Random
    hang: float
    fresh_share: float = FRESH
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    fresh: int = 0

    def fault(self, kind: str, text: str) -> None:
        self.faults[kind] += 1
        print(f"FAULT {kind}: {text}", flush=True)

    def start(self, command: Command, *, fresh: bool = False) -> int:
        """Start a command in a session of its own; returns its process."""
        log = self.work / "log.txt"
        if fresh:
            with log.open("ab") as output:
                arguments = [sys.executable, "-X", "faulthandler", "-m", "mentee.cli", *command]
                return subprocess.Popen(
                    arguments,
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                ).pid
        sys.stdout.flush()
        # The hooks of libraries after a fork are no part of the command.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS[1:])
        number = os.fork()
        if number:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return number
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for each in (1, 2):
            os.dup2(handle, each)
        faulthandler.register(signal.SIGUSR1)
        raise Child(command)  # which takes the signals that came by then

    def wait(self, number: int, seconds: float) -> int | None:
        """The exit status of a process; None: it has not ended."""
        end = time.monotonic() + seconds
        while True:
            done, status = os.waitpid(number, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(min(0.01, seconds))

    def finish(self, number: int, name: str) -> int:
        """Wait for a process to end; one that does not is a fault."""
        status = self.wait(number, self.hang)
        if status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGUSR1)
            time.sleep(1)
            self.fault("hang", f"{name}\n{self.log()}")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(number, signal.SIGKILL)
            status = self.wait(number, 30) or -9
        return status

    def expect_no_traceback(self, name: str, status: int) -> None:
        """A new interpreter that gets SIGINT before it has come to `main` shows Python's own."""
        log = self.log()
        started = "in main\n" in log or "in _run_module_as_main" not in log
        if "Traceback" in log and started:
            self.fault("traceback", f"{name}: status {status}\n{log}")

    def log(self) -> str:
        file = self.work / "log.txt"
        return file.read_text(errors="replace") if file.exists() else ""

    def run(self, command: Command, name: str) -> float:
        """Run a command to its end; the seconds it took."""
        (self.work / "log.txt").unlink(missing_ok=True)
        began = time.monotonic()
        status = self.finish(self.start(command), name)
        self.expect_no_traceback(name, status)
        if status:
            self.fault("refused", f"{name}: status {status}: {' '.join(command)}\n{self.log()}")
        return time.monotonic() - began

    def kill(self, case: Case, seconds: float) -> None:
        """Start a command, and kill it if it is still at work at a random moment."""
        (self.work / "log.txt").unlink(missing_ok=True)
        fresh = self.rng.random() < self.fresh_share
        number = self.start(case.command(), fresh=fresh)
        self.fresh += fresh
        status = self.wait(number, self.rng.uniform(0, 0.8 * seconds + 4 * fresh))
        sent: list[signal.Signals] = []
        twice = self.rng.random() < 0.2
        for _ in range(1 + twice):
            if status is None:
                sent.append(self.rng.choice(SIGNALS))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, sent[-1])
                self.kills[sent[-1].name] += 1
                status = self.wait(number, self.rng.uniform(0, 0.2))
        name = f"{case.name} after {' and '.join(each.name for each in sent) or 'nothing'}"
        status = self.finish(number, name) if status is None else status
        self.expect_no_traceback(name, status)
        expected = {0, *(-each for each in sent), *(128 + each for each in sent)}
        if len(sent) == 1 and STOPPED.search(self.log()):  # it has caught the signal
            expected = {128 + sent[0]}
            if fresh and sent[0] == signal.SIGINT:
                # `python -m` ends by the signal itself, which a shell calls 130 as well, where
                # Ctrl-C came within exec(), as dataclasses have it, however it was handled.
                expected.add(-signal.SIGINT)
        if status not in expected:
            self.fault("status", f"{name}: {status}\n{self.log()}")
        self.expect_no_orphans(number, name)

    def expect_no_orphans(self, session: int, name: str) -> None:
        """Processes that a killed one has started end by themselves."""
        end = time.monotonic() + ORPHAN
        while left := members(session):
            if time.monotonic() > end:
                self.fault("orphan", f"{name}: {left}")
                for each in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(each, signal.SIGKILL)
                return
            if self.rng.random() < 0.02:
                return  # the next command meets them
            time.sleep(0.05)

    def round(self, case: Case, most: int) -> None:
        """Kill a command some times, continue it to its end, and compare."""
        reference = self.work / f"reference-{case.name}"
        out, seconds = self.work / "case", 0.0
        if not reference.exists():
            for command in case.before:
                self.run(command, f"before {case.name}")
            if out.exists():
                shutil.copytree(out, self.work / f"before-{case.name}")
            seconds = self.run(case.first, f"undisturbed {case.name}")
            (self.work / f"seconds-{case.name}").write_text(str(seconds))
            out.rename(reference)
        seconds = float((self.work / f"seconds-{case.name}").read_text())
        before = self.work / f"before-{case.name}"
        if before.exists():
            shutil.copytree(before, out)
        for _ in range(self.rng.randint(2, most)):
            self.kill(case, seconds)
        self.run(case.command(), f"continued {case.name}")
        self.rounds[case.name] += 1
        problems = differences(reference, out)
        for kind, text in problems:
            self.fault(kind, f"{case.name}: {text}")
        if problems:
            out.rename(self.work / f"fault-{sum(self.faults.values())}")
        else:
            shutil.rmtree(out)

    def totals(self, seconds: float, seed: int) -> str:
        kinds = ", ".join(f"{name} {self.kills[name]}" for name in sorted(self.kills))
        faults = ", ".join(
            f"{self.faults[kind]} {text}"
            for kind, text in (
                ("difference", "different files"),
                ("orphan", "orphans"),
                ("lock", "locks"),
                ("left", "left-over files"),
                ("hang", "hangs"),
                ("traceback", "tracebacks"),
                ("status", "wrong exit statuses"),
                ("refused", "refused"),
            )
        )
        return (
            f"{sum(self.kills.values())} kills ({kinds}) in {sum(self.rounds.values())} rounds of "
            f"{len(self.rounds)} commands, {self.fresh} in new interpreters: {faults}; "
            f"{seconds:.0f} s, seed {seed}"
        )


def members(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                alive.append(int(stat.parent.name))
    return alive


def differences(reference: Path, out: Path) -> list[tuple[str, str]]:
    """What a folder has otherwise than that of an undisturbed command."""
    problems = []
    for path in sorted(out.rglob(".*")):
        kind = "lock" if path.name.endswith(".lock") else "left"
        problems.append((kind, str(path.relative_to(out))))
    expected, found = contents(reference), contents(out)
    for name in sorted({*expected, *found}):
        if name not in found or name not in expected:
            where = "is missing" if name not in found else "is left over"
            problems.append(("difference" if name not in found else "left", f"{name} {where}"))
        elif expected[name] != found[name]:
            problems.append(("difference", f"{name} differs"))
    return problems


def contents(folder: Path) -> dict[str, Any]:
    """The deterministic content of each file, by name."""
    names: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name.startswith(".") or path.name == MEASURED:
            continue
        if path.suffix == ".pt":
            last = sorted(path.parent.glob("step-*.pt"))[-1]
            if path == last:  # which other one is kept depends on the moment of a signal
                names[name] = state(path)
            continue
        names[name] = content(path)
    return names


TIMES = re.compile(
    r"^.*(second|whole run|memory| left$|MB|GB|\d s\b).*$", re.IGNORECASE | re.MULTILINE
)
NAMES = ("compare", "sweep", "distill")
PAGES = {f"{name}.{ending}" for name in NAMES for ending in ("md", "html", "svg")}
UNSTABLE = {"optuna.log", "report.html", "probe.html", "README.md", *PAGES}
MEASURED = "model-int8.onnx"
"""Is there or not by what a prediction takes."""


def content(path: Path) -> Any:
    if path.name in UNSTABLE:
        return None
    if path.name == "report.md":
        return TIMES.sub("", path.read_text())
    if path.name == "environment.json":
        content = json.loads(path.read_text())
        return {key: content[key] for key in ("data", "teacher", "recipe")}
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()))
    return path.read_bytes()


def without_times(content: Any) -> Any:
    """Without what depends on the machine: seconds, memory, and int8 for which they decide."""
    if isinstance(content, dict):
        return {
            key: without_times(value)
            for key, value in content.items()
            if not re.match(r"(seconds|spent_seconds|milliseconds|memory|wall|int8)", str(key))
        }
    return [without_times(each) for each in content] if isinstance(content, list) else content


def state(path: Path) -> Any:
    """A checkpoint, as something that can be compared."""
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value

    return without_times(plain(torch.load(path, weights_only=True)))


def prepare(campaign: Campaign) -> list[Case]:
    """Train the teacher, record it, and write the recipes."""
    work, weights = campaign.work, campaign.work / "teacher" / "student.safetensors"
    content = recipe(weights)
    variants = {
        "teacher": {**content, "teacher": None, "method": "none", "student": "resnet8-cifar"},
        "online": content,
        "ema": {
            **content,
            "method": "crd",
            "train": {**content["train"], "ema": 0.9, "gradient_accumulation": 2},
            "monitor": {"limit": 40},
        },
        "workers": {
            **content,
            "data": {**content["data"], "views": "random-resized-crop", "size": 8},
            "train": {**content["train"], "num_workers": 2},
        },
        "recorded": {
            **content,
            "teacher": {"record": str(work / "taught")},
            "data": {**content["data"], "cycle": 2},
        },
    }
    files = {}
    for name, each in variants.items():
        files[name] = work / f"{name}.yaml"
        files[name].write_text(json.dumps(each))  # JSON is YAML
    campaign.run(["train", str(files["teacher"]), "--out", str(weights.parent)], "teacher")
    out = str(work / "taught")
    campaign.run(["record", str(files["online"]), "--out", out, "--views", "2"], "record")
    return cases(work, files)


def warm_up() -> None:
    """Import everything, and compute nothing: a fork after that is like a new interpreter."""
    for name in MODULES:
        importlib.import_module(name)
    names = {each.read_text().strip() for each in Path("/proc/self/task").glob("*/comm")}
    assert len(names - {"jemalloc_bg_thd"}) <= 1, f"set OMP_NUM_THREADS=1: {names}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most", type=int, default=6, help="kills of one command before it ends")
    parser.add_argument("--only", default="", help="names of commands, with commas")
    parser.add_argument("--hang", type=float, default=HANG, help="seconds until it is called one")
    parser.add_argument("--fresh", type=float, default=FRESH, help="share of new interpreters")
    parser.add_argument("--work", type=Path, help="a new folder; kept where there are faults")
    options = parser.parse_args(arguments)
    work = options.work or Path(tempfile.mkdtemp(prefix="mentee-kills-"))
    work.mkdir(parents=True, exist_ok=True)
    os.environ["MENTEE_CACHE"] = str(work / "cache")
    warm_up()
    campaign = Campaign(work, random.Random(options.seed), options.hang, options.fresh)
    began = time.monotonic()
    every = prepare(campaign)
    if options.only:
        every = [case for case in every if case.name in options.only.split(",")]
    left = list(every)
    while sum(campaign.kills.values()) < options.kills:
        if not left:
            left = [case for case in every if campaign.rng.random() < case.weight] or list(every)
            campaign.rng.shuffle(left)
        case = left.pop()
        campaign.round(case, options.most)
        done = sum(campaign.kills.values())
        print(f"{time.monotonic() - began:.0f} s: {done} kills, {case.name}", file=sys.stderr)
    print(campaign.totals(time.monotonic() - began, options.seed))
    if not campaign.faults and not options.work:
        shutil.rmtree(work)
    return min(sum(campaign.faults.values()), 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Child as child:
        command = child.args[0]
    sys.argv = ["mentee", *command]
    import mentee.cli

    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        mentee.cli.main()
    except KeyboardInterrupt:  # before the command has begun
        sys.exit(130)
