"""The zip that `make qgis-plugin` makes is as QGIS and its repository of plugins want it. Needs no QGIS."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZipFile

import pytest

import deburr
from deburr.pipeline.describe import stage
from deburr.plugins import child, qgis_zip
from deburr.plugins.qgis.kinds import choices, kind, limits

ROOT = Path(__file__).parent.parent.parent
PYQT = "qgis.PyQt."
#: What the repository asks metadata for, and for at least one character each.
KEYS = ("name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("zip") / "plugin.zip"
    qgis_zip.write(path)
    assert path.stat().st_size < 25_000_000
    with ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def _metadata(packed: dict[str, bytes]) -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(packed["deburr_qgis/metadata.txt"].decode("utf-8"))
    assert parser.sections() == ["general"]
    return dict(parser["general"])


def test_one_folder_with_what_must_be_there(packed: dict[str, bytes]) -> None:
    (folder,) = {name.partition("/")[0] for name in packed}
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", folder)
    assert folder.isidentifier()
    for name in ("metadata.txt", "LICENSE", "__init__.py"):
        assert packed[f"{folder}/{name}"].strip()
    assert not [
        name for name in packed if re.search(r"__pycache__|\.pyc|__MACOSX|/\.|\.\.|\\|\.(exe|so|dll|zip)$", name)
    ]
    assert b"def classFactory(" in packed[f"{folder}/qgis/__init__.py"]
    assert packed[f"{folder}/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert packed[f"{folder}/child.py"] == Path(child.__file__).read_bytes()


def test_metadata(packed: dict[str, bytes]) -> None:
    facts = _metadata(packed)
    assert [key for key in KEYS if not facts[key].strip()] == []
    assert facts["version"] == deburr.__version__
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", facts["email"])
    for key in ("tracker", "repository"):
        assert re.fullmatch(r"https?://\S+\.\S+", facts[key])
    assert (facts["qgisMinimumVersion"], facts["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert (facts["supportsQt6"], facts["hasProcessingProvider"]) == ("True", "yes")
    assert f"deburr_qgis/{facts['icon']}" in packed
    assert "plugin" not in facts["name"].lower()
    assert not any("<" in facts[key] for key in ("description", "about"))


def test_it_is_the_same_each_time_and_make_writes_it(packed: dict[str, bytes], tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "again.zip"
    done = subprocess.run([sys.executable, "-m", qgis_zip.__name__, target], capture_output=True, text=True, check=True)
    assert done.stdout == f"{target}\n"
    qgis_zip.write(tmp_path / "here.zip")
    assert target.read_bytes() == (tmp_path / "here.zip").read_bytes()


def test_it_imports_qgis_itself_and_the_standard_library(packed: dict[str, bytes]) -> None:
    """Each file is read as the oldest Python of QGIS 3.22 reads it, and names no module of deburr's or of ours."""
    for name, content in packed.items():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse(content, feature_version=(3, 9))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    inside = ("." * node.level) + (node.module or "")
                    names = [] if node.level and _there(packed, name, inside, node) else [inside]
                else:
                    continue
                tops = {one.partition(".")[0] for one in names}
                assert tops <= {"qgis", "processing", *sys.stdlib_module_names}, (name, names)


def _there(packed: dict[str, bytes], name: str, inside: str, node: ast.ImportFrom) -> bool:
    """Whether a relative import of file ``name`` names what is in the zip."""
    parts = name.split("/")[: -node.level]
    modules = [node.module] if node.module else [alias.name for alias in node.names]
    for module in modules:
        path = "/".join([*parts, *module.split(".")])
        assert f"{path}.py" in packed or f"{path}/__init__.py" in packed, (name, inside, module)
    return True


def test_options_are_told_as_deburr_tells_them(packed: dict[str, bytes]) -> None:
    told = json.loads(packed["deburr_qgis/qgis/options.json"])
    for name in ("filters.spd", "filters.outlier"):
        options = told["stages"][name]["options"]
        assert list(options) == [option.name for option in stage(name).options]
        assert options["threads" if name == "filters.outlier" else "noise"]["description"]
    assert told["stages"]["filters.spd"]["options"]["noise"]["unit"] == "cloud units"
    assert (told["reads"][:2], told["writes"][:2]) == (["laz", "las"], ["laz", "las"])
    assert {"e57", "ply", "pcd"} < set(told["reads"])
    assert "larger files are run in tiles" in told["commands"]["run"]["memory"]


def test_what_options_take_is_understood() -> None:
    kinds = {option.name: kind(option.allowed) for name in ("filters.spd", "filters.outlier")
             for option in stage(name).options}  # fmt: skip
    assert kinds == {
        "model": "choice", "weights": "text", "noise": "number", "steps": "whole", "step_size": "number",
        "step_decay": "number", "neighbors": "whole", "strength": "number", "max_displacement": "number",
        "device": "choice", "sampler": "choice", "samples": "whole", "seed": "whole", "strips": "choice",
        "outliers": "choice", "normals": "choice", "spread": "choice", "classes": "list", "where": "text",
        "keep_original": "boolean", "dimensions": "choices", "method": "choice", "mean_k": "whole",
        "multiplier": "number", "radius": "number", "min_k": "whole", "chance": "number", "class": "whole",
        "action": "choice", "threads": "whole",
    }  # fmt: skip
    allowed = {option.name: option.allowed for option in stage("filters.spd").options}
    assert choices(allowed["device"]) == ["auto", "cpu", "cuda"]
    assert choices(allowed["dimensions"]) == ["Displacement", "Uncertainty", "NoiseLevel", "Energy"]
    assert limits(allowed["strength"]) == (0, 1)
    assert limits(allowed["steps"]) == (1, 1000)
    assert limits(allowed["noise"]) == (0, None)
    assert limits(allowed["step_decay"]) == (0, 1)
    assert limits("a number") == (None, None)


def test_its_qt_names_are_those_of_qt_6(packed: dict[str, bytes]) -> None:
    """Of PyQt it takes, by QGIS's name for it, what PyQt6 has as well; enumerations of Qt's it names none."""
    folder = Path(pytest.importorskip("PyQt6").__file__).parent
    seen = set()
    for name, content in packed.items():
        for node in ast.walk(ast.parse(content)) if name.endswith(".py") else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PYQT):
                # What the modules declare: to load them takes libraries of a system with a screen.
                declared = (folder / f"{str(node.module).removeprefix(PYQT)}.pyi").read_text(encoding="utf-8")
                for alias in node.names:
                    assert re.search(rf"^class {alias.name}\b", declared, re.MULTILINE), (name, alias.name)
                    seen.add(alias.name)
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node).startswith("Qt."))
            assert not (isinstance(node, ast.Import) and any(alias.name.startswith("PyQt") for alias in node.names))
    assert seen == {"QIcon"}
