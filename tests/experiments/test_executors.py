"""Runs on other machines: a Ray cluster of two nodes, and jobs of submitit, as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from mentee import compare, distill, sweep
from mentee.build.overrides import PythonOverrides
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.experiments.executors import make_executor, run_jobs
from mentee.experiments.executors.executor import MOST_LOSSES
from mentee.experiments.executors.remote import last_step
from mentee.experiments.jobs import Job
from mentee.experiments.workers import WorkerMessage, run_remote_job
from mentee.runs import checkpoint
from tests.conftest import digits
from tests.processes import ROOT, Forked

Begin = Callable[..., Forked]


def make(text: str, processes: int | None = None, out: Path = Path("s")) -> Any:
    return make_executor(text, processes, PythonOverrides(), out)


# --- chosen by a text --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rya", "executor 'rya': expected local, ray, ray:ADDRESS or slurm"),
        ("local:4", "executor 'local:4': expected"),
        ("ray:a:1,b:2", "expected local, ray"),
        ("ray:gpus=1", "executor ray has no option gpus; it has num_cpus, num_gpus"),
        ("ray:num_cpus=0", "num_cpus=0; expected a number above 0"),
        ("ray:num_gpus=one", "num_gpus=one; expected a number above 0"),
        ("slurm:cluster=pbs", "cluster=pbs; expected slurm or local"),
        ("slurm:cluster=local,partitoin=gpu", "Unknown argument 'partitoin'"),
        ("slurm:cluster=local,timeout_min=long", '"timeout_min" expected type'),
        ("slurm:cluster=local,tasks_per_node=2", "tasks_per_node: a run is one task"),
    ],
)
def test_a_text_that_names_no_executor_is_refused(text: str, message: str, tmp_path: Path) -> None:
    if text.startswith("slurm"):
        pytest.importorskip("submitit")
    with pytest.raises(RecipeError) as error:
        make(text, out=tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize("command", [sweep, compare, distill])
def test_every_command_of_many_runs_has_the_option(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = digits(teacher={"network": "resnet8-cifar", "weights": "none.safetensors"})
    names = () if command is distill else (["kd"],)
    with pytest.raises(RecipeError, match="executor 'rya': expected local, ray"):
        command(recipe, *names, executor="rya", out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_what_to_install_is_said(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MenteeError, match=rf"not installed: pip install 'mentee\[{name}\]'"):
        sweep(digits(), ["none"], executor=name, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_an_address_that_nobody_answers_at_is_said_soon() -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:  # bound, and does not listen
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        began = time.process_time()
        with pytest.raises(
            RunError, match=f"no Ray cluster can be reached at {address} .*ray start"
        ):
            make(f"ray:{address}")
        assert time.process_time() - began < 30


def test_a_machine_without_slurm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RunError, match="no sbatch and srun; start the command on a login node"):
        make("slurm:partition=gpu")


SACCT = "printf 'JobID|State|NodeList\\n77_0|NODE_FAIL|n1\\n77_1|RUNNING|n2\\n'"


def test_slurm_is_asked_for_one_array_and_for_the_state_of_its_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the four commands of Slurm replaced by scripts that note what they are asked."""
    pytest.importorskip("submitit", reason="needs submitit: pip install 'mentee[slurm]'")
    programs = {
        "sbatch": f"cp $1 {tmp_path}/asked; echo Submitted batch job 77",
        "srun": "true",
        "sacct": SACCT,
        "scancel": f"echo $1 >>{tmp_path}/canceled",
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    executor = make("slurm:partition=gpu,timeout_min=90,cpus_per_task=4", 1, tmp_path / "s")
    jobs: Any = [Job("", "", 0, None, tmp_path / "s" / name) for name in "ab"]  # type: ignore[arg-type]
    assert f"logs in {tmp_path / 's' / 'slurm'}" in executor.open(2)
    executor.start(jobs)
    heard: list[WorkerMessage] = []
    while not heard:
        executor.report(heard.append)
    assert heard == [WorkerMessage("a", "lost", text="its job ended as NODE_FAIL")]
    asked = (tmp_path / "asked").read_text()
    for line in ("partition=gpu", "time=90", "cpus-per-task=4", "array=0-1%1", "signal=USR2@90"):
        assert f"#SBATCH --{line}\n" in asked
    executor.stop()
    assert (tmp_path / "canceled").read_text() == "77_1\n"
    assert executor.busy


# --- the loop ----------------------------------------------------------------------------------


class Scripted:
    """An executor whose runs end as a script says."""

    def __init__(self, events: list[tuple[str, str]], save: Callable[[], object]) -> None:
        self.events, self.save, self.started = events, save, list[str]()

    def start(self, jobs: Any) -> None:
        self.started += [job.name for job in jobs]

    @property
    def busy(self) -> bool:
        return bool(self.events)

    def report(self, receive: Callable[[WorkerMessage], object]) -> None:
        name, event = self.events.pop(0)
        if event == "saved":
            self.save()
        else:
            receive(WorkerMessage(name, event, text="its node is gone"))  # type: ignore[arg-type]


@pytest.mark.parametrize("saved", [False, True])
def test_a_lost_run_is_started_again_a_few_times(saved: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "checkpoints"
    folder.mkdir(parents=True)
    lost = [("a", "lost")] * MOST_LOSSES
    events = [*lost, *([("a", "saved")] * saved), ("a", "lost"), ("b", "finished")]
    executor: Any = Scripted(events, lambda: (folder / "step-00000003.pt").touch())
    heard: list[WorkerMessage] = []
    jobs: Any = [Job("", "", 0, None, tmp_path / name) for name in "ab"]  # type: ignore[arg-type]
    run_jobs(executor, jobs, lambda m: heard.append(m) or (), SimpleNamespace(number=None))  # type: ignore
    assert executor.started == ["a", "b", *"a" * (MOST_LOSSES + saved)]
    failed = [message.text for message in heard if message.event == "failed"]
    text = "its worker was lost 4 times (its node is gone) without a new checkpoint"
    assert failed == ([] if saved else [f"{text}; the same command resumes it"])
    assert heard[-1].name == "b"


def test_a_worker_that_does_not_find_the_folder_ends_all(tmp_path: Path) -> None:
    job: Any = Job("", "", 0, None, tmp_path / "elsewhere" / "a")  # type: ignore[arg-type]
    message = run_remote_job(job, PythonOverrides(), os.getcwd(), 1)
    executor: Any = SimpleNamespace(busy=True, start=lambda jobs: None)
    executor.report = lambda receive: receive(message)
    with pytest.raises(RunError, match=r"does not find .*elsewhere; .* file system that all"):
        run_jobs(executor, [job], lambda m: (), SimpleNamespace(number=None))  # type: ignore


def test_the_last_step_is_that_of_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert last_step(path) is None
    lines = [json.dumps({"step": i, "epoch": 1}) for i in range(1000)]
    path.write_text("\n".join([*lines, '{"step": 2000, "ep']))
    assert last_step(path) == 999


# --- real processes ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of 48 steps, a checkpoint every 3."""
    path = tmp_path_factory.mktemp("long") / "recipe.yaml"
    save = {"steps": 3, "minutes": None}
    recipe = digits(train={"epochs": 16, "batch": 32}, data={"limit": 96}, save=save)
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


@pytest.fixture(scope="module")
def whole(long: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs on this machine, that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "s"
    sweep(long, ["none"], seeds=4, processes=1, out=out, say=str)
    return out


def arguments(path: str, out: Path, seeds: int, executor: str) -> tuple[str, ...]:
    said = ("-m", "mentee.cli", "sweep", path, "--methods", "none", "--seeds", str(seeds))
    return (*said, "--executor", executor, "--out", str(out))


def assert_same(out: Path, whole: Path, seeds: int) -> None:
    """All are finished, with the bits of the local ones."""
    for name in [f"resnet8-cifar-none-seed{seed}" for seed in range(seeds)]:
        weights, others = (load_file(f / name / "student.safetensors") for f in (out, whole))
        assert all(weights[key].equal(others[key]) for key in others), name
        lines = [(folder / name / "metrics.jsonl").read_bytes() for folder in (out, whole)]
        assert lines[0] == lines[1], name


def trainer(run: Path) -> int | None:
    """The process that trains a run which has a checkpoint and is not finished."""
    if (run / "summary.json").exists() or not checkpoint.list_checkpoints(run / "checkpoints"):
        return None
    try:
        return int(json.loads((run / ".lock").read_text())["pid"])
    except (OSError, ValueError):
        return None


def wait_for(what: Callable[[], Any], process: Forked) -> Any:
    for _ in range(48_000):
        if result := what():
            return result
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("it never came")


def trainer_below(out: Path, parent: int) -> int | None:
    """The trainer of any run, started by a process."""
    for run in out.glob("*-seed*"):
        with contextlib.suppress(OSError):
            pid = trainer(run)
            if pid and f"PPid:\t{parent}\n" in Path(f"/proc/{pid}/status").read_text():
                return pid
    return None


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of two nodes of one core each; both are this machine."""
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_agent_register_timeout_ms": "120000",  # a loaded machine starts slowly
        "RAY_raylet_start_wait_time_s": "120",
        "PYTHONPATH": str(ROOT / "src"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    pytest.importorskip("ray", reason="needs Ray: pip install 'mentee[ray]'")
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # its sockets have short paths
    monkeypatch.setenv("RAY_TMPDIR", folder)
    (Path(folder) / "ray").mkdir()
    head = {"num_cpus": 1, "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            made.second = made.add_node(num_cpus=1)
            yield made
        finally:
            made.shutdown()
            signal.signal(signal.SIGTERM, handler)
            shutil.rmtree(folder, ignore_errors=True)


@needs_proc
def test_a_ray_cluster_is_stopped_and_loses_a_node(
    cluster: Any, begin: Begin, long: str, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s"
    command = arguments(long, out, 4, f"ray:{cluster.address}")
    # 1. Ctrl-C: all save and end.
    process = begin(*command)
    wait_for(lambda: any(map(trainer, out.glob("*-seed*"))), process)
    os.killpg(process.pid, signal.SIGINT)
    said, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, (said, err)
    assert "everything is saved; the same command" in err
    assert "Ray cluster of 2 nodes, each run 1 CPU" in said
    assert not list(out.glob("*-seed*/.lock"))
    assert len(list(out.glob("*/summary.json"))) < 4
    # 2. The same command; a node dies in the midst of a run.
    process = begin(*command)
    raylet = cluster.second.all_processes["raylet"][0].process.pid
    worker = wait_for(lambda: trainer_below(out, raylet), process)
    for pid in (raylet, worker):  # else it may come to its end before it notices
        os.kill(pid, signal.SIGKILL)
    said, err = process.communicate(timeout=300)
    assert process.returncode == 0, (said, err)
    assert "it is started again" in said
    ends = [line for line in said.splitlines() if " of 4)" in line]
    assert len({line.split()[0] for line in ends}) == len(ends)  # none was run twice to the end
    assert_same(out, whole, 4)


@needs_proc
def test_jobs_of_submitit_that_are_told_to_save_or_killed_are_submitted_again(
    begin: Begin, long: str, whole: Path, tmp_path: Path
) -> None:
    pytest.importorskip("submitit", reason="needs submitit: pip install 'mentee[slurm]'")
    out = tmp_path / "s"
    process = begin(*arguments(long, out, 2, "slurm:cluster=local,timeout_min=20"))
    signals = {0: signal.SIGUSR2, 1: signal.SIGKILL}  # the time is nearly over; the node is gone
    for seed, number in signals.items():
        os.kill(
            wait_for(lambda r=out / f"resnet8-cifar-none-seed{seed}": trainer(r), process), number
        )
    said, err = process.communicate(timeout=300)
    assert process.returncode == 0, (said, err)
    assert "seed0  lost: its worker was told to stop; it is started again" in said
    assert "seed1  lost: its job ended as" in said
    assert_same(out, whole, 2)
