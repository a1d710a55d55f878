"""recipe.yaml, of which conda makes a package, says the same as pyproject.toml, of which pip makes one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
#: What conda-forge calls a package that has another name on PyPI.
NAMES = {"torch": "pytorch", "libigl": "igl", "matplotlib": "matplotlib-base", "lazrs": "lazrs-python",
         "pdal": "python-pdal"}  # fmt: skip


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {**whole["project"], "build": whole["build-system"]["requires"]}


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "recipe.yaml").read_text(encoding="utf-8"))
    return found


def by_name(requirements: list[str]) -> dict[str, str]:
    """``torch>=2.10`` or ``pytorch >=2.10``: the bounds by conda's name; ``laspy[lazrs]`` are two."""
    found = {}
    for one in requirements:
        name, extra, bounds = re.fullmatch(r"([\w-]+)(?:\[(\w+)\])?\s*(.*)", one).groups()  # type: ignore[union-attr]
        found[NAMES.get(name, name)] = bounds
        found |= {NAMES.get(extra, extra): ""} if extra else {}
    return found


def test_rattler_build_takes_it(project: dict[str, Any]) -> None:
    """What conda-forge builds with reads the recipe, and knows every key of it."""
    rattler_build = pytest.importorskip("rattler_build")
    read = rattler_build.Stage0Recipe.from_file(str(ROOT / "recipe.yaml"))
    (variant,) = read.render(rattler_build.VariantConfig.from_yaml("python_min: ['3.11']"))
    made = variant.recipe.to_dict()
    assert (made["package"]["version"], made["build"]["noarch"]) == (project["version"], "python")
    assert f"python {project['requires-python']}" in made["requirements"]["run"]
    text = (ROOT / "recipe.yaml").read_text(encoding="utf-8")
    with pytest.raises(rattler_build.RecipeParseError):
        rattler_build.Stage0Recipe.from_yaml(text.replace("build:", "bild:"))


def test_names_and_versions(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    assert recipe["schema_version"] == 1
    assert recipe["package"] == {"name": project["name"], "version": "${{ version }}"}
    assert recipe["context"]["version"] == project["version"]
    about = recipe["about"]
    assert (about["summary"], about["license"]) == (project["description"], project["license"])
    assert [about["license_file"]] == project["license-files"]


def test_commands(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    told = dict(one.split(" = ") for one in recipe["build"]["python"]["entry_points"])
    assert told == project["scripts"]


def test_what_it_needs(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    needs = by_name(recipe["requirements"]["run"])
    assert needs.pop("python") == ">=${{ python_min }}"
    assert needs == by_name(project["dependencies"])
    assert by_name(recipe["requirements"]["host"]).items() >= by_name(project["build"]).items()


def test_extras_are_bounded_alike(project: dict[str, Any], recipe: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    assert by_name(recipe["requirements"]["run_constraints"]) == by_name(
        extras["batch"] + extras["pdal"] + extras["cloud"]
    )
