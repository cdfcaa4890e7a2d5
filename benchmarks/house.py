"""The measures of the house: how much there is to read, and how far a recipe travels.

    python benchmarks/house.py                     # of the checkout that this file is in
    python benchmarks/house.py --root ../before    # of another checkout, an older one too

* *forbidden words*: lines with one of four words of the private language of version 0.1.
* *lines, files*: of `src/**/*.py`, and lines of `tests/**/*.py`.
* *the recipe's way*: one run of a tiny student with a network as teacher is traced, from the call
  of `mentee.train` to that of the training loop (`train` in a `loop.py`). A function is on the way
  if it receives, as an argument or as `self`, or returns a recipe, a part of one, or an object
  that has one as its `recipe`. *Files entered*: the files of these functions. In the order of the
  calls, *returns to a file*: how often the way enters a file that it had left; *returns to a
  room*: how often the next function lies in a higher room than the one before; the order of the
  rooms is that of import-linter's layers in `pyproject.toml`.
* *switches on kinds of teacher*: calls of `isinstance`, and cases of `match`, that name a class of
  `KINDS`: what a recipe says of a teacher, or the teacher that is built of it.
* *parameters*: of the function outside `cli/` that has most, `self` not counted. *Private* is one
  that no module has in its `__all__`, and that is no component or network, whose parameters are
  keys of a recipe.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

FORBIDDEN = r"\b(said|heard|theirs|gone on)\b"
KINDS = {
    *("OnlineRecipe", "RecordedRecipe", "EmaRecipe", "MultiRecipe", "Ensemble"),
    *("OnlineTeacher", "RecordedTeacher", "EmaTeacher", "MultiTeacher"),
    *("Live", "Recorded", "Averaged", "Several"),  # as they were called in 0.1
    *("LiveTeacher", "ReplayedTeacher", "AveragedTeacher", "SeveralTeachers"),
}
RECIPE = {
    "data": {"source": "embedded:digits", "limit": 100, "test": None},
    "student": {"network": "resnet8-cifar", "options": {"widths": [4, 8, 8], "stem": 4}},
    "train": {"epochs": 1, "batch": 32},
}


def sources(folder: Path) -> Iterator[tuple[Path, str]]:
    """The Python files below a folder, with their texts."""
    for path in sorted(folder.rglob("*.py")):
        yield path, path.read_text(encoding="utf-8")


def words(root: Path) -> int:
    """How many lines of the sources and pages have a forbidden word."""
    files = [p for p in (root / "src", root / "docs") for p in p.rglob("*") if p.is_file()]
    texts = [p for p in [*files, root / "README.md"] if p.suffix in (".py", ".md", ".yaml")]
    lines = (line for path in texts for line in path.read_text(encoding="utf-8").splitlines())
    return sum(re.search(FORBIDDEN, line) is not None for line in lines)


def names(node: ast.AST) -> set[str]:
    """All names below a node."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def switches(root: Path) -> list[str]:
    """Where the sources ask for the kind of a teacher."""
    found = []
    for path, text in sources(root / "src"):
        for node in ast.walk(ast.parse(text)):
            asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
            hit = asks and names(node.args[1]) & KINDS
            hit = hit or (isinstance(node, ast.MatchClass) and names(node.cls) & KINDS)
            if hit:
                found.append(f"{path.relative_to(root)}:{node.lineno}")
    return found


def longest(root: Path) -> list[tuple[int, str, bool]]:
    """The functions outside `cli/` by their number of parameters, and whether each is private."""
    found, public = [], exported(root)
    for path, text in sources(root / "src"):
        if "cli" in path.parts:
            continue
        words = {*path.parts} & {"losses", "representations", "memory", "models"}
        tree = ast.parse(text)
        owners = {
            each: node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for each in node.body
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(each.arg not in ("self", "cls") for each in every)
                name = owners.get(node, "") if node.name == "__init__" else node.name
                place = f"{path.relative_to(root / 'src')}:{name}"
                found.append((count, place, not words and name not in public))
    return sorted(found, reverse=True)


def exported(root: Path) -> set[str]:
    """What modules list in their `__all__`."""
    found = set[str]()
    for _, text in sources(root / "src"):
        for node in ast.parse(text).body:
            if isinstance(node, ast.Assign) and "__all__" in names(node):
                found |= {e.value for e in ast.walk(node) if isinstance(e, ast.Constant)}
    return found


def way(root: Path) -> tuple[int, int, int, list[str]]:
    """Files entered, returns to a file and to a higher room, and the way file by file."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--trace", folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        entered: list[str] = json.loads((Path(folder) / "way.json").read_text(encoding="utf-8"))
    layers = re.findall(r'^  "(mentee\.[^"]*)",$', (root / "pyproject.toml").read_text(), re.M)
    floors = {room.strip(): i for i, layer in enumerate(layers) for room in layer.split("|")}

    def floor(file: str) -> int:
        module = ["mentee", *Path(file).with_suffix("").parts]
        every = [".".join(module[:n]) for n in range(len(module), 0, -1)]
        return next((floors[each] for each in every if each in floors), -1)

    pairs = list(pairwise(entered))
    changes = sum(now != before for before, now in pairs) + 1
    files = len(set(entered))
    return files, changes - files, sum(floor(now) < floor(before) for before, now in pairs), entered


def trace(folder: Path) -> None:
    """Train a teacher, then a student of it; write the files that its recipe enters, in turn."""
    import mentee
    from mentee.recipe import Recipe

    package = Path(mentee.__file__).parent

    def carries(value: object) -> bool:
        """Whether it is a recipe, a part of one, or an object that has one as its `recipe`."""
        if type(value).__module__.startswith("mentee.recipe"):
            return True
        return isinstance(getattr(value, "__dict__", {}).get("recipe"), Recipe)

    mentee.train(RECIPE, out=folder / "teacher", quiet=True)
    weights = {"weights": str(folder / "teacher" / "student.safetensors")}
    student = {**RECIPE, "teacher": {**RECIPE["student"], **weights}, "method": "cktf+kd"}
    entered: list[tuple[int, str]] = []  # (number of the call, file)
    calls: dict[int, int] = {}  # of a frame: the number of its call
    count = 0

    def watch(frame: FrameType, event: str, value: Any) -> None:
        nonlocal count
        code, file = frame.f_code, Path(frame.f_code.co_filename)
        if package not in file.parents:
            return
        if event == "call":
            calls[id(frame)] = count = count + 1
            loop = (file.name, code.co_name) == ("loop.py", "train")
            if loop and code.co_varnames[0] != "self":  # the function, not a module's method
                sys.setprofile(None)
            arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            hit = any(carries(frame.f_locals.get(name)) for name in arguments)
        else:
            hit = event == "return" and carries(value)
        pair = (calls.get(id(frame), 0), str(file.relative_to(package)))
        if hit and pair not in entered:
            entered.append(pair)

    sys.setprofile(watch)
    try:
        mentee.train(student, out=folder / "student", quiet=True)
    finally:
        sys.setprofile(None)
    files = [file for _, file in sorted(entered)]
    (folder / "way.json").write_text(json.dumps(files), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    own = Path(__file__).resolve().parents[1]
    parser.add_argument("--root", type=Path, default=own, help="the checkout that is measured")
    parser.add_argument("--list", action="store_true", help="the way and the switches one by one")
    parser.add_argument("--trace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trace:
        trace(options.trace)
        return
    root = options.root.resolve()
    files, to_files, to_rooms, entered = way(root)
    src, tests = ([text for _, text in sources(root / part)] for part in ("src", "tests"))
    functions = longest(root)
    table = {
        "forbidden words": (words(root), "0"),
        "lines of src": (sum(text.count("\n") for text in src), "≤ 29,000"),
        "files of src": (len(src), "≤ 190"),
        "lines of tests": (sum(text.count("\n") for text in tests), "≤ 23,000"),
        "the recipe's way: files entered": (files, "≤ 14"),
        "the recipe's way: returns to a file": (to_files, ""),
        "the recipe's way: returns to a room": (to_rooms, "≤ 5"),
        "switches on kinds of teacher": (len(switches(root)), "≤ 6"),
        "parameters of the longest list": (functions[0][0], "≤ 8"),
        "of the longest private list": (max(n for n, _, private in functions if private), "≤ 8"),
    }
    for name, (value, goal) in table.items():
        print(f"{name:<38}{value:>8,}   {goal}")
    if options.list:
        print("\nthe recipe's way:", *entered, sep="\n  ")
        print("\nswitches:", *switches(root), sep="\n  ")
        print("\nlongest lists:", *(f"{n:>3}  {name}" for n, name, _ in functions[:15]), sep="\n  ")


if __name__ == "__main__":
    main()
