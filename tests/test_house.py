"""The house as DESIGN.md draws it: what import-linter cannot hold."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / name for name in ("stages", "pipeline", "plugins")]


@cache
def modules() -> dict[str, Path]:
    """Every module of deburr's by its dotted name."""
    found = {}
    for source in SOURCES:
        for path in source.rglob("*.py"):
            parts = path.relative_to(source).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, types: bool = True) -> Iterator[str]:
    """The modules of deburr's that a module imports, anywhere in it; ``types``: for the type checker alone too."""
    for node in _walk(ast.parse(modules()[name].read_text(encoding="utf-8")), types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules() or node.module in modules():
                    yield whole if whole in modules() else node.module


def _walk(node: ast.AST, types: bool) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if types or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _walk(child, types)


def package(name: str) -> str:
    return name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]


def test_what_is_private_to_a_package_stays_there() -> None:
    private = [
        (name, other)
        for name in modules()
        for other in imports(name)
        if other.rpartition(".")[2].startswith("_") and package(other) != package(name)
    ]
    assert private == []


def test_files_do_not_go_in_circles() -> None:
    """Not while anything runs: that a writer's parts know its options by their type is no circle."""
    after = {name: set(imports(name, types=False)) - {name} for name in modules()}
    # Whoever imports nothing that is left cannot be part of a circle, and neither can whoever nobody imports.
    while True:
        imported = {other for others in after.values() for other in others}
        gone = {name for name, others in after.items() if not others or name not in imported}
        if not gone:
            break
        after = {name: others - gone for name, others in after.items() if name not in gone}
    assert after == {}


def test_no_stage_is_known_by_name() -> None:
    """Where no stage stands, no text of the code is the type of one: but for what is denoised with by default."""
    kinds = ("readers", "filters", "writers")
    types = {name.removeprefix("deburr.") for name in modules() if name.split(".")[1:2] and name.split(".")[1] in kinds}
    known = [
        (name, node.value)
        for name in modules()
        if len(name.split(".")) > 1 and name.split(".")[1] not in (*kinds, "nn", "plugins")
        for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in types and "." in str(node.value)
    ]
    assert known == [("deburr.pipeline.info", "filters.spd"), ("deburr.cli.run", "filters.spd")]


def test_no_folder_holds_more_than_a_sixth_of_the_lines() -> None:
    lines: Counter[str] = Counter()
    for name, path in modules().items():
        lines[package(name)] += len(path.read_text(encoding="utf-8").splitlines())
    largest, most = lines.most_common(1)[0]
    assert most <= 0.16 * lines.total(), largest
