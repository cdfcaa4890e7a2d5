"""Fine-tuning with few labels: ordinary runs that begin from the student's weights."""

from __future__ import annotations

from typing import Any

from safetensors.torch import save

from mentee import files
from mentee.api import train_or_resume
from mentee.build.overrides import GIVEN, PythonOverrides
from mentee.experiments.embeddings import EmbeddingSources
from mentee.experiments.labeled import Subset
from mentee.metrics import LinearLayer
from mentee.recipe import Probe, Recipe, Train
from mentee.recipe.method import MethodRecipe
from mentee.recipe.schema import Select
from mentee.runs.folder import Folder

CLASSIFIER = "classifier.safetensors"


def tuned(
    company: EmbeddingSources,
    said: Probe,
    subset: Subset,
    *,
    who: str,
    begin: LinearLayer | None,
    stamp: str,
) -> dict[str, float]:
    """Train the whole network on the labels of a subset, in a folder of its own in `RUN/probe`.

    The last weights are kept, since nothing is left to choose by. A run that was interrupted goes
    on, a finished one is read.

    Args:
        company: the run whose student begins, and the labeled examples.
        said: how it is trained.
        subset: what it learns from.
        who: `student`, or `untrained`: from the weights that it once began with.
        begin: the classifier's first weights; None: drawn anew.
        stamp: of all that makes its result what it is; another one, another folder.

    Returns:
        Its scores on the test part.
    """
    run, recipe, given, parts = company.path, company.recipe, company.given, company.parts
    way = "finetune" if begin is None else "probe-finetune"
    out = run / "probe" / f"{who}-{way}-{len(subset.rows)}-seed{subset.seed}-{stamp}"
    student = recipe.student.model_copy(
        update={
            "classes": parts.classes,
            "classifier": "new" if begin is None else str(out / CLASSIFIER),
            **({"weights": str(Folder(run).student)} if who == "student" else {}),
        }
    )
    if begin is not None and not (out / CLASSIFIER).is_file():
        content = save({"weight": begin.weight.contiguous(), "bias": begin.bias.contiguous()})
        files.write(out / CLASSIFIER, lambda beside: beside.write_bytes(content))
    passed = parts.data.source.startswith(GIVEN)
    data: dict[str, Any] = {
        "validation": None,
        "limit": len(subset.rows),
        "seed": subset.seed,
        "classes": list(parts.train.classes or ()),
        "out_of_domain": {},
        "cycle": None,
        "view_seed": None,
    }
    tune, labels = said.finetune.model_dump(exclude={"least"}), len(subset.rows)
    tune["batch"] = min(tune["batch"], labels)
    tune["epochs"] = max(tune["epochs"], -(-said.finetune.least // (labels // tune["batch"])))
    kept = ("precision", "channels_last", "compile", "num_workers")
    same = {name: getattr(recipe.train, name) for name in kept}
    content_of = Recipe(
        data=parts.data.model_copy(update=data),
        student=student,
        teacher=None,
        method=MethodRecipe(),
        train=Train(**tune, **same, seed=subset.seed),
        select=Select(keep="last"),
    )
    sources = PythonOverrides(data=given.data if passed else None, student=given.student)
    summary = train_or_resume(content_of, out, sources).summary
    found: dict[str, float] = dict(summary["test"])
    return found
