"""The examples that a run evaluates on besides its own splits: other domains, and the monitor's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mentee.build.datasets import DatasetSplits, open_split
from mentee.data import Examples, limit
from mentee.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mentee.data.split_names import find_split, split_folders, tables_in
from mentee.data.text_tables import text_tables
from mentee.errors import DataError, RecipeError
from mentee.files import usable
from mentee.recipe import Data, Domain, Recipe
from mentee.records import open_record


@dataclass(frozen=True)
class OpenedDomain:
    """A domain of a recipe, opened: its split, and what is scored of it, before it is corrupted."""

    domain: Domain
    whole: Examples
    examples: Examples


def open_domains(
    domains: Mapping[str, Domain], data: Data, test: Examples | None, passed: Any = None
) -> dict[str, OpenedDomain]:
    """Open other test sets, and make sure that all they name exists.

    Raises:
        DataError: with every problem found, a line each: no such source, split, class,
            corruption or record, or a record of other examples.
    """
    domains_by_name: dict[str, OpenedDomain] = {}
    problems: list[str] = []
    for name, domain in domains.items():
        try:
            domains_by_name[name] = open_domain(domain, data, test, passed)
        except DataError as error:  # noqa: PERF203
            problems.append(f"  - {name}: {error}")
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise DataError("\n".join([f"{count} in the sets of other domains:", *problems]))
    return domains_by_name


def open_domain(domain: Domain, data: Data, test: Examples | None, passed: Any) -> OpenedDomain:
    """The examples of a domain, before they are corrupted; its records and corruptions exist."""
    split = split_of(domain, data)
    if domain.source is None and domain.split is None:
        if test is None:
            raise DataError(
                "it names no split, and there is no test part to take; give it a split, or a source"
            )
        whole = test
    elif domain.source is None:
        whole = open_split(data, split, passed)
    else:
        whole = open_split(data.model_copy(update={"source": domain.source}), split, None)
    examples = whole.labeled_only()
    if domain.limit is not None and domain.limit < len(examples):
        examples = limit(examples, domain.limit, seed=data.seed)
    for path in domain.record_folders.values():  # checksums are compared when it is used
        open_record(path, split, verify=False).check(whole)
    for _ in corrupted("", domain, examples):
        pass
    return OpenedDomain(domain, whole, examples)


def split_to_score(source: str, wanted: str) -> str:
    """The split of other data that a student is scored on where none is named.

    It is the wanted one, else test, else validation, else the only one; of a folder or table
    without splits all of it, which `train` stands for.
    """
    path = usable(source).expanduser()
    if path.is_file():
        return "train"
    if not path.is_dir():
        return wanted
    tables = tables_in(path, (".parquet",)) or text_tables(path, None)
    names = split_folders(path)[0] or [file.stem for file in tables]
    if not names:
        return "train"
    known = (split for split in (wanted, "test", "validation") if find_split(split, names, path))
    return next(known, names[0] if len(names) == 1 else wanted)


def split_of(domain: Domain, data: Data) -> str:
    """The split that a domain is from."""
    return domain.split or data.test or "test"


def corrupted(name: str, domain: Domain, examples: Examples) -> Iterator[tuple[str, Examples]]:
    """A domain's examples by label: themselves, or in each corruption that it stands for."""
    if domain.corruption is None:
        yield name, examples
        return
    every = domain.corruption == "all"
    kinds = tuple(CORRUPTIONS.get(examples.kind, ())) if every else (domain.corruption,)
    if not kinds:
        raise DataError(f"there is no corruption of {examples.kind}; leave this domain out")
    severities = SEVERITIES if domain.severity is None else (domain.severity,)
    one = not every and domain.severity is not None
    for kind in kinds:
        for severity in severities:
            label = name if one else f"{name}/{kind}-{severity}"
            yield label, corrupt(examples, kind, severity)


def open_monitor_examples(
    recipe: Recipe, splits: DatasetSplits, passed: Any = None
) -> Examples | None:
    """The labeled examples of a recipe's `monitor`; None where it has none.

    Raises:
        RecipeError: the weights are to be chosen by them, and there are none.
        DataError: they cannot be read, have no labels, or are of another kind.
    """
    monitor, data = recipe.monitor, recipe.data
    if monitor is None:
        if recipe.select.by == "knn":
            raise RecipeError(
                "select.by is knn, which needs labeled examples to monitor: monitor: {split: ..., "
                "limit: 1000}"
            )
        return None
    update: dict[str, Any] = {"label": monitor.label, "channels": splits.train.channels}
    if monitor.source is not None:
        update, passed = update | {"source": monitor.source, "classes": None}, None
    examples = open_split(
        data.model_copy(update=update), monitor.split or data.train, passed
    ).labeled_only()
    if examples.labels is None or examples.kind != splits.train.kind:
        raise DataError(
            f"monitor: {examples.name} holds {examples.kind} with "
            f"{'no ' if examples.labels is None else ''}labels; expected {splits.train.kind} with "
            "labels (monitor.label: their column)"
        )
    if monitor.limit is not None and monitor.limit < len(examples):
        examples = limit(examples, monitor.limit, seed=data.seed)
    return examples
