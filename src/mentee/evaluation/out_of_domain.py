"""The test part and the other domains: scores, what is lost, and how like the teacher one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mentee.build.evaluation_data import OpenedDomain, corrupted
from mentee.data import Examples
from mentee.errors import RecipeError
from mentee.evaluation.student_reader import Read, StudentReader
from mentee.recipe import Domain

PREFIXES = ("embedded", "hub")
"""What stands before the colon of a source's own name."""


@dataclass(frozen=True)
class EvaluationResult:
    """What a student was found to be worth.

    Attributes:
        scores: on the test part; None where there is none, or it has no labels.
        similarity: of the student's embedding to the teacher's on the test part, by record; None
            where there is no record of it.
        domains: the same for each other domain, with `drop`, what is lost of the main score.
        notes: a sentence for all that could not be told.
        logits: `[n, k]` on the test part; None where there is none.
    """

    scores: dict[str, float] | None
    similarity: dict[str, float] | None
    domains: dict[str, dict[str, Any]]
    notes: list[str]
    logits: Tensor | None = None


def score_domains(
    reader: StudentReader, test: Examples | None, opened: Mapping[str, OpenedDomain]
) -> EvaluationResult:
    """Score a student on its test part and on other domains.

    What is lost to a corruption is told from the same examples as they are.

    Args:
        reader: the student, and how its data are read; notes what could not be told.
        test: the test part.
        opened: which others, from `open_domains`.
    """
    own: Read | None = None
    if test is not None:
        own = reader("test", test, reader.records("test", Domain(), test))
    found: dict[str, dict[str, Any]] = {}
    for name, each in opened.items():
        domain, clean = each.domain, own.scores if own else {}
        records = reader.records(name, domain, each.whole)
        if domain.corruption is not None and each.examples is not test:
            clean = reader(name, each.examples, {}).scores
        for label, some in corrupted(name, domain, each.examples):
            there = reader(name, some, records)
            found[label] = {
                "examples": len(some),
                "scores": there.scores,
                "drop": drop(clean, there.scores, some),
                "similarity": there.similarity,
            }
    domains = {name: each.domain for name, each in opened.items()}
    found |= averages(domains, found)
    if own is None:
        return EvaluationResult(None, None, found, reader.notes)
    return EvaluationResult(own.scores or None, own.similarity, found, reader.notes, own.logits)


def parse_domains(pairs: Sequence[str], corrupted: bool, limit: int | None) -> dict[str, Domain]:
    """`["tweets=sentiment:test_tweets", "loud=test_loud"]` to domains; and all corruptions.

    Raises:
        RecipeError: a pair has no name or no split.

    Example:
        >>> parse_domains(["tweets=texts/:test_tweets"], False, None)["tweets"].split
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


def refuse_single_set(data: str | None, split: str | None) -> None:
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


def results_table(tested: EvaluationResult) -> str:
    """A table of plain text: a line for the test part, for each other domain, for each note."""
    scores = list(tested.scores or next(iter(tested.domains.values()), {}).get("scores", {}))
    rows = [["on", *scores, "drop", "like the teacher"]]
    parts = {"test": {"scores": tested.scores or {}, "similarity": tested.similarity}}
    for name, found in (parts | tested.domains).items():
        alike = ", ".join(f"{v:.3f}" for v in (found["similarity"] or {}).values())
        lost = found.get("drop")
        said = [f"{found['scores'][key]:.4f}" if key in found["scores"] else "" for key in scores]
        rows.append([name, *said, "" if lost is None else f"{lost:+.4f}", alike])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in tested.notes)])


def drop(own: Mapping[str, float], there: Mapping[str, float], examples: Examples) -> float | None:
    """How much worse the main score is on a domain than on the test part."""
    task, name = examples.task, examples.task.main_score
    if name is None or name not in own or name not in there:
        return None
    return task.worth(own) - task.worth(there)


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
