"""Finds out what keeps deburr from running inside PDAL, and says the remedy. Never fails itself."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from deburr.core.errors import SpecError
from deburr.plugins.pdal import preset
from deburr.plugins.pdal.probe import POINTS, Done, ask_inside, pipeline, run

_CONDA = "conda install -c conda-forge pdal python-pdal"
_WHEEL = "pdal-plugins"
_PLUGIN = "libpdal_plugin_filter_python.*"
_WINDOWS = sys.platform == "win32"
_LIBRARIES = {"win32": "PATH", "darwin": "DYLD_LIBRARY_PATH"}.get(sys.platform, "LD_LIBRARY_PATH")
_MISSING = re.compile(
    r"(?:shared libraries|Library not loaded): (?:@rpath/)?([^\s:,]+)|(lib[\w.+-]+\.so[.\d]*): cannot open"
)


@dataclass(frozen=True)
class Check:
    """One thing looked at: its name, the outcome, what was found and what to do. ``needed``: for the filter to run."""

    name: str
    outcome: Literal["ok", "trouble", "not checked"]
    found: str
    remedy: str = ""
    needed: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        line = f"{self.outcome:<12} {self.name}: {self.found}"
        return f"{line}; {self.remedy}" if self.remedy else line


def healthy(checks: list[Check]) -> bool:
    """Whether all that the filter needs was found to work."""
    return all(check.outcome == "ok" for check in checks if check.needed)


def examine() -> list[Check]:
    """Look at everything, one `Check` each, in the order in which things depend on each other."""
    found = list(_command())
    for name in _NEEDED[len(found) :]:
        found.append(Check(name, "not checked", "needs what is in trouble above"))
    return [*found, _bindings()]


_NEEDED = ("command", "start", "plugin", "python inside", "deburr inside", "filter")


def _command() -> Iterator[Check]:
    """The command and all that depends on it; ends at the first trouble that hides what comes after it."""
    pdal = shutil.which("pdal")
    if pdal is None:
        yield Check("command", "trouble", "there is no 'pdal' on PATH", f"{_CONDA}, or add its folder to PATH")
        return
    yield Check("command", "ok", pdal)
    started = _start(pdal)
    yield started
    if started.outcome == "ok":
        plugin = _plugin(pdal)
        yield plugin
        if plugin.outcome == "ok":
            yield from _inside(pdal)


def _start(pdal: str) -> Check:
    done = run([pdal, "--version"])
    version = re.search(r"pdal (\d+\.\d+\.\d+\S*)", done.out)
    if done.code == 0 and version:
        return Check("start", "ok", f"PDAL {version[1]}")
    missing = _MISSING.search(done.err)
    if not missing:
        return Check("start", "trouble", f"{pdal} does not start: {done.said}", f"install PDAL anew: {_CONDA}")
    library = missing[1] or missing[2]
    found = _library(pdal, Path(library).name)
    remedy = f"add the folder that it lies in to {_LIBRARIES}: {found}" if found else f"install PDAL anew: {_CONDA}"
    return Check("start", "trouble", f"{pdal} does not start, for it misses the library {library}", remedy)


def _library(pdal: str, name: str) -> Path | None:
    """The folder of a shared library, near the command or this Python."""
    roots = [Path(pdal).resolve().parent.parent, Path(sys.prefix), *_conda()]
    for root in roots:
        for folder in (root / "lib", root / "lib64", *sorted((root / "lib").glob("*-linux-gnu"))):
            if (folder / name).exists():
                return folder
    return None


def _conda() -> list[Path]:
    return [Path(os.environ["CONDA_PREFIX"])] if os.environ.get("CONDA_PREFIX") else []


def _plugin(pdal: str) -> Check:
    listed = run([pdal, "--drivers"])
    if "filters.python" in listed.out:
        return Check("plugin", "ok", "PDAL knows filters.python")
    folders = list(dict.fromkeys(path.parent for root in _plugin_roots(pdal) for path in sorted(root.glob(_PLUGIN))))
    path = [Path(one) for one in os.environ.get("PDAL_DRIVER_PATH", "").split(os.pathsep) if one]
    name = "PDAL does not know filters.python"
    if not folders:
        remedy = f"{_CONDA}, or for another PDAL: {_python()} -m pip install {_WHEEL}"
        return Check("plugin", "trouble", f"{name}, and its plugin is nowhere near", remedy)
    if folders[0] not in path:
        value = os.pathsep.join(map(str, [*path, folders[0]]))
        remedy = f"set PDAL_DRIVER_PATH={value}" if _WINDOWS else f"export PDAL_DRIVER_PATH={value}"
        return Check("plugin", "trouble", f"{name}; its plugin lies where PDAL does not look", remedy)
    debug = run([pdal, "--drivers", "--debug"])
    words = [line.strip() for line in (debug.err + debug.out).splitlines() if "filter_python" in line]
    reason = words[-1] if words else "PDAL does not say why"
    remedy = (
        f"build it for this PDAL: {_python()} -m pip install --force-reinstall --no-binary :all: --no-deps pdal-plugins"
    )
    return Check("plugin", "trouble", f"{name}, though its plugin lies in {folders[0]}: {reason}", remedy)


def _plugin_roots(pdal: str) -> Iterator[Path]:
    """Folders where a plugin may lie: those PDAL looks in, then wheels and conda environments."""
    yield from (Path(one) for one in os.environ.get("PDAL_DRIVER_PATH", "").split(os.pathsep) if one)
    for name in ("platlib", "purelib"):
        yield Path(sysconfig.get_path(name)) / "pdal"
    for root in (Path(_python()).parent.parent, Path(pdal).parent.parent, *_conda()):
        yield from (root / "lib", root / "bin", root / "Library" / "bin")
        yield from sorted(root.glob("lib*/python3*/site-packages/pdal"))


def _python() -> str:
    """The Python that one starts by name, whose environment PDAL takes for its own."""
    return shutil.which("python3") or shutil.which("python") or sys.executable


def _inside(pdal: str) -> Iterator[Check]:
    """Which Python runs inside PDAL, whether it has deburr, and whether our filter runs there."""
    with tempfile.TemporaryDirectory(prefix="deburr-doctor-") as name:
        folder = Path(name)
        done, told = ask_inside(pdal, folder)
        if not told:
            yield _no_answer(done, folder)
            return
        modules = told.get("modules", {})
        numpy = modules.get("numpy", {})
        yield Check("python inside", "ok", f"Python {told['python']} in {told['prefix']}, numpy {numpy.get('version')}")
        own = _deburr(told, modules)
        yield own
        if own.outcome == "ok":
            yield _filter(pdal, folder)


def _no_answer(done: Done, folder: Path) -> Check:
    """Why the Python inside PDAL did not run a script of three lines."""
    name, python = "python inside", _python()
    if "compiled using NumPy 1" in done.err:
        remedy = (
            f"{python} -m pip install 'numpy<2', or build the plugin for numpy 2: pip install --upgrade pdal-plugins"
        )
        return Check(name, "trouble", f"filters.python was built for numpy 1, and {python} has numpy 2", remedy)
    if "encodings" in done.err and os.environ.get("PYTHONHOME"):
        found = f"Python does not find itself, as PYTHONHOME is {os.environ['PYTHONHOME']}"
        return Check(name, "trouble", found, "unset PYTHONHOME")
    numpy = run([python, "-c", "import numpy"], folder=folder)
    if numpy.code != 0 and (done.crashed or "numpy" in done.err.lower()):
        found = f"filters.python needs numpy, which cannot be imported in {python} ({numpy.said})"
        remedy = f"{python} -m pip install numpy, or put the Python that has it first on PATH"
        return Check(name, "trouble", found, remedy)
    remedy = f"check that filters.python was built for the Python that PATH names first, {python}"
    return Check(name, "trouble", f"filters.python does not run: {done.said}", remedy)


def _deburr(told: dict[str, Any], modules: dict[str, Any]) -> Check:
    """Whether the Python inside PDAL can import what our filter needs."""
    name, prefix = "deburr inside", str(told["prefix"])
    same = os.path.realpath(prefix) == os.path.realpath(sys.prefix)
    for module in ("deburr.core.cloud", "torch"):
        error = modules.get(module, {}).get("error")
        if error is not None:
            what = module.partition(".")[0]
            python = Path(prefix) / ("python.exe" if _WINDOWS else "bin/python3")
            remedy = f"{python} -m pip install {what}"
            if not same and what == "deburr":
                remedy += f", or put {Path(sys.executable).parent}, which has it, first on PATH"
            return Check(name, "trouble", f"the Python inside PDAL cannot import {what} ({error})", remedy)
    where = "the Python that runs this command" if same else f"another Python than this command's ({sys.prefix})"
    return Check(name, "ok", f"deburr and torch {modules['torch'].get('version')} are there; it is {where}")


def _filter(pdal: str, folder: Path) -> Check:
    """Our filter on a few points through PDAL, from reader to writer."""
    try:
        stage = {"type": "filters.python", **preset.options("denoise", {})}
    except SpecError as error:
        return Check("filter", "trouble", str(error), "install deburr anew: pip install --force-reinstall deburr")
    output = folder / "points.txt"
    done = pipeline(pdal, [POINTS, stage, {"type": "writers.text", "filename": str(output)}], folder, 240)
    try:
        points = len(output.read_text(encoding="utf-8").splitlines()) - 1
    except (OSError, ValueError):
        points = -1
    if done.code == 0 and points == POINTS["count"]:
        return Check("filter", "ok", f"{points} points went through filters.python and came back denoised")
    remedy = "install the same deburr in the Python inside PDAL; if it is the same, this is an error of ours to report"
    return Check("filter", "trouble", f"the filter does not run inside PDAL: {done.said}", remedy)


_IMPORT = "import pdal; print('pdal', pdal.__version__, getattr(getattr(pdal, 'info', None), 'version', 'unknown'))"


def _bindings() -> Check:
    """PDAL's module for Python: in a process of its own, for it may crash."""
    name, why = "bindings", "needed only to run PDAL's stages in 'pipeline run' and between two pdal.Pipelines"
    if importlib.util.find_spec("pdal") is None:
        return Check(name, "not checked", f"the module pdal is not installed; {why}", needed=False)
    done = run([sys.executable, "-P", "-c", _IMPORT])
    told = re.search(r"^pdal (\S+) (\S+)$", done.out, re.MULTILINE)
    if done.code == 0 and told:
        return Check(name, "ok", f"import pdal works, version {told[1]} with PDAL {told[2]}", needed=False)
    remedy = f"{_CONDA}; {why}"
    missing = _MISSING.search(done.err)
    if missing:
        found = f"import pdal misses the library {missing[1] or missing[2]}"
        pdal = shutil.which("pdal")
        folder = None if pdal is None else _library(pdal, Path(missing[1] or missing[2]).name)
        remedy = f"add {folder} to {_LIBRARIES}" if folder else remedy
        return Check(name, "trouble", found, remedy, needed=False)
    return Check(name, "trouble", f"import pdal fails: {done.said}", remedy, needed=False)
