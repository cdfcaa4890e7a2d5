"""The house rules that a program can check: who imports whom, what is loaded and written."""

import ast
import functools
import inspect
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import mentee
from mentee import recipe
from mentee.losses import LOSSES
from mentee.memory import MEMORIES
from mentee.methods import METHODS, find
from mentee.representations import REPRESENTATIONS

ROOT = Path(__file__).parents[1]
SOURCE = Path(mentee.__file__).parent
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
METHODS_PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
LONGEST = 320

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "datasets",
    "accelerate",
    "sklearn",
    "pandas",
    "matplotlib",
)


@functools.cache
def trees():
    """The syntax tree of each module."""
    return {path: ast.parse((SOURCE / path).read_text(encoding="utf-8")) for path in MODULES}


def python(code):
    """What a fresh process prints, without pytest's shape checks and imports."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_has_its_layer():
    """A new stage that no contract names could import anything."""
    contract = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    stages = {path.parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    unnamed = {stage for stage in stages if not re.search(rf'mentee\.{stage}[" ]', contract)}
    assert not unnamed


@pytest.mark.parametrize(
    "code",
    [
        "import mentee",
        "import mentee.cli",
        "import typer, mentee.cli; typer.main.get_command(mentee.cli.app)",
        "from typer.testing import CliRunner; import mentee.cli\n"
        "assert 'train' in CliRunner().invoke(mentee.cli.app, ['--help']).output",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    loaded = python(f"{code}\nimport sys; print(*sys.modules, sep='\\n')").splitlines()
    assert "mentee" in loaded
    assert not set(HEAVY) & set(loaded)


def test_optional_packages_are_imported_where_they_are_used():
    """`import mentee.api` works without the extra `vision`, and every command starts soon."""
    loaded = python("import sys, mentee.api; print(*sys.modules, sep='\\n')").splitlines()
    assert "torch" in loaded
    assert not {"timm", "torchvision", "scipy.signal", "scipy.stats", "sklearn"} & set(loaded)


def test_no_room_is_left_out_of_the_suite(request):
    """By default pytest enters no folder of the name `build`."""
    left_out = request.config.getini("norecursedirs")
    rooms = {path.parent for root in ("tests", "src") for path in (ROOT / root).rglob("*.py")}
    names = {part for room in rooms for part in room.relative_to(ROOT).parts}
    assert {"build", "losses"} <= names
    assert not {name for name in names for pattern in left_out if fnmatch(name, pattern)}


def test_shapes_are_checked_in_every_room_that_tells_them(request):
    checked = request.config.getoption("--jaxtyping-packages").split(",")
    telling = [
        f"mentee.{path.with_suffix('').as_posix().replace('/', '.')}"
        for path in MODULES
        if re.search(r"^from jaxtyping import", (SOURCE / path).read_text("utf-8"), re.MULTILINE)
    ]
    assert len(telling) > 50
    assert not [name for name in telling if not name.startswith(tuple(checked))]


def test_public_names_are_there():
    for name in mentee.__all__:
        assert getattr(mentee, name) is not None
    with pytest.raises(AttributeError, match="module 'mentee' has no attribute 'trian'"):
        _ = mentee.trian


def test_a_file_can_be_read_in_one_sitting():
    lines = {path: len((SOURCE / path).read_text("utf-8").splitlines()) for path in MODULES}
    too_long = {str(path): count for path, count in lines.items() if count > LONGEST}
    assert not too_long, "split them"


def test_input_is_never_checked_by_assert():
    """`python -O` drops them, and their text says nothing to a user."""
    nodes = ((path, node) for path, tree in trees().items() for node in ast.walk(tree))
    found = [f"{path}:{node.lineno}" for path, node in nodes if isinstance(node, ast.Assert)]
    assert not found


def test_the_page_of_methods_has_every_word():
    words = [*METHODS, *REPRESENTATIONS, *LOSSES, *MEMORIES]
    lacks = [
        name for name in words if not re.search(rf"`{re.escape(name)}(=[^`]*)?`", METHODS_PAGE)
    ]
    assert not lacks, "docs/methods.md does not say what they are"


GIVEN_BY_THE_ENGINE = {
    "negatives",
    "log_z",
    "chunk",
    "mask",
    "labels",
    "outputs",
    "pair_info",
    "other_adapters",
}


def numbers():
    for name, agreement in LOSSES.items():
        for number in keywords(agreement.function) - GIVEN_BY_THE_ENGINE:
            yield name, number
    for table in (REPRESENTATIONS, MEMORIES):
        for name, build in table.items():
            for number in keywords(build) - GIVEN_BY_THE_ENGINE:
                yield name, number


def keywords(function):
    parameters = inspect.signature(function).parameters.values()
    return {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}


def test_the_page_of_methods_has_every_number():
    rows = [line for line in METHODS_PAGE.splitlines() if line.startswith("| `")]
    of = {name: [row for row in rows if row.startswith(f"| `{name}` |")] for name, _ in numbers()}
    assert all(of.values()), f"docs/methods.md has no row for {[n for n in of if not of[n]]}"
    lacks = [
        (name, number)
        for name, number in numbers()
        if not any(f"`{number}=" in row for row in of[name])
    ]
    assert not lacks


@pytest.mark.parametrize("name", recipe.shipped())
def test_a_shipped_recipe_parses(name):
    read = recipe.read(name)
    assert find(read.method.name).terms or read.method.terms or read.method.name == "none"
    assert recipe.read(recipe.shipped()[name]) == read


PRIVATE = re.compile(r"\b(said|heard|theirs|gone on)\b", re.IGNORECASE)
NO_NAMES = {"said", "found", "heard", "told", "asked", "theirs", "mine", "ours", "taught"}


def test_the_words_are_those_of_the_field():
    """A practitioner has to guess what a name is: participles and pronouns are none."""
    pages = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
    found = [
        f"{path}: {line}"
        for path in [*(SOURCE / module for module in MODULES), *pages]
        for line in path.read_text(encoding="utf-8").splitlines()
        if PRIVATE.search(line)
    ]
    for path, tree in trees().items():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        found += [f"{path}: {name}" for name in names & NO_NAMES]
    assert not found
