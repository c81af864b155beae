"""The syntax of Python modules, for rules about code."""

import ast
from collections.abc import Iterator
from pathlib import Path


def nodes(path: Path) -> Iterator[ast.AST]:
    """Return the syntax nodes of a module."""
    return ast.walk(ast.parse(path.read_text()))


def imported(path: Path) -> Iterator[str]:
    """Return the full names of the modules, and of the names in modules, that a module imports."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(path: Path) -> set[str]:
    """Return the plain names that a module calls."""
    calls = (node.func for node in nodes(path) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}
