"""A run is a folder; these are its files, and nothing after a run reads anything else."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

import mentee
from mentee import files
from mentee.errors import RecipeError, RunError
from mentee.recipe import Recipe, read
from mentee.renamed import SINCE


@dataclass(frozen=True)
class Folder:
    """The files of a run.

    | file | content |
    |---|---|
    | `recipe.yaml` | what was done, every key written out |
    | `environment.json` | with which versions, on what machine, on which data and teacher |
    | `metrics.jsonl` | a line every few steps, and one each validation |
    | `checkpoints/` | the newest two states to resume from, and the best student so far |
    | `student.safetensors` | the student alone; loads without this package |
    | `predictions.npz` | the class of each test example, and how sure the student is |
    | `summary.json` | scores, sizes, seconds |
    | `report.md` | the same for a person |
    | `probe.json` | results of probes of the student's embedding, where some were run |
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Versions and fingerprints."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """States to resume from."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The student that is best on validation so far."""
        return self.checkpoints / "best.safetensors"

    @property
    def student(self) -> Path:
        """The student alone."""
        return self.path / "student.safetensors"

    @property
    def predictions(self) -> Path:
        """The student's predictions on the test part."""
        return self.path / "predictions.npz"

    @property
    def summary(self) -> Path:
        """Scores, sizes, seconds."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The same for a person."""
        return self.path / "report.md"

    @property
    def probe(self) -> Path:
        """What probes found."""
        return self.path / "probe.json"

    def read_probe(self) -> dict[str, Any] | None:
        """What probes found; None: there were none."""
        if not self.probe.is_file():
            return None
        content: dict[str, Any] = json.loads(self.probe.read_text(encoding="utf-8"))
        return content

    def begin(self, recipe: str, environment: Mapping[str, Any]) -> None:
        """Make the folder with its first two files.

        Raises:
            RunError: there is a run already, or the folder cannot be written.
        """
        if self.recipe.exists():
            raise RunError(
                f"{self.path} holds a run already; resume it with mentee resume {self.path}, or "
                "give another --out"
            )
        files.write_json(self.environment, environment)
        files.write_text(self.recipe, recipe)

    def read_environment(self) -> dict[str, Any]:
        """With what the run began."""
        content: dict[str, Any] = json.loads(self.environment.read_text(encoding="utf-8"))
        return content

    def read_recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            RunError: it is of version 0.1, whose keys were others.
        """
        version = ""
        with contextlib.suppress(OSError, ValueError):
            version = str(self.read_environment().get("mentee", ""))
        error: RecipeError | None = None
        if not version.startswith("0.1."):
            try:
                return read(self.recipe)
            except RecipeError as refused:
                if f" since {SINCE}" not in str(refused):
                    raise
                error = refused
        raise RunError(
            f"{self.path} is a run of mentee 0.1, whose keys have other names: rename them in "
            f"{self.recipe} and train again with: mentee train {self.recipe} --out NEW (its "
            "student.safetensors still loads as weights)"
        ) from error

    def must_exist(self) -> None:
        """Refuse a folder that is no run."""
        if not self.recipe.is_file():
            raise RunError(f"{self.path} is no run: it has no recipe.yaml")

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the metrics; a failure is reported before more work is lost."""
        with (
            files.plain_write_errors(self.metrics),
            self.metrics.open("a", encoding="utf-8") as out,
        ):
            out.write(json.dumps(line) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of the metrics; a last one cut short by a crash is left out."""
        if not self.metrics.exists():
            return []
        # A line is whole where its end is: the last one may have been cut by a crash.
        whole = self.metrics.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def forget_after(self, step: int) -> None:
        """Drop the metrics of steps that a resumed run does again."""
        lines = [json.dumps(line) for line in self.read_metrics() if line["step"] <= step]
        files.write_text(self.metrics, "".join(f"{line}\n" for line in lines))

    def save_weights(self, path: Path, state: Mapping[str, Tensor]) -> None:
        """Write a state dict as safetensors, atomically."""
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        content = save(whole, metadata={"format": "pt"})
        files.write(path, lambda temporary: temporary.write_bytes(content))

    def load_weights(self, path: Path) -> dict[str, Tensor]:
        """Read a state dict that `save_weights` wrote."""
        try:
            return load_file(path)
        except Exception as error:  # a damaged file shows in several ways
            raise RunError(f"{path} cannot be read: {error}") from error


def environment(**more: Any) -> dict[str, Any]:
    """With what, where and when: versions, machine, threads, commit."""
    return {
        "mentee": mentee.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {
            name: version(name) for name in ("torch", "accelerate", "datasets", "torchvision")
        },
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "command": sys.argv,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **more,
    }


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of the package's source tree, with `+` where it has uncommitted changes."""
    here = Path(mentee.__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", str(here)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed.strip() else "")
