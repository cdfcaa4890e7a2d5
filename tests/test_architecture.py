"""The house rules that a program can check: who imports whom, what is loaded and written."""

import ast
import inspect
import re
import subprocess
import sys
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


def python(code):
    """What a fresh process prints, without pytest's shape checks and imports."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_arrow_points_one_way():
    code = "import importlinter.cli as cli; raise SystemExit(cli.lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


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


def test_public_names_are_there():
    for name in mentee.__all__:
        assert getattr(mentee, name) is not None
    with pytest.raises(AttributeError, match="module 'mentee' has no attribute 'trian'"):
        _ = mentee.trian


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_file_can_be_read_in_one_sitting(path):
    lines = (SOURCE / path).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST, f"{len(lines)} lines: split it"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_input_is_never_checked_by_assert(path):
    """`python -O` drops them, and their text says nothing to a user."""
    tree = ast.parse((SOURCE / path).read_text(encoding="utf-8"))
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert not found, f"assert in line {found}"


def described(name):
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    return re.search(rf"`{re.escape(name)}(=[^`]*)?`", page) is not None


@pytest.mark.parametrize(
    "name",
    [*METHODS, *REPRESENTATIONS, *LOSSES, *MEMORIES],
)
def test_the_page_of_methods_has_every_word(name):
    assert described(name), f"docs/methods.md does not say what `{name}` is"


GIVEN_BY_THE_ENGINE = {
    "negatives",
    "log_z",
    "chunk",
    "mask",
    "labels",
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


@pytest.mark.parametrize(("name", "number"), sorted(numbers()))
def test_the_page_of_methods_has_every_number(name, number):
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    assert rows, f"docs/methods.md has no row for `{name}`"
    assert any(f"`{number}=" in row for row in rows), f"its row lacks `{number}=`"


@pytest.mark.parametrize("name", recipe.shipped())
def test_a_shipped_recipe_parses(name):
    read = recipe.read(name)
    assert find(read.method.name).terms or read.method.terms or read.method.name == "none"
    assert recipe.read(recipe.shipped()[name]) == read


PRIVATE = re.compile(r"\b(said|heard|theirs|gone on)\b", re.IGNORECASE)
NO_NAMES = {"said", "found", "heard", "told", "asked", "theirs", "mine", "ours", "taught"}


@pytest.mark.parametrize(
    "path",
    [*sorted(SOURCE.rglob("*.py")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_words_are_those_of_the_field(path):
    """A practitioner has to guess what a name is: participles and pronouns are none."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if PRIVATE.search(line)]
    assert not lines
    if path.suffix == ".py":
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        names |= {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg)}
        assert not names & NO_NAMES
