"""Several teachers that each teach for themselves, at places that bear their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mentee.errors import MenteeError
from mentee.teachers.teacher import Teacher
from mentee.types import Batch, FeatureKey, Features, Statistics


def place_of(place: str, name: str, asked: Sequence[str]) -> str:
    """What a place of one teacher is called beside those of others.

    Args:
        place: of the teacher, as it names it itself.
        name: of the teacher.
        asked: the places that a method names; `stages` stands for `stages.0`, `stages.1`, ….

    Example:
        >>> place_of("stages.0", "vgg", ["stages"]), place_of("embedding", "vgg", ["embedding"])
        ('stages.vgg.0', 'embedding.vgg')
    """
    head, point, number = place.rpartition(".")
    if place not in asked and head in asked and number.isdigit():
        return f"{head}.{name}{point}{number}"
    return f"{place}.{name}"


@dataclass(frozen=True)
class TeacherLayer:
    """A place of one of several teachers.

    Attributes:
        name: with the teacher's.
        shape: of one example.
        teacher: whose it is.
        place: what the teacher itself calls it.
    """

    name: str
    shape: tuple[int, ...]
    teacher: str
    place: str


class MultiTeacher:
    """Teachers by name, each read as it would be alone.

    Args:
        teachers: by name.
        asked: for each the places that are read of it, as a method names them.

    Example:
        A method reads `embedding.vgg`, `stages.vgg` (`stages.vgg.0`, …), `embedding.clip`.
    """

    def __init__(self, teachers: Mapping[str, Teacher], asked: Mapping[str, Sequence[str]]) -> None:
        self.teachers = dict(teachers)
        self._asked = {name: list(asked[name]) for name in teachers}
        self.places = tuple(
            TeacherLayer(place_of(each.name, name, self._asked[name]), each.shape, name, each.name)
            for name, teacher in self.teachers.items()
            for each in teacher.places
        )
        self._found = {place.name: place for place in self.places}

    def __call__(self, batch: Batch) -> Features:
        """What each says of a batch, by its places with its name."""
        return {
            self._renamed(key, name): value
            for name, teacher in self.teachers.items()
            for key, value in teacher(batch).items()
        }

    def statistics(self, place: str) -> Statistics:
        """How a teacher's vectors at a place are distributed over the training examples.

        Args:
            place: a name of `places`.
        """
        teacher, own = self.whose(place)
        return teacher.statistics(own)

    def whose(self, place: str) -> tuple[Teacher, str]:
        """The teacher of a place, and what it calls the place itself.

        Raises:
            MenteeError: there is no such place.
        """
        if place not in self._found:
            raise MenteeError(f"no teacher is read at {place}; there are {', '.join(self._found)}")
        found = self._found[place]
        return self.teachers[found.teacher], found.place

    def fingerprint(self) -> str:
        """32 hexadecimal digits of the names and of all that each might say."""
        digest = hashlib.blake2b(digest_size=16)
        for name, teacher in self.teachers.items():
            digest.update(f"{name} {teacher.fingerprint()} ".encode())
        return digest.hexdigest()

    def _renamed(self, key: str, name: str) -> str:
        """The key of a place, or of a column of one or of several together."""
        parsed = FeatureKey.parse(key)
        layers = tuple(place_of(layer, name, self._asked[name]) for layer in parsed.layers)
        return str(FeatureKey(layers, parsed.reduction))
