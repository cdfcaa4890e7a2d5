"""After the transfer: what is in a student's embedding, with few labels and with many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentee.api import finished_recipe
from mentee.build.overrides import ModelFactory, PythonOverrides, TeacherSource
from mentee.errors import RecipeError
from mentee.evaluation.reporting import write_report
from mentee.experiments.embeddings import EmbeddingSources
from mentee.experiments.labeled import open_parts, subsets
from mentee.experiments.probe_results import ProbeResults
from mentee.experiments.probing import Probing
from mentee.parallel import init_processes, rank
from mentee.recipe import Probe, Recipe, read
from mentee.report import cells
from mentee.runs.folder import Folder

__all__ = ["ProbeResult", "probe"]


@dataclass(frozen=True)
class ProbeResult:
    """What probes of a run's student found.

    Attributes:
        path: the run's folder, where `probe.json` says the same.
        content: of that file.
    """

    path: Path
    content: Mapping[str, Any]

    def scores(self, way: str, share: float, who: str = "student") -> list[float]:
        """The main score of a way with a share of the labels, one for each draw of them."""
        return [
            row["score"]
            for row in self.content["rows"]
            if (row["who"], row["way"], row["share"]) == (who, way, share)
        ]

    def __str__(self) -> str:
        lines = cells(self.content["rows"])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ["  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)) for line in lines]
        notes = [f"note: {note}" for note in self.content["notes"]]
        return "\n".join([*(row.rstrip() for row in rows), *notes])


def probe(
    path: str | Path,
    *,
    changes: Sequence[str] = (),
    data: Any = None,
    student: ModelFactory | None = None,
    teacher: TeacherSource | None = None,
    say: Callable[[str], None] = print,
) -> ProbeResult:
    """Probe a run's student: what its embedding is worth with few labels and with many.

    The ways are `linear` (logistic regression by scikit-learn), `knn` (nearest neighbors),
    `layer` (a layer trained by steps), `finetune` (the whole network, its classifier new) and
    `probe-finetune` (the same, begun from the regression). What is found is written into the run's
    folder as it comes: after a stop, or with more ways, shares or seeds, the same call goes on.

    Args:
        path: the run's folder.
        changes: of its recipe's `probe`: `probe.shares=[0.01, 1.0]` and the like.
        data: as for `train`, where it was passed there.
        student: the same.
        teacher: the same.
        say: what to do with a line of text.

    Returns:
        All that is known now.

    Raises:
        MenteeError: the run is not finished, or the labeled examples are not as they should be.
        Interrupted: SIGINT or SIGTERM while a network is fine-tuned; everything is saved.

    Source: arXiv:2303.07599 (a trained layer), arXiv:2202.10054 (probe, then fine-tune).
    """
    init_processes()
    folder, say = Folder(Path(path)), say if rank() == 0 else lambda line: None
    recipe, said = asked(folder.path, changes)
    given = PythonOverrides(data, student, teacher)
    given.check(recipe.model_copy(update={"teacher": None}))
    parts = open_parts(recipe, said, data)
    company = EmbeddingSources(folder.path, recipe, given, parts)
    ledger = ProbeResults.open(folder.path, parts, said)
    probing = Probing(said, parts, subsets(parts.train, said), company, ledger, say)
    for who in said.who:
        probing.ask(who)
    ledger.notes = list(dict.fromkeys(company.notes))
    ledger.write()
    if rank() == 0:
        write_report(folder.path)
    return ProbeResult(folder.path, ledger.content)


def asked(path: Path, changes: Sequence[str]) -> tuple[Recipe, Probe]:
    """A finished run's recipe, and what is asked of its student.

    Raises:
        RunError: there is no such run.
        RecipeError: something else than `probe` is to be changed.
    """
    recipe = finished_recipe(path)
    wrong = [change for change in changes if not change.startswith("probe.")]
    if wrong:
        raise RecipeError(
            f"--set {wrong[0]}: the run is done; only what is asked of it can be changed, "
            "probe.KEY=VALUE"
        )
    changed = read(recipe, changes)
    return recipe, changed.probe or Probe()
