"""The house as DESIGN.md draws it: what import-linter cannot hold."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from deburr.core.horizon import SPACING
from deburr.core.noise import NOISE
from deburr.core.registry import _own, stage_class
from deburr.core.stored import OFFSET, ROUNDING, SCALE

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


def code(*without: str) -> Iterator[tuple[str, ast.AST]]:
    """The nodes of every module, with its name, but for the rooms ``without``."""
    for name, path in modules().items():
        if len(name.split(".")) > 1 and name.split(".")[1] not in without:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield name, node


def test_no_stage_is_known_by_name() -> None:
    """Where no stage stands, no text of the code is the type of one: but for what is denoised with by default."""
    kinds = ("readers", "filters", "writers")
    types = {name.removeprefix("deburr.") for name in modules() if name.split(".")[1:2] and name.split(".")[1] in kinds}
    known = [
        (name, node.value)
        for name, node in code(*kinds, "nn", "plugins")
        if isinstance(node, ast.Constant) and node.value in types and "." in str(node.value)
    ]
    denoising = ("deburr.cli.run", "deburr.pipeline.denoise", "deburr.pipeline.info")
    assert sorted(known) == [(name, "filters.spd") for name in denoising]


#: Where stages and models stand, or what is made for some of them: PDAL's doors, and training.
OF_STAGES = ("readers", "filters", "writers", "nn", "formats", "train", "plugins")
#: Figures that several stages share have their names in the core, where whoever notes or shows them takes them from.
SHARED = ("deburr.core.noise", "deburr.core.stored", "deburr.core.horizon", "deburr.core.host")
#: Names that reports, plans and clouds have for things of their own as well.
ORDINARY = {"points", "kind", "size", "units", "scale", "offset", "method", "model", "classes", "noise", "spacing",
            "points_left_out", "displacement_median", "displacement_max", "columns", "crs", "width"}  # fmt: skip


def test_no_figure_of_a_stage_is_known_by_name() -> None:
    """Neither one that is like no other word, nor any that is asked for in figures or in what surveys found."""
    figures = {figure for name in _own() for figure in stage_class(name).reports}
    assert figures > ORDINARY, "words that are no figure any more"
    known = [
        (name, node.value)
        for name, node in code(*OF_STAGES)
        if isinstance(node, ast.Constant) and node.value in figures - ORDINARY and name not in SHARED
    ]
    known += [(name, ast.unparse(node)) for name, node in code(*OF_STAGES) if _asks_for_a_figure(node)]
    assert known == []


def _asks_for_a_figure(node: ast.AST) -> bool:
    """Whether it is ``figures["name"]`` or ``known.get("name")`` or the like."""
    if isinstance(node, ast.Subscript):
        of, asked = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
        of, asked = node.func.value, node.args[0] if node.args else node.func
    else:
        return False
    told = isinstance(asked, ast.Constant) and isinstance(asked.value, str)
    return told and ast.unparse(of).strip("'[]").endswith(("figures", "known"))


def test_a_look_for_figures_finds_them() -> None:
    asking = ("one['figures'].get('scale')", "record.figures['noise']", "work.known.pop('few')")
    others = ("figures[NOISE]", "figures[0]", "found['noise']", "figures.keys()")
    asks = {text: _asks_for_a_figure(ast.parse(text, mode="eval").body) for text in (*asking, *others)}
    assert [text for text, found in asks.items() if found] == [*asking]


def test_figures_that_are_shared_are_noted() -> None:
    reported = {figure for name in _own() for figure in stage_class(name).reports}
    noted = {ROUNDING: "writers", SCALE: "writers", OFFSET: "writers", SPACING: "filters", NOISE: "filters"}
    assert noted.keys() - reported <= {ROUNDING}
    for figure, kind in noted.items():
        texts = [path.read_text(encoding="utf-8") for name, path in modules().items() if f".{kind}." in name]
        assert any(f'"{figure}"' in text or "NOISE_REPORTS" in text for text in texts), figure


def test_no_file_of_a_model_is_known_by_name() -> None:
    """Files with weights are named where their model stands, and each once."""
    weights = [path.name for path in (ROOT / "stages").rglob("*.safetensors")]
    assert weights
    named = [name for name, node in code() if isinstance(node, ast.Constant) and node.value in weights]
    assert named == [f"deburr.nn.{one.removesuffix('.safetensors')}" for one in weights]


def test_no_folder_holds_more_than_a_sixth_of_the_lines() -> None:
    lines: Counter[str] = Counter()
    for name, path in modules().items():
        lines[package(name)] += len(path.read_text(encoding="utf-8").splitlines())
    largest, most = lines.most_common(1)[0]
    assert most <= 0.16 * lines.total(), largest
