"""Scores on the test part and on other domains, with the drop, and similarity to the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mentee.build.evaluation_data import OpenedDomain, corrupted
from mentee.data import Examples
from mentee.errors import RecipeError
from mentee.evaluation.student_reader import SetResult, StudentReader
from mentee.recipe import Domain
from mentee.report import align

PREFIXES = ("embedded", "hub")
"""The part before the colon in the name of a source."""


@dataclass(frozen=True)
class EvaluationResult:
    """A student's scores on its test part and on other domains.

    Attributes:
        scores: on the test part; None where there is none, or it has no labels.
        similarity: of the student's embedding to the teacher's on the test part, by record; None
            where there is no record of it.
        domains: the same for each other domain, with `drop`, how much lower the main score is.
        notes: a sentence for each result that is missing.
        logits: `[n, k]` on the test part; None where there is none.
        details: what stands beside the scores on the test part.
    """

    scores: dict[str, float] | None
    similarity: dict[str, float] | None
    domains: dict[str, dict[str, Any]]
    notes: list[str]
    logits: Tensor | None = None
    details: dict[str, Any] | None = None


def score_domains(
    reader: StudentReader, test: Examples | None, others: Mapping[str, OpenedDomain]
) -> EvaluationResult:
    """Score a student on its test part and on other domains, from `open_domains`.

    The drop of a corruption is measured on the same examples, uncorrupted.
    """
    own: SetResult | None = None
    if test is not None:
        own = reader.evaluate("test", test, reader.records("test", Domain(), test))
    results: dict[str, dict[str, Any]] = {}
    for name, each in others.items():
        domain, clean, count = each.domain, own.scores if own else {}, len(test or each.examples)
        records = reader.records(name, domain, each.whole)
        if domain.corruption is not None and each.examples is not test:
            clean, count = reader.evaluate(name, each.examples, {}).scores, len(each.examples)
        for label, some in corrupted(name, domain, each.examples):
            result = reader.evaluate(name, some, records)
            details = result.details or {}
            results[label] = {
                "examples": len(some),
                "scores": result.scores,
                "interval": details.get("interval"),
                "majority": details.get("majority"),
                "drop": drop(clean, result.scores, some),
                "uncorrupted": {"examples": count, "scores": clean} if domain.corruption else None,
                "similarity": result.similarity,
            }
    domains = {name: each.domain for name, each in others.items()}
    results |= averages(domains, results)
    if own is None:
        return EvaluationResult(None, None, results, reader.notes)
    return EvaluationResult(
        own.scores or None, own.similarity, results, reader.notes, own.logits, own.details
    )


def parse_domains(pairs: Sequence[str], corrupted: bool, limit: int | None) -> dict[str, Domain]:
    """`["tweets=sentiment:test_tweets", "loud=test_loud"]` to domains; and all corruptions.

    Raises:
        RecipeError: a pair has no name or no split.

    Example:
        >>> parse_domains(["tweets=texts/:test_tweets"], False, None)["tweets"].split
        'test_tweets'
    """
    domains = {}
    for pair in pairs:
        name, equals, rest = pair.partition("=")
        source, _, split = rest.rpartition(":")
        if not (name and equals and split):
            raise RecipeError(f"--on {pair}: expected name=split, or name=source:split")
        if source in PREFIXES:
            raise RecipeError(
                f"--on {pair}: {rest} is a source, and no split of it is named; expected "
                f"name=source:split, such as {name}={rest}:test"
            )
        if name in domains:
            raise RecipeError(f"--on {name} stands there twice; name each domain once")
        domains[name] = Domain(source=source or None, split=split)
    if corrupted:
        domains["corruptions"] = Domain(corruption="all", limit=limit)
    return domains


def refuse_single_set(data: str | None, split: str | None) -> None:
    """Refuse to score one other set where domains are compared with the test part."""
    if data is not None or split is not None:
        options = " and ".join(
            n for n, v in (("--data", data), ("--split", split)) if v is not None
        )
        raise RecipeError(
            f"{options} scores one set alone, --on and --corruptions compare sets with the run's "
            "test part; leave one of them out, or name the set by --on NAME=SOURCE:SPLIT"
        )


def results_table(result: EvaluationResult) -> str:
    """A table of plain text: a line for the test part, for each other domain, for each note."""
    scores = list(result.scores or next(iter(result.domains.values()), {}).get("scores", {}))
    rows = [["on", *scores, "drop", "like the teacher"]]
    parts = {"test": {"scores": result.scores or {}, "similarity": result.similarity}}
    for name, part in with_uncorrupted(parts | result.domains).items():
        alike = ", ".join(f"{v:.3f}" for v in (part["similarity"] or {}).values())
        lost = part.get("drop")
        cells = [f"{part['scores'][key]:.4f}" if key in part["scores"] else "" for key in scores]
        rows.append([name, *cells, "" if lost is None else f"{lost:+.4f}", alike])
    return "\n".join([align(rows), *(f"note: {note}" for note in result.notes)])


def with_uncorrupted(parts: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The parts, before each that was corrupted in all ways the same examples uncorrupted."""
    rows: dict[str, dict[str, Any]] = {}
    for name, part in parts.items():
        if part.get("uncorrupted") and "/" not in name:
            rows[f"{name}, uncorrupted"] = {**part["uncorrupted"], "similarity": None}
        rows[name] = part
    return rows


def drop(
    own: Mapping[str, float],
    other: Mapping[str, float],
    examples: Examples,
) -> float | None:
    """How much worse the main score is on a domain than on the test part."""
    task, name = examples.task, examples.task.main_score
    if name is None or name not in own or name not in other:
        return None
    return task.worth(own) - task.worth(other)


def averages(
    domains: Mapping[str, Domain], results: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The mean over a domain's corruptions, under the domain's own name."""
    means: dict[str, dict[str, Any]] = {}
    for name in domains:
        parts = [each for label, each in results.items() if label.startswith(f"{name}/")]
        if name in results or not parts:
            continue
        drops = [each["drop"] for each in parts if each["drop"] is not None]
        means[name] = {
            "examples": sum(each["examples"] for each in parts),
            "scores": {
                key: sum(each["scores"][key] for each in parts) / len(parts)
                for key in parts[0]["scores"]
            },
            "drop": sum(drops) / len(drops) if drops else None,
            "uncorrupted": parts[0].get("uncorrupted"),
            "similarity": None,
        }
    return means
