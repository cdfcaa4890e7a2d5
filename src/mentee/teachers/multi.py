"""Several teachers in one run, each read as it would be alone, at layers that bear their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from mentee.errors import MenteeError
from mentee.records.manifest import checksum
from mentee.teachers.teacher import Teacher
from mentee.types import Batch, FeatureKey, Features, Statistics


def layer_of(layer: str, name: str, wanted: Sequence[str]) -> str:
    """What a layer of one teacher is called where there are several.

    Of the `wanted` layers, which a method names, `stages` stands for `stages.0`, `stages.1`, ….

    Example:
        >>> layer_of("stages.0", "vgg", ["stages"]), layer_of("embedding", "vgg", ["embedding"])
        ('stages.vgg.0', 'embedding.vgg')
    """
    head, point, number = layer.rpartition(".")
    if layer not in wanted and head in wanted and number.isdigit():
        return f"{head}.{name}{point}{number}"
    return f"{layer}.{name}"


@dataclass(frozen=True)
class TeacherLayer:
    """A layer of one of several teachers; `name` has the teacher's, `layer` is its own name."""

    name: str
    shape: tuple[int, ...]
    teacher: str
    layer: str


class MultiTeacher:
    """Teachers by name, each read as it would be alone, at the layers that a method wants of it.

    A method reads `embedding.vgg`, `stages.vgg` (`stages.vgg.0`, …), `embedding.clip`.
    """

    def __init__(
        self, teachers: Mapping[str, Teacher], wanted: Mapping[str, Sequence[str]]
    ) -> None:
        self.teachers = dict(teachers)
        self._wanted = {name: list(wanted[name]) for name in teachers}
        self.layers = tuple(
            TeacherLayer(layer_of(each.name, name, self._wanted[name]), each.shape, name, each.name)
            for name, teacher in self.teachers.items()
            for each in teacher.layers
        )
        self._by_name = {layer.name: layer for layer in self.layers}

    def __call__(self, batch: Batch) -> Features:
        """The features of a batch of each teacher, by layers with its name."""
        return {
            self._renamed(key, name): value
            for name, teacher in self.teachers.items()
            for key, value in teacher(batch).items()
        }

    def statistics(self, layer: str) -> Statistics:
        """How a teacher's vectors at a layer are distributed over the training examples."""
        teacher, own = self.teacher_of(layer)
        return teacher.statistics(own)

    def clean_rows(self, rows: Tensor, columns: Sequence[str]) -> Features:
        """Columns that the record of one of the teachers has of some training examples.

        Args:
            rows: where they stand among the training examples, `[m]`.
            columns: of one teacher, with its name.
        """
        teacher = self.teacher_of(FeatureKey.parse(columns[0]).layers[0])[0]
        owned = [FeatureKey.parse(column) for column in columns]
        own = {
            str(FeatureKey(tuple(self.teacher_of(x)[1] for x in key.layers), key.reduction)): column
            for key, column in zip(owned, columns, strict=True)
        }
        return {own[name]: x for name, x in teacher.clean_rows(rows, list(own)).items()}

    def teacher_of(self, layer: str) -> tuple[Teacher, str]:
        """The teacher of a layer, and what it calls the layer itself.

        Raises:
            MenteeError: there is no such layer.
        """
        if layer not in self._by_name:
            raise MenteeError(
                f"no teacher is read at {layer}; there are {', '.join(self._by_name)}"
            )
        own = self._by_name[layer]
        return self.teachers[own.teacher], own.layer

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the names and fingerprints of all."""
        each = (f"{name} {teacher.fingerprint()} " for name, teacher in self.teachers.items())
        return checksum("".join(each))

    def _renamed(self, key: str, name: str) -> str:
        """The key of a layer, or of a column of one or of several together."""
        own = FeatureKey.parse(key)
        layers = tuple(layer_of(each, name, self._wanted[name]) for each in own.layers)
        return str(FeatureKey(layers, own.reduction))
