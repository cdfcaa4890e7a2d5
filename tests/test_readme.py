"""README and docs: code runs, recipes are valid, links lead somewhere, tables are complete."""

import inspect
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mentee import recipe, renamed
from mentee.cli import app
from mentee.distillation.terms import ENGINE_ARGUMENTS
from mentee.losses import LOSSES
from mentee.memory import MEMORIES
from mentee.methods import METHODS
from mentee.models import build, kind_of
from mentee.representations import REPRESENTATIONS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CHECKED = ("python", "bash", "yaml", "text", "")
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
GIVEN = {*ENGINE_ARGUMENTS, "pair_info", "other_adapters"}  # passed by the engine: no params


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["language"],
            match["code"],
            match["reason"],
        )
        for match in FENCE.finditer(text)
    ]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUNNABLE = [page for page in PAGES if any(b.language in ("python", "bash") for b in blocks(page))]


def commands(block: Block) -> list[list[str]]:
    lines = block.code.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def run_python(block: Block, names: dict) -> None:
    # As many lines before it as on the page, so that a traceback names the page's line.
    code = compile("\n" * (block.line - 1) + block.code, page_name(block.page), "exec")
    exec(code, names)


def run_commands(block: Block) -> None:
    for program, *arguments in commands(block):
        assert program == "mentee", f"{program} is not run; say why: <!-- not run: REASON -->"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{arguments}: {result.output} {result.exception}"
        assert result.output.strip()


@pytest.mark.parametrize("page", RUNNABLE, ids=page_name)
def test_code_runs_in_the_order_of_the_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            assert block.reason is None, "Python blocks are always run"
            run_python(block, names)
        elif block.language == "bash" and block.reason is None:
            run_commands(block)


@pytest.mark.parametrize("page", RUNNABLE, ids=page_name)
def test_commands_that_are_not_run_exist_all_the_same(page):
    for block in blocks(page):
        if block.language != "bash" or block.reason is None:
            continue
        for program, *arguments in commands(block):
            if program == "mentee":
                result = CliRunner().invoke(app, [arguments[0], "--help"])
                assert result.exit_code == 0, arguments
                if arguments[0] == "train" and arguments[1] in recipe.shipped():
                    changes = [b for a, b in pairwise(arguments) if a == "--set"]
                    recipe.read(arguments[1], changes)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_has_a_language_that_is_checked(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") == 2 * len(blocks(page)) - text.startswith("```")
    assert all(block.language in CHECKED for block in blocks(page))


RECIPES = [
    pytest.param(block, id=f"{page_name(page)}:{block.line}")
    for page in PAGES
    for block in blocks(page)
    if block.language == "yaml"
]


@pytest.mark.parametrize("block", RECIPES)
def test_every_yaml_block_is_a_recipe_of_networks_and_methods_that_exist(block):
    """Also those that are not run: a recipe can need data or weights, not another program."""
    content = recipe.read(yaml.safe_load(block.code))
    content.method.method(METHODS)
    for network in networks(content.model_dump()):
        # no weights here: what is tried is the name
        classes, channels = {"image": (2, 3)}.get(kind_of(network), (2, 1))
        build(network, classes=classes, channels=channels)


def networks(content) -> list[str]:
    """The names of all networks of a recipe, those of teachers of teachers too."""
    if isinstance(content, list):
        return [name for each in content for name in networks(each)]
    if not isinstance(content, dict):
        return []
    own = [content["network"]] if isinstance(content.get("network"), str) else []
    return own + [name for each in content.values() for name in networks(each)]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        path, _, anchor = link["target"].partition("#")
        if path.startswith("http"):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link["target"]
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings
            }


def rows(page: str, heading: str) -> dict[str, str]:
    """The first table under a heading: the name in its first column to the whole row."""
    text = (ROOT / page).read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    names = [re.match(r"\| `([^`]+)`", line)[1] for line in lines]
    assert len(set(names)) == len(names)
    return dict(zip(names, lines, strict=True))


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("Methods table", METHODS),
        ("Losses", LOSSES),
        ("Representations", REPRESENTATIONS),
        ("Memories", MEMORIES),
    ],
)
def test_docs_list_exactly_what_there_is(heading, table):
    assert set(rows("docs/methods.md", heading)) == set(table)


@pytest.mark.parametrize("name", METHODS)
def test_docs_name_each_methods_components_layers_and_weights(name):
    line, method = rows("docs/methods.md", "Methods table")[name], METHODS[name]
    if "cktf" not in name:
        for term in method.terms:
            parts = (f"`{term.loss.name}`", f"`{term.layer_pair[0]}`", f"{term.weight:g} ")
            assert all(part in line for part in parts)
    source = re.search(r"arXiv:\S+", method.source)
    assert source is None or source[0] in line


COMPONENTS = [
    *(("Losses", name, entry.function) for name, entry in LOSSES.items()),
    *(("Representations", name, build) for name, build in REPRESENTATIONS.items()),
    *(("Memories", name, build) for name, build in MEMORIES.items()),
]


@pytest.mark.parametrize(("heading", "name", "function"), COMPONENTS)
def test_docs_give_each_parameter_with_its_default(heading, name, function):
    line = rows("docs/methods.md", heading)[name]
    given = {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and (heading == "Memories" or p.name not in GIVEN)
    }
    assert set(re.findall(r"`(\w+=[^`]*)`", line)) == {f"{k}={v}" for k, v in given.items()}


def test_docs_list_exactly_the_shipped_recipes():
    assert set(rows("docs/recipes.md", "Shipped recipes")) == set(recipe.shipped())


def test_decisions_are_numbered_and_listed():
    folder = ROOT / "docs" / "decisions"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d{4}-[^)]+)\)", index) == files
    for name in files:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {name[:4]} ")
        for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**Revisit when**"):
            assert part in text
        assert len(text.split()) < 400, f"{name} is longer than a page"


def test_the_changelog_has_every_name_that_changed():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = text.partition("## [0.2.0]")[2].partition("\n## ")[0]
    for table in (renamed.KEYS, renamed.COMPONENTS, renamed.METHODS, renamed.PYTHON):
        missing = {f"`{old}`" for old in table} - set(re.findall(r"`[^`]+`", section))
        assert not missing, f"run the table of renamed.py into CHANGELOG.md: {missing}"
