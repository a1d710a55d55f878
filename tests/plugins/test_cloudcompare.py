"""The plugin of CloudCompare on a stand-in for pycc, which tells in its docstring what it holds to and from where."""

from __future__ import annotations

import ast
import importlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.core.arrays import Dims
from deburr.core.cloud import PointCloud
from deburr.filters.spd import Spd
from deburr.plugins import child, handover
from deburr.readers.ply import Ply as Reader

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands in deburr's place are scripts of a shell")
ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "plugins" / "deburr" / "plugins" / "cloudcompare"
STAND_IN = ROOT / "tests" / "support" / "cloudcompare"
DEBURR = f"{shlex.quote(sys.executable)} -m deburr"
#: Where the cloud is: in UTM, far from where float32 has fine steps.
SHIFT = np.array([-500_000.0, -5_400_000.0, 0.0])
COUNT = 600


@pytest.fixture(autouse=True)
def _asked_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of whoever runs the tests are none of theirs, and temporary files are seen."""
    monkeypatch.setenv("DEBURR_CLOUDCOMPARE", str(tmp_path / "settings" / "cloudcompare.json"))
    monkeypatch.setenv("DEBURR_COMMAND", DEBURR)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def pycc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in, as CloudCompare is when it has just started."""
    monkeypatch.syspath_prepend(str(STAND_IN))
    module = importlib.import_module("pycc")
    monkeypatch.setattr(module.ccLog, "said", [])
    monkeypatch.setattr(module, "clicks", [])
    monkeypatch.setattr(module, "_INSTANCE", module.ccPythonInstance())
    return module


@pytest.fixture
def of_2_13(pycc: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pycc that neither reads nor sets normals."""
    for name in ("normals", "setNormals"):
        monkeypatch.delattr(pycc.ccPointCloud, name)
    return pycc


@pytest.fixture
def action(pycc: Any) -> Callable[[], None]:
    """A click on "Denoise selected clouds"; nothing is left behind it."""
    denoising, _ = pycc.loaded(_entry())

    def click() -> None:
        pycc.triggered(denoising)
        assert list(Path(tempfile.gettempdir()).iterdir()) == []
        assert pycc.GetInstance().frozen == 0

    return click


def _entry() -> EntryPoint:
    group = "cloudcompare.plugins"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, value),) = project["entry-points"][group].items()
    return EntryPoint(name, value, group)


def _scan() -> tuple[Any, dict[str, Any]]:
    """Coordinates in the world, (n, 3), and columns of a noisy floor; the first ten points are of class 7."""
    draw = np.random.default_rng(4)
    plan = draw.uniform(0, 6, (COUNT, 2))
    world = np.column_stack([plan, 0.2 * plan[:, 0] + draw.normal(0, 0.03, COUNT)]) - SHIFT
    number = np.arange(COUNT)
    return world, {
        "Classification": np.where(number < 10, 7, 2 + number % 2),
        "My field": np.where(number % 3 == 0, np.nan, number / 7),
        "GPS Time": number * 0.01,
    }


def _cloud(pycc: Any, normals: bool = False, scale: float = 1.0) -> Any:
    world, fields = _scan()
    cloud = pycc.ccPointCloud(*((world + SHIFT) * scale).T)
    cloud.setName("floor")
    cloud.setGlobalShift(*SHIFT.tolist())
    cloud.setGlobalScale(scale)
    for name, values in fields.items():
        field = cloud.getScalarField(cloud.addScalarField(name))
        field.asArray()[:] = values
        field.computeMinAndMax()
    cloud.getScalarField(2).setGlobalShift(3e8)
    cloud.getScalarField(1).setColorRampSteps(12)
    cloud.setColor(1, 2, 3, 255)
    cloud.colors()[:, 0] = np.arange(COUNT) % 256
    if normals:
        cloud._normals = np.tile(np.array([0, 0.6, 0.8], np.float32), (COUNT, 1))
    return cloud


def _denoised_by_deburr(cloud: Any, **options: Any) -> Any:
    """Where deburr puts the points, in this process and without a file: (n, 3) float64."""
    world = cloud.points().astype(np.float64) / cloud.getGlobalScale() - SHIFT
    dims: Dims = {"Classification": np.array(cloud.getScalarField(0).asArray())}
    return Spd(**options).run(PointCloud(world, dims)).xyz


def _fields(cloud: Any) -> dict[str, Any]:
    return {cloud.getScalarFieldName(i): cloud.getScalarField(i) for i in range(cloud.getNumberOfScalarFields())}


# What CloudCompare must find.


def test_modules_import_what_every_cloudcompare_has_and_old_pythons_read_them() -> None:
    around = [ROOT / "stages" / "deburr" / "__init__.py", PLUGIN.parent / "__init__.py"]
    shared = PLUGIN.parent / "handover.py"
    for path in (*PLUGIN.glob("*.py"), shared, *around):
        tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {
            node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0
        }
        if path not in around:  # these import when they are asked for more
            assert {name.partition(".")[0] for name in imported} <= {*sys.stdlib_module_names, "numpy", "pycc"}, path


def test_cloudcompare_finds_it_and_it_loads_nothing_heavy() -> None:
    entry = _entry()
    script = (
        f"import sys; sys.path.insert(0, {str(STAND_IN)!r}); import pycc; from importlib.metadata import EntryPoint\n"
        f"entry = EntryPoint({entry.name!r}, {entry.value!r}, {entry.group!r})\n"
        "print([one.name for one in pycc.loaded(entry)])\n"
        "print(sorted({'torch', 'scipy', 'laspy', 'pydantic', 'click', 'deburr.core'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['Denoise selected clouds', 'Where the settings are']", "[]"]


def test_what_cannot_be_imported_vanishes(pycc: Any) -> None:
    """The rule because of which modules import so little."""
    assert pycc.loaded(EntryPoint("deburr", "deburr.plugins.nowhere:Deburr", "cloudcompare.plugins")) is None
    assert pycc.loaded(EntryPoint("deburr", "deburr.plugins", "cloudcompare.plugins")) is None
    assert [level for level, _ in pycc.ccLog.said] == ["warning", "warning"]


# What it does.


@pytest.mark.slow
def test_a_cloud_stands_beside_the_old_one(pycc: Any, action: Callable[[], None]) -> None:
    cloud, group = _cloud(pycc, normals=True), pycc.ccHObject("floor.las")
    group.addChild(cloud)
    cloud.showColors(True)
    cloud.setCurrentDisplayedScalarField(1)
    before = cloud.points().copy()
    pycc.GetInstance().selection = [cloud]
    action()
    (new,) = pycc.GetInstance().tree
    assert (new.getName(), new.getParent()) == ("floor.denoised", group)
    assert (new.isEnabled(), cloud.isEnabled()) == (True, False)
    assert (cloud.points() == before).all()

    xyz = _denoised_by_deburr(cloud)
    world = before.astype(np.float64) - SHIFT
    moved = (xyz != world).any(axis=1)
    assert moved[:10].sum() == 0  # of class 7
    assert moved[10:].mean() > 0.9
    assert (new.points()[~moved] == before[~moved]).all()
    assert np.abs(new.points() - (xyz + SHIFT)).max() < 1e-6  # two steps of float32
    assert [new.getGlobalShift()[i] for i in range(3)] == SHIFT.tolist()
    assert new.getGlobalScale() == 1

    fields = _fields(new)
    assert list(fields)[:3] == ["Classification", "My field", "GPS Time"]
    assert sorted(list(fields)[3:]) == ["Displacement", "Uncertainty"]
    for name, field in _fields(cloud).items():
        assert np.array_equal(fields[name].asArray(), field.asArray(), equal_nan=True)
        assert (fields[name].getMin(), fields[name].getMax()) == (field.getMin(), field.getMax())
    assert fields["GPS Time"].getGlobalShift() == 3e8
    assert fields["My field"].getColorRampSteps() == 12
    far = np.linalg.norm(xyz - world, axis=1)
    assert np.allclose(fields["Displacement"].asArray(), far, atol=1e-7)
    assert fields["Displacement"].getMax() == fields["Displacement"].asArray().max() > 0.01
    assert np.isnan(fields["Uncertainty"].asArray()).sum() == 10
    assert (new.colors() == cloud.colors()).all()
    assert (new.normals() == cloud.normals()).all()
    assert (new.colorsShown(), new.sfShown(), new.getCurrentDisplayedScalarFieldIndex()) == (True, False, 1)

    window = pycc.ccProgressDialog.last
    assert window.has_button
    assert not window.visible
    assert window.titles == ["deburr: floor"]
    assert window.shares == sorted(window.shares)
    assert window.shares[-1] == 100
    (said,) = [text for level, text in pycc.ccLog.said if level != "standard"]
    assert "points were moved and keep the normals that they had" in said


@pytest.mark.slow
def test_several_clouds_and_groups_each_once_with_options(
    pycc: Any, action: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scale, too: lengths in the settings are those of the world. What was found before is found anew."""
    group, first, second = pycc.ccHObject("group"), _cloud(pycc), _cloud(pycc, scale=0.5)
    group.addChild(first)
    first.addScalarField("Displacement")
    pycc.GetInstance().selection = [group, first, second, pycc.ccMesh("mesh")]
    settings = tmp_path / "settings" / "cloudcompare.json"
    settings.parent.mkdir()
    options = {"noise": 0.03, "classes": [3], "max_displacement": 0.02, "dimensions": ["Displacement"], "where": None}
    settings.write_text(json.dumps({"command": DEBURR, "options": options}))
    monkeypatch.delenv("DEBURR_COMMAND")
    action()
    one, other = pycc.GetInstance().tree
    assert (one.getParent(), other.getParent()) == (group, None)
    for new, cloud in ((one, first), (other, second)):
        scale = cloud.getGlobalScale()
        xyz = _denoised_by_deburr(cloud, noise=0.03, classes=[3], max_displacement=0.02)
        assert np.abs(new.points() - (xyz + SHIFT) * scale).max() < 1e-6
        assert list(_fields(new)) == ["Classification", "My field", "GPS Time", "Displacement"]
        told = _fields(new)["Displacement"].asArray()
        assert 0 < told.max() <= 0.02 + 1e-6
        assert (told[_fields(new)["Classification"].asArray() != 3] == 0).all()
    assert pycc.ccProgressDialog.last.shares[-1] == 100


@pytest.mark.slow
def test_an_old_pycc_loses_normals_and_says_so(of_2_13: Any, action: Callable[[], None]) -> None:
    of_2_13.GetInstance().selection = [_cloud(of_2_13, normals=True)]
    action()
    (new,) = of_2_13.GetInstance().tree
    assert not new.hasNormals()
    assert [text for level, text in of_2_13.ccLog.said if level == "warning"] == [
        "deburr: floor: the new cloud has no normals: this version of CloudCompare's Python plugin cannot read them; "
        "compute them anew"
    ]


@pytest.mark.slow
def test_normals_come_anew_where_that_is_asked_for(pycc: Any, action: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "cloudcompare.json").write_text('{"options": {"normals": "recompute"}}')
    cloud = _cloud(pycc, normals=True)
    pycc.GetInstance().selection = [cloud]
    action()
    (new,) = pycc.GetInstance().tree
    floor = np.array([-0.2, 0, 1]) / np.hypot(0.2, 1)
    assert np.median(new.normals() @ floor) > 0.99
    assert (cloud.normals() @ floor < 0.8).all()


# What is wrong is one sentence.


@pytest.fixture
def refused(pycc: Any, action: Callable[[], None]) -> Callable[[], str]:
    """What a click is answered."""

    def click() -> str:
        action()
        assert pycc.GetInstance().tree == []
        (said,) = [text for level, text in pycc.ccLog.said if level == "error"]
        assert said.startswith("deburr: ")
        assert "\n" not in said
        return str(said)

    return click


def test_nothing_is_selected(pycc: Any, refused: Callable[[], str]) -> None:
    pycc.GetInstance().selection = [pycc.ccMesh("mesh"), pycc.ccHObject("empty group")]
    assert refused() == (
        "deburr: no point cloud is selected; select one or several in the tree of CloudCompare"
    )  # fmt: skip


def test_a_cloud_without_points(pycc: Any, refused: Callable[[], str]) -> None:
    pycc.GetInstance().selection = [_cloud(pycc), pycc.ccPointCloud("nothing")]
    assert refused() == "deburr: nothing: has no points; select clouds that have some"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nowhere/deburr", "DEBURR_COMMAND: /nowhere/deburr: cannot be run"),
        ("sh -c \"echo 'deburr, version 0.0.9'\"", "is deburr 0.0.9, and 0.1.0 or later is needed"),
        ("", "deburr was not found"),
    ],
)
def test_deburr_is_not_there_or_too_old(
    pycc: Any, refused: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, said: str
) -> None:
    monkeypatch.setenv("DEBURR_COMMAND", command)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    pycc.GetInstance().selection = [_cloud(pycc)]
    text = refused()
    assert said in text
    assert "the action 'Where the settings are'" in text


def test_deburr_in_cloudcompares_own_python_is_found(
    pycc: Any, refused: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = child.program(tmp_path / "python", "deburr")
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\n[ \"$1\" = --version ] && { echo 'deburr, version 9.0'; exit; }\necho $1 >&2; exit 3\n")
    own.chmod(0o755)
    monkeypatch.delenv("DEBURR_COMMAND")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))
    pycc.GetInstance().selection = [_cloud(pycc)]
    assert refused() == "deburr: deburr ended with 3"
    assert ("standard", "deburr: run") in pycc.ccLog.said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read (Expecting property name"),
        ("[]", "an object with 'command' and 'options'"),
        ('{"noise": 0.03}', "an object with 'command' and 'options'"),
        ('{"options": ["noise"]}', "'options' an object with options of filters.spd"),
        ('{"command": 3}', "'command' is a text"),
        ('{"options": {"keep_original": true}}', "remove 'keep_original'"),
        ('{"options": {"outliers": "classify"}}', "'outliers' is not for CloudCompare"),
        ('{"options": {"noise": -1}}', "noise"),
        ('{"options": {"nose": 1}}', "nose"),
    ],
)
def test_settings_that_are_wrong(pycc: Any, refused: Callable[[], str], tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "cloudcompare.json").write_text(text)
    pycc.GetInstance().selection = [_cloud(pycc)]
    assert said in refused()


def test_an_error_calls_the_cloud_by_its_name(
    pycc: Any, refused: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "fails"
    found = '$(echo "$@" | sed \'s/.*"filename": "\\([^"]*in.ply\\)".*/\\1/\')'
    fake.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'deburr, version 9.0'; exit; }\n"
        f'printf \'{{"error": "stage 1: %s: ends early"}}\\n\' "{found}" >&2\nexit 1\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("DEBURR_COMMAND", str(fake))
    pycc.GetInstance().selection = [_cloud(pycc)]
    assert refused() == "deburr: stage 1: floor: ends early"


@pytest.mark.slow
def test_a_warning_calls_the_cloud_by_its_name(pycc: Any, action: Callable[[], None]) -> None:
    cloud = _cloud(pycc)
    cloud._points[3, 0] = np.nan
    pycc.GetInstance().selection = [cloud]
    action()
    (said,) = [text for level, text in pycc.ccLog.said if level == "warning"]
    assert "floor: 1 of 600 points have no coordinates" in said
    (new,) = pycc.GetInstance().tree
    assert np.array_equal(new.points()[3], cloud.points()[3], equal_nan=True)
    assert new.size() == COUNT


def test_no_room_for_the_file(pycc: Any, refused: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:

    def full(path: Path, columns: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handover, "write", full)
    pycc.GetInstance().selection = [_cloud(pycc)]
    assert "cannot be written (No space left on device); free room there, or set TMPDIR" in refused()


@pytest.mark.slow
def test_cancel(pycc: Any, action: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first cloud is done, the second given up."""
    monkeypatch.setattr(child, "GRACE", 600)  # deburr ends by itself

    def give_up() -> None:
        window = pycc.ccProgressDialog.last
        if window.shares and window.shares[-1] > 50:
            window.cancelled = True

    pycc.clicks.append(give_up)
    pycc.GetInstance().selection = [_cloud(pycc), _cloud(pycc)]
    action()
    assert len(pycc.GetInstance().tree) == 1
    assert pycc.ccLog.said[-1] == ("warning", "deburr: given up; 1 of 2 clouds are done")
    assert not pycc.ccProgressDialog.last.visible


# The settings' file, and the one that goes to deburr.


def test_the_settings_are_told_and_made(pycc: Any, tmp_path: Path) -> None:
    settings = importlib.import_module("deburr.plugins.cloudcompare.settings")
    _, telling = pycc.loaded(_entry())
    file = tmp_path / "settings" / "cloudcompare.json"
    assert settings.read(file) == settings.Settings()
    pycc.triggered(telling)
    assert settings.read(file) == settings.Settings()
    assert settings.Settings().options == {"dimensions": ["Displacement", "Uncertainty"]}
    assert set(json.loads(file.read_text())["options"]) <= set(Spd.model_fields)
    file.write_text('{"command": "mine"}')
    pycc.triggered(telling)
    assert file.read_text() == '{"command": "mine"}'
    assert [level for level, text in pycc.ccLog.said if str(file) in text] == ["standard", "standard"]


def test_where_the_settings_are(pycc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = importlib.import_module("deburr.plugins.cloudcompare.settings")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    for platform, environ, where in (
        ("linux", {}, "/home/ann/.config"),
        ("linux", {"XDG_CONFIG_HOME": "/etc/ann"}, "/etc/ann"),
        ("darwin", {}, "/home/ann/Library/Application Support"),
        ("win32", {"APPDATA": "/c/ann"}, "/c/ann"),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert settings.path(environ) == Path(where, "deburr", "cloudcompare.json")
    assert settings.path({"DEBURR_CLOUDCOMPARE": " /here.json "}) == Path("/here.json")


def test_the_file_has_all_of_the_cloud(pycc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clouds = importlib.import_module("deburr.plugins.cloudcompare.clouds")
    monkeypatch.setattr(handover, "_ROWS", 100)  # several pieces
    cloud = _cloud(pycc, normals=True)
    columns = clouds.take(cloud).columns()
    handover.write(tmp_path / "a.ply", columns)
    again = handover.read(tmp_path / "a.ply")
    assert list(again) == list(columns)
    assert all(np.array_equal(again[name], columns[name], equal_nan=True) for name in columns)
    read = Reader(filename=str(tmp_path / "a.ply")).read()
    assert (read.xyz == cloud.points().astype(np.float64) - SHIFT).all()
    assert (read.dims["Red"] == cloud.colors()[:, 0]).all()
    assert (read.dims["NormalY"] == np.float32(0.6)).all()
    assert (read.dims["Classification"] == cloud.getScalarField(0).asArray()).all()
    # Times keep what float32 has no room for.
    assert np.abs(read.dims["GpsTime"] - (3e8 + np.arange(COUNT) * 0.01)).max() < 1e-6
    assert np.array_equal(read.dims["scalar_My_field"], cloud.getScalarField(1).asArray(), equal_nan=True)


@given(st.lists(st.text(), unique=True, max_size=6))
def test_every_name_of_a_field_is_one_property(names: list[str]) -> None:
    sys.path.insert(0, str(STAND_IN))
    clouds = importlib.import_module("deburr.plugins.cloudcompare.clouds")
    one, offsets = np.zeros((1, 3), np.float32), dict.fromkeys(names, 0.0)
    taken = clouds.Taken(one, np.zeros(3), 1.0, dict.fromkeys(names, one[:, 0]), offsets, None, None)
    found = list(taken.columns())
    assert len(found) == 3 + len(names)
    assert not any(len(name.split()) != 1 for name in found)


def test_what_is_no_answer_of_deburrs(tmp_path: Path, pycc: Any) -> None:
    (tmp_path / "a.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 1\nproperty double x\nend_header\n1\n")
    with pytest.raises(ValueError, match="not written as deburr writes"):
        handover.read(tmp_path / "a.ply")
