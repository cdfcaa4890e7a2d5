"""A run is a folder; these are its files, and nothing after a run reads anything else."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from mentee import files
from mentee.errors import MenteeError, RecipeError, RunError
from mentee.recipe import Recipe, dump, read
from mentee.records.manifest import checksum
from mentee.renamed import SINCE
from mentee.runs.changes import differences, listing, recipe_changes, refuse_other_kind
from mentee.runs.metrics import read_lines

TENSORBOARD, TRACKERS = "tensorboard", "trackers"
NoneType = type(None)
SUMMARY: dict[str, Any] = {
    "method": str,
    "student": dict,
    "test": (dict, NoneType),
    "validation": (dict, NoneType),
    "selected": dict,
    "parameters": dict,
    "examples": dict,
    "epochs": int,
    "steps": int,
    "seconds": (int, float),
    "seconds_per_epoch": (int, float),
}
"""What `summary.json` has in any case, by type."""


class _File:
    """The path of a file in a run's folder."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def __get__(self, folder: Folder, kind: type[Folder]) -> Path:
        return folder.path.joinpath(*self.names)


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
    | `diagnostics.json` | calibration, confused classes with examples, similarity of layers |
    | `report.md`, `report.html` | the same for a person |
    | `trackers/` | the runs of experiment trackers, and what those store here |
    | `probe.json` | results of probes of the student's embedding, where some were run |
    | `benchmark.json` | what a prediction costs in each runtime, where that was measured |
    """

    path: Path

    recipe = _File("recipe.yaml")
    environment = _File("environment.json")
    metrics = _File("metrics.jsonl")
    checkpoints = _File("checkpoints")
    best = _File("checkpoints", "best.safetensors")
    student = _File("student.safetensors")
    predictions = _File("predictions.npz")
    summary = _File("summary.json")
    report = _File("report.md")
    page = _File("report.html")
    diagnostics = _File("diagnostics.json")
    probe = _File("probe.json")
    benchmark = _File("benchmark.json")

    def __post_init__(self) -> None:
        files.usable(self.path)

    def read_probe(self) -> dict[str, Any] | None:
        """What probes found; None: there were none."""
        if not self.probe.is_file():
            return None
        advice = "delete it, and probe the run again"
        content = files.read_json(self.probe, advice)
        others, keys = content.get("others", []), {"who", "way", "share", "labels", "score"}
        for each in [content, *others] if isinstance(others, list) else [None]:
            rows = each.get("rows") if isinstance(each, dict) else None
            if not isinstance(rows, list) or not all(
                isinstance(r, dict) and keys <= {*r} for r in rows
            ):
                raise RunError(
                    f"{self.probe} has no rows of results as mentee writes them; {advice}"
                )
        return {"notes": [], "others": [], **content}

    def read_benchmark(self) -> dict[str, Any] | None:
        """What predictions cost; None: it was not measured.

        Raises:
            RunError: the file is damaged.
        """
        if not self.benchmark.is_file():
            return None
        advice = f"delete it, or measure again with mentee benchmark {self.path}"
        content = files.read_json(self.benchmark, advice)
        kinds = {"rows": list, "skipped": list, "about": dict}
        if not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
            raise RunError(f"{self.benchmark} has no rows as mentee writes them; {advice}")
        return content

    def read_diagnostics(self) -> dict[str, Any]:
        """What the page shows of examples and layers; empty without the file.

        Raises:
            RunError: the file is damaged.
        """
        if not self.diagnostics.is_file():
            return {}
        return files.read_json(self.diagnostics, "delete it, and the page is written without it")

    def read_summary(self) -> dict[str, Any]:
        """What a finished run found."""
        advice = f"delete it, and mentee resume {self.path} writes it again"
        summary = files.read_json(self.summary, advice)
        wrong = [name for name, kind in SUMMARY.items() if not isinstance(summary.get(name), kind)]
        if wrong:
            raise RunError(
                f"{self.summary} lacks {', '.join(wrong)}, or has something else there; {advice}"
            )
        return summary

    def begin(self, recipe: Recipe, environment: Mapping[str, Any], *, again: bool = False) -> None:
        """Make the folder with its first two files, the recipe and the environment.

        `again`: the run that is there ended before its first checkpoint and begins once more.

        Raises:
            RunError: there is a run already, or the folder cannot be written.
        """
        text, content = dump(recipe), recipe.model_dump(mode="json")
        if self.recipe.exists() and not again:
            raise RunError(
                f"{self.path} holds a run already{self._other_than(content)}; resume it with "
                f"mentee resume {self.path}, or give another --out"
            )
        refuse_other_kind(self.path, "run")
        if again:
            with contextlib.suppress(RunError):  # what was resolved then is only read now
                before = self.read_environment()
                notes = {key: before[key] for key in before if key.endswith("_notes")}
                environment = {**environment, **notes}
            for path in (self.metrics, self.best):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.path / TENSORBOARD, ignore_errors=True)
        begun = {"digest": checksum(text), "content": content}
        files.write_json(self.environment, {**environment, "recipe": begun})
        files.write_text(self.recipe, text)

    def _other_than(self, recipe: Mapping[str, Any]) -> str:
        """How a recipe differs from that of the run which is there, in brackets."""
        try:
            other = differences(self._read_any_recipe().model_dump(mode="json"), recipe)
        except MenteeError:
            return ""
        return f", of another recipe ({listing(other)})" if other else ""

    def forget(self) -> None:
        """Remove the files of a run that has done no step."""
        for path in (self.recipe, self.environment, self.metrics, self.best):
            path.unlink(missing_ok=True)
        for name in (TENSORBOARD, TRACKERS):
            shutil.rmtree(self.path / name, ignore_errors=True)
        with contextlib.suppress(OSError):  # there is none
            files.remove_temporaries(self.checkpoints)
            self.checkpoints.rmdir()

    def read_environment(self) -> dict[str, Any]:
        """With what the run began."""
        content = files.read_json(
            self.environment,
            "it names the data and the teacher of the run; copy it from a backup, or train again: "
            f"mentee train {self.recipe} --out NEW",
        )
        if not isinstance(content.get("data"), dict) or "teacher" not in content:
            raise RunError(
                f"{self.environment} does not name the data and the teacher of the run; copy it "
                f"from a backup, or train again: mentee train {self.recipe} --out NEW"
            )
        return content

    def read_recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            RunError: it is of version 0.1, whose keys were others; or it was changed after the run
                began, other than by keys that its results do not depend on.
        """
        recipe = self._read_any_recipe()
        self.refuse_changes()
        return recipe

    def refuse_changes(self) -> None:
        """Make sure that `recipe.yaml` is what the run began with."""
        begun = self._begun()
        if not begun or begun.get("digest") == checksum(self.recipe):
            return
        if changes := recipe_changes(begun.get("content") or {}, self._read_any_recipe()):
            raise RunError(
                f"{self.recipe} was changed after the run began ({listing(changes)}); put that "
                f"back, or train it as a new run: mentee train {self.recipe} --out NEW"
            )

    def _begun(self) -> dict[str, Any]:
        """The recipe with which the run began; empty where that is not known."""
        with contextlib.suppress(RunError):
            begun = self.read_environment().get("recipe")
            return begun if isinstance(begun, dict) else {}
        return {}

    def _read_any_recipe(self) -> Recipe:
        version = ""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            content = json.loads(self.environment.read_text(encoding="utf-8"))
            version = str(content.get("mentee", "")) if isinstance(content, dict) else ""
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
        """All lines of the metrics that are whole."""
        return read_lines(self.metrics)[0]

    def forget_after(self, step: int) -> None:
        """Drop the metrics of steps that a resumed run does again."""
        lines = [json.dumps(line) for line in self.read_metrics() if line["step"] <= step]
        files.write_text(self.metrics, "".join(f"{line}\n" for line in lines))

    def save_weights(self, path: Path, state: Mapping[str, Tensor]) -> None:
        """Write a state dict as safetensors, atomically."""
        whole, stored = dict[str, Tensor](), set[int]()
        for name, tensor in state.items():
            each = tensor.detach().cpu().contiguous()
            storage = each.untyped_storage()
            if storage.data_ptr() in stored or storage.nbytes() > each.nbytes:
                each = each.clone()  # safetensors has no shared weights and no views
            stored.add(storage.data_ptr())
            whole[name] = each
        content = save(whole, metadata={"format": "pt"})
        files.write(path, lambda temporary: temporary.write_bytes(content))

    def load_weights(self, path: Path, network: nn.Module) -> None:
        """Give a network the weights that `save_weights` wrote.

        Raises:
            RunError: the file is damaged, or of another network.
        """
        try:
            network.load_state_dict(files.read_tensors(path))
        except Exception as error:  # a damaged file shows in several ways
            why = " ".join(str(error).split())[:300]
            raise RunError(
                f"{path} cannot be read as weights of this student: {why}; train again, or set "
                "select.keep to last"
            ) from error
