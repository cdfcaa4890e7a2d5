"""Several teachers side by side: each says what it says alone, at places that bear its name."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch

from mentee.errors import MenteeError
from mentee.teachers import MultiTeacher, Teacher
from mentee.teachers.multi import layer_of
from mentee.types import Batch, Statistics

STATISTICS = Statistics(torch.zeros(3), torch.ones(3), torch.eye(3), torch.ones(3))
BATCH = Batch(torch.zeros(2, 1), torch.arange(2), torch.arange(2))


class Said:
    """A teacher that says a number at each of its places."""

    def __init__(self, number: float, *names: str) -> None:
        self.layers = [SimpleNamespace(name=name.partition(" ")[0], shape=(3,)) for name in names]
        self.number, self.names = number, names

    def __call__(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {name: torch.full((len(batch), 3), self.number) for name in self.names}

    def statistics(self, place: str) -> Statistics:
        self.asked = place
        return STATISTICS

    def fingerprint(self) -> str:
        return str(self.number)

    def clean_rows(self, rows: torch.Tensor, columns: Sequence[str]) -> dict[str, torch.Tensor]:
        return {name: torch.full((len(rows), 3), self.number) for name in columns}


def test_places_and_columns_bear_the_names() -> None:
    a = Said(1.0, "stem", "stages.0", "stages.1", "logits")
    b = Said(2.0, "stages.1 | 4x4 cells", "stem&stages.0 | flow", "layer2.0.conv1")
    asked = {
        "a": ["stem", "stages", "logits"],
        "b": ["stages.1", "stem", "stages", "layer2.0.conv1"],
    }
    several = MultiTeacher({"a": a, "b": b}, asked)
    assert isinstance(several, Teacher)
    said = several(BATCH)
    assert list(said) == [
        "stem.a", "stages.a.0", "stages.a.1", "logits.a",
        "stages.1.b | 4x4 cells", "stem.b&stages.b.0 | flow", "layer2.0.conv1.b",
    ]  # fmt: skip
    assert said["stages.a.1"].unique().tolist() == [1.0]
    assert said["layer2.0.conv1.b"].unique().tolist() == [2.0]
    assert several.teacher_of("stages.a.1") == (a, "stages.1")
    assert several.statistics("stages.1.b") is STATISTICS
    assert b.asked == "stages.1"
    with pytest.raises(MenteeError, match=r"no teacher is read at stages\.c; there are stem\.a"):
        several.teacher_of("stages.c")


def test_a_number_is_a_part_of_a_name_where_the_method_says_so() -> None:
    assert layer_of("stages.0", "a", ["stages"]) == "stages.a.0"
    assert layer_of("stages.0", "a", ["stages.0"]) == "stages.0.a"
    assert layer_of("features.3", "a", ["features.3", "features"]) == "features.3.a"


def test_the_fingerprint_follows_names_and_teachers() -> None:
    def of(**numbers: float) -> str:
        teachers = {name: Said(number, "logits") for name, number in numbers.items()}
        return MultiTeacher(teachers, {key: ["logits"] for key in numbers}).fingerprint()

    assert of(a=1.0, b=2.0) == of(a=1.0, b=2.0)
    assert len({of(a=1.0, b=2.0), of(a=2.0, b=1.0), of(a=1.0, c=2.0), of(a=1.0)}) == 4
