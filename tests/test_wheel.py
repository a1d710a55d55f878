"""What is installed: one top-level name."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel that this checkout builds."""
    folder = tmp_path_factory.mktemp("wheel")
    if importlib.util.find_spec("hatchling"):  # offline
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    else:  # pip fetches it
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", str(folder), str(ROOT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_only_top_level_name_is_deburr(names: list[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"deburr"}


def test_beside_it_are_the_manual_pages_and_nothing_else(names: list[str]) -> None:
    beside = {name.partition(".data/")[2] for name in names if ".data/" in name}
    assert beside == {f"data/share/man/man1/{name}.1" for name in ("deburr", "pipeline")}


def test_it_is_one_package_with_every_module(names: list[str]) -> None:
    assert names.count("deburr/__init__.py") == 1
    assert "deburr/py.typed" in names
    assert "deburr/nn/deburr/deburr.safetensors" in names
    for root in ("stages", "pipeline", "plugins"):
        for source in (ROOT / root).rglob("*.py"):
            assert source.relative_to(ROOT / root).as_posix() in names


def test_one_source_root_has_the_init_that_joins_them() -> None:
    assert list(ROOT.glob("*/deburr/__init__.py")) == [ROOT / "stages" / "deburr" / "__init__.py"]
