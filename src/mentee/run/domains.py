"""The test part and the other domains: scores, what is lost, and how like the teacher one is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mentee import capture
from mentee.data import Examples, limit, read_batch
from mentee.data.corruptions import SEVERITIES, corrupt, names
from mentee.errors import DataError, RecipeError
from mentee.evaluate import main_score, read_all, scores, similarity
from mentee.models import Contract, normalise
from mentee.recipe import Domain, Recipe, Recorded
from mentee.run.sets import Sets, open_part
from mentee.teachers import open_records
from mentee.types import CLEAN

PREFIXES = ("embedded", "hub")
"""What stands before the colon of a source's own name."""


@dataclass(frozen=True)
class Tested:
    """What a student was found to be worth.

    Attributes:
        scores: on the test part; None where there is none, or it has no labels.
        similarity: of the student's embedding to the teacher's on the test part, by record; None
            where there is no record of it.
        domains: the same for each other domain, with `drop`, what is lost of the main score.
    """

    scores: dict[str, float] | None
    similarity: dict[str, float] | None
    domains: dict[str, dict[str, Any]]


def judge(reader: Reader, test: Examples | None, domains: Mapping[str, Domain]) -> Tested:
    """Score a student on its test part and on other domains.

    What is lost to a corruption is told from the same examples as they are.

    Args:
        reader: the student, and how its data are read.
        test: the test part.
        domains: which others.
    """
    recipe = reader.recipe
    own = reader(test, recipe.data.test) if test else ({}, None)
    found: dict[str, dict[str, Any]] = {}
    for name, domain in domains.items():
        split, clean = domain.split or recipe.data.test, own[0]
        examples = open_domain(name, domain, recipe, test)
        if domain.corruption is not None and examples is not test:
            clean = reader(examples, split, domain.source)[0]
        for label, some in corrupted(name, domain, examples):
            there, similarity = reader(some, split, domain.source)
            found[label] = {
                "examples": len(some),
                "scores": there,
                "drop": drop(clean, there, some),
                "similarity": similarity,
            }
    return Tested(own[0] or None, own[1], found | averages(domains, found))


def as_domains(pairs: Sequence[str], corrupted: bool, limit: int | None) -> dict[str, Domain]:
    """`["tweets=sentiment:test_tweets", "loud=test_loud"]` to domains; and all corruptions.

    Raises:
        RecipeError: a pair has no name or no split.

    Example:
        >>> as_domains(["tweets=texts/:test_tweets"], False, None)["tweets"].split
        'test_tweets'
    """
    found = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        source, _, split = place.rpartition(":")
        if not (name and equals and split):
            raise RecipeError(f"--on {pair}: expected name=split, or name=source:split")
        if source in PREFIXES:
            raise RecipeError(
                f"--on {pair}: {place} is a source, and no split of it is named; expected "
                f"name=source:split, such as {name}={place}:test"
            )
        found[name] = Domain(source=source or None, split=split)
    if corrupted:
        found["corruptions"] = Domain(corruption="all", limit=limit)
    return found


def refuse_one_set(data: str | None, split: str | None) -> None:
    """Refuse to score one other set where domains are compared with the test part.

    Raises:
        RecipeError: there is such a set.
    """
    if data is not None or split is not None:
        given = " and ".join(n for n, v in (("--data", data), ("--split", split)) if v is not None)
        raise RecipeError(
            f"{given} scores one set alone, --on and --corruptions compare sets with the run's "
            "test part; leave one of them out, or name the set by --on NAME=SOURCE:SPLIT"
        )


def shown(tested: Tested) -> str:
    """A table of plain text: a line for the test part, one for each other domain."""
    scores = list(tested.scores or next(iter(tested.domains.values()), {}).get("scores", {}))
    rows = [["on", *scores, "drop", "like the teacher"]]
    parts = {"test": {"scores": tested.scores or {}, "similarity": tested.similarity}}
    for name, found in (parts | tested.domains).items():
        alike = ", ".join(f"{v:.3f}" for v in (found["similarity"] or {}).values())
        lost = found.get("drop")
        said = [f"{found['scores'][key]:.4f}" if key in found["scores"] else "" for key in scores]
        rows.append([name, *said, "" if lost is None else f"{lost:+.4f}", alike])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def drop(own: Mapping[str, float], there: Mapping[str, float], examples: Examples) -> float | None:
    """How much of the main score is lost between the test part and a domain."""
    name = main_score(examples.task)
    if name is None or name not in own or name not in there:
        return None
    return own[name] - there[name]


def corrupted(name: str, domain: Domain, examples: Examples) -> Iterator[tuple[str, Examples]]:
    """A domain's examples by label: themselves, or in each corruption that it stands for.

    Raises:
        DataError: there is no such corruption.
    """
    if domain.corruption is None:
        yield name, examples
        return
    every = domain.corruption == "all"
    kinds = names(examples.kind) if every else (domain.corruption,)
    severities = SEVERITIES if domain.severity is None else (domain.severity,)
    one = not every and domain.severity is not None
    for kind in kinds:
        for severity in severities:
            label = name if one else f"{name}/{kind}-{severity}"
            yield label, corrupt(examples, kind, severity)


def open_domain(name: str, domain: Domain, recipe: Recipe, test: Examples | None) -> Examples:
    """The examples of a domain, before they are corrupted."""
    if domain.source is None and domain.split is None:
        if test is None:
            raise DataError(
                f"data.out_of_domain.{name} names no split, and there is no test part to take; "
                "give it a split, or a source"
            )
        examples = test
    else:
        said = recipe.data.model_copy(update={"source": domain.source or recipe.data.source})
        examples = open_part(said, domain.split or recipe.data.test or "test", None)
    if domain.limit is not None and domain.limit < len(examples):
        examples = limit(examples, domain.limit, seed=recipe.data.seed)
    return examples


def averages(
    domains: Mapping[str, Domain], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The mean over a domain's corruptions, under the domain's own name."""
    means: dict[str, dict[str, Any]] = {}
    for name in domains:
        parts = [each for label, each in found.items() if label.startswith(f"{name}/")]
        if name in found or not parts:
            continue
        drops = [each["drop"] for each in parts if each["drop"] is not None]
        means[name] = {
            "examples": sum(each["examples"] for each in parts),
            "scores": {
                key: sum(each["scores"][key] for each in parts) / len(parts)
                for key in parts[0]["scores"]
            },
            "drop": sum(drops) / len(drops) if drops else None,
            "similarity": None,
        }
    return means


@dataclass(frozen=True)
class Reader:
    """Scores one student on any set, and compares its embedding with the teacher's.

    Attributes:
        network: the student.
        contract: what it reads.
        sets: of the run; says how contents become inputs.
        recipe: of the run, resolved; says which records the teacher left.
        device: where the network is.
    """

    network: nn.Module
    contract: Contract
    sets: Sets
    recipe: Recipe
    device: torch.device | str

    def __call__(
        self, examples: Examples, split: str | None, source: str | None = None
    ) -> tuple[dict[str, float], dict[str, float] | None]:
        """(scores, similarity to each record's embedding or None) on some examples."""
        one = read_batch(examples, np.zeros(1, np.int64), views=self.sets.views, view=CLEAN)
        some = normalise(one.inputs.to(self.device), self.contract)
        places = capture.resolve(self.network, ["logits", "embedding"], some)
        said = read_all(self.network, places, self.contract, self.sets.clean(examples), self.device)
        found: dict[str, float] = {}
        if examples.labels is not None:
            mask = None if examples.mask is None else torch.as_tensor(examples.mask)
            labels, threshold = torch.as_tensor(examples.labels), self.recipe.select.threshold
            found = scores(said["logits"], labels, mask, threshold=threshold)
        same = source is None or source == self.recipe.data.source
        alike = self.alike(said["embedding"], examples, split) if same and split else None
        return found, alike

    def alike(self, embedding: Tensor, examples: Examples, split: str) -> dict[str, float] | None:
        r"""Linear CKA of the student's embedding with what each record says of the examples."""
        teacher = self.recipe.teacher
        if not isinstance(teacher, Recorded) or len(examples) < 2:
            return None
        found = {}
        for name, path in teacher.records.items():
            try:
                record = open_records(path, split)
            except DataError:  # no record of this split: nothing to compare with
                continue
            theirs = torch.from_numpy(record.of(examples.keys)).float()
            vectors = theirs.mean(1) if theirs.ndim == 3 else theirs
            found[name or "teacher"] = similarity(embedding, vectors)
        return found or None
