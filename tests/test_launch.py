"""The commands of docs/scale.md, each started as two real processes that train one run."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from pathlib import Path

import pytest

from tests.processes import ended, launch

PAGE = (Path(__file__).parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")
RECIPE = """
data: {source: "embedded:digits", limit: 64, validation: null, test: null}
student: {network: resnet8-cifar, options: {widths: [8, 16, 32]}}
train: {epochs: 1, batch: 32}
"""
SAVE = "save: {steps: 2}\n"
ENDS_ONCE = """
import os, signal, time
from mentee.cli import main
from mentee.training import trainer

def save(self, step, before=trainer.Training._save):
    before(self, step)
    if step.number == 4 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        if os.environ["RANK"] == "1":
            while not (self.folder.checkpoints / "step-00000004.pt").exists():
                time.sleep(0.005)
            os.kill(os.getpid(), signal.SIGKILL)

trainer.Training._save = save
main()
"""
PROGRAMS = {
    "torchrun": ["-m", "torch.distributed.run"],
    "accelerate": ["-m", "accelerate.commands.accelerate_cli"],
}


def command(start: str) -> str:
    """The one command of the page that begins so, its lines joined."""
    found = re.findall(rf"^{re.escape(start)}.*?[^\\]$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, start
    return found[0].replace("\\\n", " ")


def free_port() -> int:
    with socket.socket() as there:
        there.bind(("localhost", 0))
        return int(there.getsockname()[1])


def arguments(start: str, processes: int) -> tuple[list[str], list[str]]:
    """(launcher, what it launches) of a command of the page, started here by fewer."""
    said = command(start).replace("node1:29500", f"localhost:{free_port()}")
    said = re.sub(r"(--nproc-per-node|--num_processes) \d+", rf"\1 {processes}", said)
    program, *words = shlex.split(said)
    split = words.index("-m")
    return [*PROGRAMS[program], *words[:split]], words[split:]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def check(here: Path, *outputs: str) -> None:
    """It was one run of two processes, and the first of them said so."""
    assert sum(text.count("epoch   1/1") for text in outputs) == 1
    (run,) = (here / "runs").iterdir()
    assert '"processes": 2' in (run / "environment.json").read_text()
    assert (run / "student.safetensors").is_file()


@pytest.mark.parametrize(
    "start",
    ["torchrun --nproc-per-node 8 -m mentee.cli train recipe.yaml --out", "accelerate launch --m"],
    ids=["torchrun", "accelerate"],
)
def test_one_machine(start: str, here: Path) -> None:
    launcher, words = arguments(start, 2)
    check(here, ended(launch(*words, cwd=here, launcher=launcher)))


def test_torchrun_starts_processes_again_that_resume(here: Path) -> None:
    """The second process ends itself after two epochs, the first time."""
    (here / "recipe.yaml").write_text(RECIPE.replace("epochs: 1", "epochs: 4") + SAVE)
    (here / "ends_once.py").write_text(ENDS_ONCE)
    launcher, words = arguments("torchrun --max-restarts", 2)
    launcher[launcher.index("--max-restarts") + 1] = "1"
    train = ["ends_once.py", *words[words.index("train") :]]
    out = ended(launch(*train, cwd=here, launcher=launcher))
    assert out.count("resumed after step 4 of 8, in epoch 2") == 1, out
    assert [out.count(f"epoch   {n}/4") for n in (1, 2, 3, 4)] == [1, 1, 1, 1]


def test_several_machines_by_torchrun(here: Path) -> None:
    """Two agents of torchrun, each with a process, as on two machines."""
    launcher, words = arguments("torchrun --nnodes 2", 1)
    agents = [launch(*words, cwd=here, launcher=launcher) for _ in range(2)]
    check(here, *[ended(agent) for agent in agents])


def test_several_machines_by_slurm(here: Path) -> None:
    """What srun starts on each machine, with the variables that Slurm gives it."""
    _, bash, _, line = shlex.split(command("srun bash -c"))
    line = line.replace("mentee ", f"{sys.executable} -m mentee.cli ")
    port = str(free_port())
    tasks = [
        launch(
            *(bash, "-c", line),
            cwd=here,
            program="/usr/bin/env",
            launcher=[],
            SLURM_PROCID=str(number),
            SLURM_LOCALID="0",
            SLURM_NTASKS="2",
            MASTER_ADDR="localhost",
            MASTER_PORT=port,
        )
        for number in range(2)
    ]
    check(here, *[ended(task) for task in tasks])
