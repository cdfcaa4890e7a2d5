"""Real teachers for tests: loaded once, or a skip that says what is missing."""

import pytest

from mentee.errors import MenteeError
from mentee.teachers.pretrained import find_embedder


@pytest.fixture(scope="session")
def real():
    """A function from a name and options to the teacher; a skip where a package is missing."""
    loaded = {}

    def find(name, **options):
        key = (name, *sorted(options.items()))
        if key not in loaded:
            try:
                loaded[key] = find_embedder(name, **options)
            except MenteeError as error:
                if "pip install" not in str(error):
                    raise
                pytest.skip(str(error))
        return loaded[key]

    return find
