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
from mentee.agree import AGREEMENTS
from mentee.memory import MEMORIES
from mentee.methods import METHODS, find
from mentee.represent import REPRESENTATIONS

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

# Modules without a test file of their own name: where they are tried, and why there.
LOOPS = "loops, corners and slopes: one contract; test_published.py has other people's numbers"
TRIED_ELSEWHERE = {
    "agree/negatives.py": ("agree/test_contrast.py", "what the contrast is given"),
    **{
        f"agree/{name}.py": ("test_contract.py", LOOPS)
        for name in (
            "boundary",
            "cc",
            "decoupled",
            "dist",
            "gram",
            "hard_label",
            "hcl",
            "levels",
            "nst",
            "pkt",
            "rkd",
            "ttm",
            "vid",
        )
    },
    "represent/standardize.py": ("test_contract.py", LOOPS),
    "represent/regress.py": ("test_contract.py", LOOPS),
    "represent/factors.py": ("represent/test_maps.py", "what is made of maps"),
    "bound.py": ("test_transfer.py", "what a method is bound by"),
    "cli/describing.py": ("test_cli.py", "a command, as a person runs it"),
    "describe/docstrings.py": ("describe/test_plain.py", "formulas, from docstring to text"),
    "describe/places.py": ("describe/test_listing.py", "what is printed"),
    "describe/sentence.py": ("describe/test_listing.py", "what is printed"),
    "cli/__main__.py": ("run/test_resume.py", "how processes of their own are started"),
    "cli/options.py": ("test_cli.py", "options of the commands"),
    "cli/recording.py": ("test_flow_embeddings.py", "commands, as a person runs them"),
    "capture/hooks.py": ("capture/test_capture.py", "Capture is what people call it by"),
    "capture/place.py": ("capture/test_resolve.py", "a place is what resolve gives"),
    "capture/layout.py": ("capture/test_resolve.py", "a rule of resolve"),
    "capture/rules.py": ("capture/test_architectures.py", "rules of resolve, on real networks"),
    "capture/trace.py": ("capture/test_resolve.py", "the dry run of resolve"),
    "data/columns.py": ("data/test_texts.py", "which columns a source has"),
    "data/contents.py": ("data/test_sources.py", "what sources hold"),
    "data/corruptions/blur.py": ("data/test_corruptions_images.py", "one of the kinds"),
    "data/corruptions/codec.py": ("data/test_corruptions_audio.py", "one of the kinds"),
    "data/corruptions/contents.py": ("data/test_corruptions.py", "what corrupt makes"),
    "data/corruptions/digital.py": ("data/test_corruptions_images.py", "one of the kinds"),
    "data/corruptions/draws.py": ("data/test_corruptions.py", "what the kinds draw from"),
    "data/corruptions/noise.py": ("data/test_corruptions_images.py", "one of the kinds"),
    "data/corruptions/pixels.py": ("data/test_corruptions_images.py", "shared by the kinds"),
    "data/corruptions/sound.py": ("data/test_corruptions_audio.py", "one of the kinds"),
    "data/corruptions/weather.py": ("data/test_corruptions_images.py", "one of the kinds"),
    "data/image_views.py": ("data/test_views.py", "the views of images"),
    "data/split_names.py": ("data/test_folders.py", "how folders call their splits"),
    "data/arrays.py": ("data/test_sources.py", "one of the sources"),
    "data/embedded.py": ("data/test_sources.py", "one of the sources"),
    "data/examples.py": ("data/test_splits.py", "examples are what is split"),
    "data/pixels.py": ("data/test_views.py", "what views do to pixels"),
    "methods/change.py": ("test_methods.py", "one table"),
    "methods/features.py": ("test_methods.py", "one table"),
    "methods/logits.py": ("test_methods.py", "one table"),
    "methods/row.py": ("test_methods.py", "one table"),
    "methods/table.py": ("test_methods.py", "one table"),
    "models/cp_resnet.py": ("models/test_audio.py", "one suite over the networks of audio"),
    "models/table.py": ("models/test_networks.py", "the table itself"),
    "models/mobilenet.py": ("models/test_networks.py", "one suite over every network"),
    "models/resnet.py": ("models/test_networks.py", "one suite over every network"),
    "models/shufflenet.py": ("models/test_networks.py", "one suite over every network"),
    "models/vgg.py": ("models/test_networks.py", "one suite over every network"),
    "models/wide_resnet.py": ("models/test_networks.py", "one suite over every network"),
    "models/zoo.py": ("models/test_build.py", "the names behind timm: and torchvision:"),
    "memory/bank.py": ("test_memory.py", "one suite over every memory"),
    "memory/base.py": ("test_memory.py", "one suite over every memory"),
    "memory/queue.py": ("test_memory.py", "one suite over every memory"),
    "teachers/embedders/pretrained.py": (
        "teachers/embedders/test_encoders.py",
        "how encoders are loaded",
    ),
    "teachers/teacher.py": ("teachers/test_live.py", "what every teacher is"),
    "teachers/record/folder.py": ("teachers/record/test_recording.py", "how a record is written"),
    "teachers/record/integrity.py": ("teachers/record/test_reading.py", "files of a record"),
    "teachers/record/shards.py": ("teachers/record/test_recording.py", "how a record is written"),
    "teachers/record/sheets.py": ("teachers/record/test_places.py", "what there is to record"),
    "teachers/record/places_manifest.py": ("teachers/record/test_places.py", "what it says"),
    "teachers/record/planning.py": ("teachers/record/test_places.py", "what there is to record"),
    "teachers/record/writing_places.py": (
        "teachers/record/test_places.py",
        "how a record of places is written",
    ),
    "teachers/record/writing.py": ("teachers/record/test_recording.py", "how a record is written"),
    "teachers/record/manifest.py": ("teachers/record/test_reading.py", "what a record says"),
    "teachers/record/vectors.py": ("teachers/record/test_importing.py", "the files to import"),
    "pairing.py": ("test_transfer.py", "what a method is bound by"),
    "words.py": ("test_transfer.py", "what a method is bound by"),
    "recipe/networks.py": ("test_recipe.py", "one recipe, read and checked"),
    "cli/comparing.py": ("comparisons/test_compare.py", "the command, as a person runs it"),
    "comparisons/agreement.py": ("comparisons/test_compare.py", "tried by whole comparisons"),
    "comparisons/rows.py": ("comparisons/test_results.py", "what is made of the rows"),
    "recipe/reading.py": ("test_recipe.py", "one recipe, read and checked"),
    "recipe/parts.py": ("test_recipe.py", "one recipe, read and checked"),
    "recipe/method.py": ("test_recipe.py", "one recipe, read and checked"),
    "recipe/teachers.py": ("run/test_several.py", "who it says teaches"),
    "recipe/unlabeled.py": ("run/test_beside.py", "what it says is beside"),
    "recipe/probe.py": ("probes/test_asking.py", "what it says is asked"),
    "recipe/watch.py": ("run/test_watching.py", "what it says is watched"),
    "recipe/schema.py": ("test_recipe.py", "one recipe, read and checked"),
    **{
        f"probes/{name}.py": ("probes/test_asking.py", "parts of one call, tried by whole probes")
        for name in ("ledger", "probing", "tuning", "vectors", "ways")
    },
    "cli/probing.py": ("probes/test_chaining.py", "the commands, as a person runs them"),
    "report/probed.py": ("probes/test_asking.py", "what probes found; and its own example"),
    "run/reporting.py": ("probes/test_asking.py", "the report of a run that was probed"),
    "sweeps/pace.py": ("sweeps/test_course.py", "what a person is told; and its own example"),
    "sweeps/pool.py": ("sweeps/test_sweep.py", "real processes, killed and told to stop"),
    "sweeps/teaching.py": ("sweeps/test_sweep.py", "parts of one call, tried by whole sweeps"),
    "sweeps/working.py": ("sweeps/test_sweep.py", "parts of one call, tried by whole sweeps"),
    "cli/sweeping.py": ("sweeps/test_sweep.py", "the command, as a person runs it"),
    "run/teaching.py": ("run/test_recording.py", "parts of one call, tried by whole runs"),
    "run/keeping.py": ("run/test_several.py", "what is kept of several teachers"),
    "run/optimizing.py": ("run/test_mistakes.py", "parts of one call, tried by whole runs"),
    "run/records.py": ("run/test_recording.py", "records as teachers of whole runs"),
    "run/views_of_record.py": ("run/test_recording_places.py", "views of what was recorded there"),
    "run/first.py": ("run/test_recording.py", "parts of one call, tried by whole runs"),
    "run/checks.py": ("run/test_label_free.py", "parts of one call, tried by whole runs"),
    "run/folder.py": ("run/test_resume.py", "parts of one call, tried by whole runs"),
    "run/networks.py": ("run/test_mistakes.py", "parts of one call, tried by whole runs"),
    "run/parts.py": ("run/test_mistakes.py", "parts of one call, tried by whole runs"),
    "run/progress.py": ("run/test_resume.py", "parts of one call, tried by whole runs"),
    "run/scoring.py": ("run/test_resume.py", "parts of one call, tried by whole runs"),
    "run/sets.py": ("run/test_mistakes.py", "parts of one call, tried by whole runs"),
    "run/signals.py": ("run/test_resume.py", "parts of one call, tried by whole runs"),
    "run/verifying.py": ("run/test_recording.py", "what was recorded there is verified"),
    "run/training.py": ("run/test_resume.py", "parts of one call, tried by whole runs"),
}


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
    """`import mentee.run` works without the extra `vision`."""
    loaded = python("import sys, mentee.run; print(*sys.modules, sep='\\n')").splitlines()
    assert "torch" in loaded
    assert not {"timm", "torchvision"} & set(loaded)


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


def test_every_module_is_tried_somewhere():
    tests = ROOT / "tests"
    untried = [
        path.as_posix()
        for path in MODULES
        if path.name != "__init__.py"
        and path.as_posix() not in TRIED_ELSEWHERE
        and not (tests / path.parent / f"test_{path.name}").is_file()
    ]
    assert untried == [], "write a test file, or say in TRIED_ELSEWHERE where it is tried and why"


@pytest.mark.parametrize("module", TRIED_ELSEWHERE)
def test_an_exception_is_still_one(module):
    where, reason = TRIED_ELSEWHERE[module]
    path, tests = Path(module), ROOT / "tests"
    assert path in MODULES, "the module is gone"
    assert (tests / where).is_file(), "the test file is gone"
    assert not (tests / path.parent / f"test_{path.name}").exists(), "it has a test file now"
    assert reason


def described(name):
    page = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    return re.search(rf"`{re.escape(name)}(=[^`]*)?`", page) is not None


@pytest.mark.parametrize(
    "name",
    [*METHODS, *REPRESENTATIONS, *AGREEMENTS, *MEMORIES],
)
def test_the_page_of_methods_has_every_word(name):
    assert described(name), f"docs/methods.md does not say what `{name}` is"


GIVEN_BY_THE_ENGINE = {"negatives", "log_z", "chunk", "mask", "labels", "known", "beside"}


def numbers():
    for name, agreement in AGREEMENTS.items():
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
