"""`mentee benchmark`: what a student and its teacher cost in each runtime, measured in turn."""

from __future__ import annotations

import csv
import io
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mentee import files
from mentee.build.overrides import ModelFactory
from mentee.errors import MenteeError, RunError, shortened
from mentee.evaluation.evaluator import write_report
from mentee.evaluation.student_reader import finished_recipe
from mentee.exporting.predictor import OPENERS
from mentee.exporting.runtime import Array, silent
from mentee.exporting.signature import Signature
from mentee.exporting.student import held_out, open_run
from mentee.exporting.subjects import Subject, of_file, of_run, of_teachers, reason
from mentee.exporting.timing import SIZES, measure_in_turn, milliseconds
from mentee.report.tables import align, benchmark_cells
from mentee.runs.environment import version
from mentee.runs.folder import Folder
from mentee.threads import cores

ROUNDS = 20
PACKAGES = ("mentee", "torch", "onnxruntime", "timm", "numpy")
PROCESS = """
import re, sys
import numpy
OPENED
run(numpy.load(sys.argv[1]))
try:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
except OSError:
    from resource import RUSAGE_SELF, getrusage
    print(getrusage(RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""


@dataclass(frozen=True)
class Benchmark:
    """What networks cost.

    Attributes:
        rows: one for each network, runtime and number of threads: `network`, `runtime`, `threads`,
            `parameters`, `macs` (of one example), `bytes`, `memory` (the largest resident bytes of
            a fresh process that runs a batch of 32), `p50` and `p95` (milliseconds of a batch of
            1), `throughput` (examples a second in batches of 32); None: not known.
        skipped: a sentence for each that was not measured.
        about: machine, versions, rounds, input.
        path: the file in the run's folder; None: a file was measured.
    """

    rows: list[dict[str, Any]]
    skipped: list[str]
    about: dict[str, Any]
    path: Path | None = None

    @property
    def content(self) -> dict[str, Any]:
        """What stands in `benchmark.json`."""
        return {"rows": self.rows, "skipped": self.skipped, "about": self.about}

    def text(self, format: str = "table") -> str:
        """As `table`, `csv` or `json`."""
        if format == "json":
            return json.dumps(self.content, indent=2)
        if format == "csv":
            file = io.StringIO()
            writer = csv.DictWriter(file, [*self.rows[0]], lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
            return file.getvalue().rstrip()
        notes = [f"not measured: {each}" for each in self.skipped]
        return "\n".join([align(benchmark_cells(self.content)), *notes])


def benchmark(
    source: str | Path,
    *,
    rounds: int = ROUNDS,
    compile: bool = True,
    data: Any = None,
    student: ModelFactory | None = None,
) -> Benchmark:
    """Measure what a run's student, or an exported file, costs on this machine's processor.

    Of a run: the student in PyTorch, compiled, in onnxruntime (of `RUN/export`, else of a temporary
    file), with int8 where `RUN/export` has that, and its teacher where the recipe names a network.
    In each round all of them are run after one another, with one thread and with all.
    `RUN/benchmark.json` is written, and the run's report with it.

    Args:
        source: a run's folder, a `.onnx` or a `.pt2` file.
        rounds: how often each is run: five times a batch of 1, once a batch of 32.
        compile: measure `torch.compile`, too, which takes its time.
        data: as for `train`, where it was passed there.
        student: the module, where it was passed from Python.

    Raises:
        MenteeError: there is no such run or file, or its data cannot be read.
    """
    if rounds < 2:
        raise MenteeError(f"rounds are 2 or more, for a median; got {rounds}")
    path, before = files.usable(source), torch.get_num_threads()
    skipped: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        if path.suffix in OPENERS:
            if not path.is_file():
                raise RunError(f"there is no file {path}; mentee export writes one")
            file = OPENERS[path.suffix](path)
            inputs = random_inputs(file.signature)
            subjects = [of_file(path, file.signature)]
        else:
            recipe = finished_recipe(path)
            splits, some, _ = held_out(recipe, data, max(SIZES))
            shipped = open_run(path, splits, student=student)
            inputs = shipped.inputs(next(splits.clean(some)).inputs).numpy()
            subjects = of_run(path, shipped, inputs, Path(temporary), skipped, compile)
            subjects += of_teachers(path, recipe, shipped, inputs, skipped)
        sized = {n: np.ascontiguousarray(np.resize(inputs, (n, *inputs.shape[1:]))) for n in SIZES}
        np.save(Path(temporary) / "inputs.npy", sized[max(SIZES)])
        memory = [peak_memory(each, Path(temporary), skipped) for each in subjects]
        rows = []
        try:
            for threads in dict.fromkeys((1, cores())):
                torch.set_num_threads(threads)
                rows += measured(subjects, memory, sized, threads, rounds, skipped)
        finally:
            torch.set_num_threads(before)
    if not rows:
        raise RunError(f"{path} cannot be run: {'; '.join(skipped)}")
    about = {
        "machine": platform.machine(),
        "processor": processor(),
        "packages": {name: version(name) for name in PACKAGES},
        "rounds": rounds,
        "input": [str(inputs.dtype), *inputs.shape[1:]],
    }
    order = {(each.network, each.runtime): i for i, each in enumerate(subjects)}
    rows.sort(key=lambda row: order[row["network"], row["runtime"]])
    if path.suffix in OPENERS:
        return Benchmark(rows, skipped, about)
    folder = Folder(path)
    result = Benchmark(rows, skipped, about, folder.benchmark)
    files.write_json(folder.benchmark, result.content)
    if folder.summary.is_file():
        write_report(path)
    return result


def measured(
    subjects: list[Subject],
    memory: list[int | None],
    inputs: Mapping[int, Array],
    threads: int,
    rounds: int,
    skipped: list[str],
) -> list[dict[str, Any]]:
    """The rows of one number of threads."""
    runs = {}
    for number, each in enumerate(subjects):
        run = started(each, inputs)
        if isinstance(run, str):
            skipped.append(f"{each.network}, {each.runtime}, {threads} threads: {run}")
        else:
            runs[str(number)] = run
    seconds = measure_in_turn(runs, rounds)
    return [
        {
            "network": each.network,
            "runtime": each.runtime,
            "threads": threads,
            "parameters": each.parameters,
            "macs": each.macs,
            "bytes": each.bytes,
            "memory": memory[number],
            "p50": milliseconds(seconds[str(number)][1]),
            "p95": milliseconds(seconds[str(number)][1], 95),
            "throughput": 32_000 / milliseconds(seconds[str(number)][32]),
        }
        for number, each in enumerate(subjects)
        if str(number) in runs
    ]


def started(subject: Subject, inputs: Mapping[int, Array]) -> Callable[[int], Any] | str:
    """A subject as a function of the size of a batch; else the reason why it does not run."""
    try:
        with silent():
            run = subject.start()
            for each in inputs.values():
                run(each)
    except Exception as error:  # of a compiler or a runtime
        return reason(error)
    return lambda size: run(inputs[size])


def peak_memory(subject: Subject, folder: Path, skipped: list[str]) -> int | None:
    """The largest resident size of a fresh process that runs a batch of 32 once, in bytes."""
    if subject.process is None:
        return None
    opened, *arguments = subject.process
    code = PROCESS.replace("OPENED", opened)
    command = [sys.executable, "-c", code, str(folder / "inputs.npy"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it was killed"])[-1]
        skipped.append(f"memory of {subject.network}, {subject.runtime}: {shortened(last, 200)}")
        return None
    return 1024 * int(ended.stdout)


def random_inputs(signature: Signature) -> Array:
    """Inputs of a file: noise; texts of small letters; images of any size of 224 pixels."""
    rng, text = np.random.default_rng(0), signature.kind == "text"
    shape = (max(SIZES), *(224 if side is None else side for side in signature.shape))
    if signature.dtype == "uint8":
        return rng.integers(97 if text else 0, 123 if text else 256, shape, np.uint8)
    return rng.random(shape, np.float32)


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(each.partition(": ")[2] for each in lines if each.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
