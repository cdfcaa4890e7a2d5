"""The source of a class and of all that it uses, as one file that imports no Mentee."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

OWN = "mentee"


class Plain(ast.NodeTransformer):
    """Code without annotations, and with the first line of each docstring."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        """An argument."""
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """An assignment with its annotation, or an annotation alone."""
        self.generic_visit(node)
        return None if node.value is None else ast.Assign([node.target], node.value, lineno=0)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """A function."""
        node.returns = None
        return self._shortened(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        """A class."""
        return self._shortened(node)

    def _shortened(self, node: Any) -> Any:
        self.generic_visit(node)
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body[0] = ast.Expr(ast.Constant(str(first.value.value).strip().split("\n")[0]))
        return node


@dataclass
class Bundle:
    """Definitions in the order in which they are needed, with the imports of other packages.

    Attributes:
        imports: lines.
        definitions: the code of each, by name.
        origins: the module of each.
    """

    imports: set[str] = field(default_factory=set)
    definitions: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add(self, module: str, name: str) -> None:
        """Add a definition of a module, after all that it uses.

        Raises:
            RuntimeError: two modules define the same name.
        """
        if self.origins.setdefault(name, module) != module:
            raise RuntimeError(f"{name} is of {self.origins[name]} and of {module}")
        nodes, imports = parsed(module)
        if name in self.definitions:
            return
        if name not in nodes:
            del self.origins[name]
            self.add(*imports[name])  # it is imported there from another module of ours
            return
        node = Plain().visit(nodes[name])
        self.definitions[name] = ""  # it may use itself
        for used in dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name)):
            if used in nodes and used != name:
                self.add(module, used)
            elif used in imports:
                self._import(used, *imports[used])
        del self.definitions[name]
        self.definitions[name] = ast.unparse(ast.fix_missing_locations(node))

    def _import(self, used: str, module: str, name: str) -> None:
        if module.partition(".")[0] == OWN:
            self.add(module, name)
        else:
            line = f"from {module} import {name}" if name else f"import {module}"
            self.imports.add(line + ("" if used in (name or module) else f" as {used}"))

    def text(self) -> str:
        """Imports, then definitions."""
        return "\n".join(sorted(self.imports)) + "\n\n\n" + "\n\n\n".join(self.definitions.values())


def parsed(module: str) -> tuple[dict[str, ast.stmt], dict[str, tuple[str, str]]]:
    """A module's definitions by name, and where the names that it imports are from."""
    nodes: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            nodes[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (n.id for each in targets for n in ast.walk(each) if isinstance(n, ast.Name))
            nodes.update(dict.fromkeys(names, node))
        elif isinstance(node, ast.ImportFrom):
            imports |= {n.asname or n.name: (str(node.module), n.name) for n in node.names}
        elif isinstance(node, ast.Import):
            imports |= {n.asname or n.name.partition(".")[0]: (n.name, "") for n in node.names}
    return nodes, imports
