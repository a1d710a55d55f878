"""What the doctor says of broken installations, each faked by a command `pdal` that behaves as a broken one does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from deburr.plugins.pdal import doctor
from deburr.plugins.pdal import probe as _probe

if sys.platform == "win32":
    pytest.skip("the fakes are shell scripts", allow_module_level=True)

#: Runs the script of filters.python as far as the doctor's go; FAKE_TOLD is what the Python inside says of itself.
_WORKS = """#!{python}
import json, os, sys
if sys.argv[1] == "--version":
    print("pdal 2.6.3 (git-version: abc)")
elif sys.argv[1] == "--drivers":
    print("filters.python   Manipulate data")
else:
    points, stage, *rest = json.load(open(sys.argv[2]))
    if stage["function"] == "tell":
        open(stage["pdalargs"]["answer"], "w").write(os.environ["FAKE_TOLD"])
    else:
        assert stage["function"] == "denoise" and os.path.isabs(stage["script"])
        if os.environ.get("FAKE_FAILS"):
            sys.exit("PDAL: RunError: " + os.environ["FAKE_FAILS"])
        open(rest[0]["filename"], "w").write("X,Y,Z\\n" + "0,0,0\\n" * points["count"])
"""
NEEDED = ("command", "start", "plugin", "python inside", "deburr inside", "filter")
_STARTS = 'case "$1" in --version) echo "pdal 2.6.3 (git-version: abc)";; '


class Machine:
    """A folder of commands that is first on PATH, and a Python without PDAL's plugins."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.patch = root / "bin", monkeypatch
        self.bin.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        for name in ("PDAL_DRIVER_PATH", "CONDA_PREFIX", "PYTHONHOME", "FAKE_FAILS"):
            monkeypatch.delenv(name, raising=False)
        self.site = root / "site"
        monkeypatch.setattr("sysconfig.get_path", lambda name: str(self.site))
        self.command("python3", "exit 0")

    def command(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def works(self, **modules: dict[str, str]) -> None:
        told = {"numpy": {"version": "2.1.0"}, "torch": {"version": "2.5.1"}, "deburr.core.cloud": {"version": ""}}
        answer = {"python": "3.11.7", "prefix": sys.prefix, "modules": {**told, **modules}}
        self.patch.setenv("FAKE_TOLD", json.dumps(answer))
        self.command("pdal", _WORKS.format(python=sys.executable))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def _trouble(*expected: str) -> doctor.Check:
    """The one trouble that is found; the checks behind it are not made, and what is needed does not work."""
    checks = [check for check in doctor.examine() if check.needed]
    assert [check.name for check in checks] == [
        "command",
        "start",
        "plugin",
        "python inside",
        "deburr inside",
        "filter",
    ]
    assert not doctor.healthy(checks)
    at = next(i for i, check in enumerate(checks) if check.outcome == "trouble")
    outcomes = [check.outcome for check in checks]
    assert outcomes == ["ok"] * at + ["trouble"] + ["not checked"] * (len(checks) - at - 1)
    for words in expected:
        assert words in str(checks[at])
    assert checks[at].remedy
    assert "\n" not in str(checks[at])
    return checks[at]


def test_all_well(machine: Machine) -> None:
    machine.works()
    checks = doctor.examine()
    assert doctor.healthy(checks)
    lines = [str(check) for check in checks]
    assert lines[1] == "ok           start: PDAL 2.6.3"
    assert "Python 3.11.7 in" in lines[3]
    assert "numpy 2.1.0" in lines[3]
    assert lines[4].endswith("it is the Python that runs this command")
    assert lines[5] == "ok           filter: 200 points went through filters.python and came back denoised"


def test_no_command(machine: Machine) -> None:
    assert _trouble("there is no 'pdal' on PATH", "conda install").name == "command"


def test_a_missing_library(machine: Machine) -> None:
    said = "error while loading shared libraries: libpdal_base.so.12: cannot open shared object file: No such file"
    machine.command("pdal", f'echo "pdal: {said}" >&2; exit 127')
    assert _trouble("misses the library libpdal_base.so.12; install PDAL anew").name == "start"
    folder = machine.bin.parent / "lib" / "x86_64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / "libpdal_base.so.12").touch()
    _trouble(f"the folder that it lies in to LD_LIBRARY_PATH: {folder}" if sys.platform == "linux" else str(folder))


def test_a_missing_library_of_a_mac(machine: Machine) -> None:
    machine.command("pdal", "echo 'dyld[7]: Library not loaded: @rpath/libpdalcpp.18.dylib' >&2; kill -ABRT $$")
    _trouble("misses the library libpdalcpp.18.dylib")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kill -SEGV $$", "it crashed (SIGSEGV)"),
        ("exit 139", "it crashed without a word"),
        ("exit 3", "it ended with code 3 and said nothing"),
        ("echo something else", "something else"),
        ("#!/no/such/program\n", "it cannot be run (No such file or directory)"),
        ("printf '\\377\\376 not text' >&2; exit 1", "not text"),
    ],
)
def test_a_command_that_is_something_else(machine: Machine, text: str, words: str) -> None:
    machine.command("pdal", text)
    assert _trouble("does not start", words).name == "start"


def test_a_command_that_hangs_is_stopped(machine: Machine) -> None:
    path = machine.command("pdal", "exec sleep 60")
    done = _probe.run([path], seconds=0.2)
    assert (done.code, done.said) == (None, "it did not end within 0 s and was stopped")
    assert not done.crashed


def test_no_plugin(machine: Machine) -> None:
    machine.command("pdal", _STARTS + "--drivers) echo readers.las;; esac")
    assert _trouble("its plugin is nowhere near", "conda install", "pip install pdal-plugins").name == "plugin"


def test_a_plugin_where_pdal_does_not_look(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.command("pdal", _STARTS + "--drivers) echo readers.las;; esac")
    (machine.site / "pdal").mkdir(parents=True)
    (machine.site / "pdal" / "libpdal_plugin_filter_python.so").touch()
    _trouble(f"export PDAL_DRIVER_PATH={machine.site / 'pdal'}")
    monkeypatch.setenv("PDAL_DRIVER_PATH", "/elsewhere")
    _trouble(f"export PDAL_DRIVER_PATH=/elsewhere:{machine.site / 'pdal'}")


def test_a_plugin_that_does_not_load(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "echo \"Failed to load 'libpdal_plugin_filter_python.so': libpython3.11.so.1.0 is missing\" >&2"
    machine.command("pdal", _STARTS + f'--drivers) [ "$2" = --debug ] && {said};; esac')
    monkeypatch.setenv("PDAL_DRIVER_PATH", str(machine.site))
    machine.site.mkdir()
    (machine.site / "libpdal_plugin_filter_python.so").touch()
    _trouble(f"though its plugin lies in {machine.site}: Failed to load", "libpython3.11.so.1.0 is missing")


_DRIVERS = '--drivers) echo "filters.python x";; '


def test_no_numpy(machine: Machine) -> None:
    machine.command("pdal", _STARTS + _DRIVERS + "*) exit 139;; esac")
    lines = "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'numpy'"
    machine.command("python3", f'echo "{lines}" >&2; exit 1')
    found = _trouble(
        "needs numpy",
        "/python3 (ModuleNotFoundError: No module named 'numpy')",
        f"{machine.bin}/python3 -m pip install numpy",
    )
    assert found.name == "python inside"


def test_another_numpy(machine: Machine) -> None:
    said = "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.4.6"
    machine.command("pdal", _STARTS + _DRIVERS + f'*) echo "{said}" >&2; exit 139;; esac')
    _trouble("built for numpy 1", "'numpy<2'")


def test_a_lost_python(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    said = "ModuleNotFoundError: No module named 'encodings'"
    machine.command("pdal", _STARTS + _DRIVERS + f'*) echo "{said}" >&2; exit 1;; esac')
    _trouble("PYTHONHOME is /nowhere", "unset PYTHONHOME")


def test_a_filter_that_runs_nothing(machine: Machine) -> None:
    machine.command("pdal", _STARTS + _DRIVERS + '*) echo "PDAL: filters.python: no" >&2; exit 1;; esac')
    _trouble("filters.python does not run: PDAL: filters.python: no", str(machine.bin / "python3"))


def test_a_python_without_deburr(machine: Machine) -> None:
    machine.works(**{"deburr.core.cloud": {"error": "ModuleNotFoundError: No module named 'deburr'"}})
    found = _trouble("cannot import deburr (ModuleNotFoundError", f"{sys.prefix}/bin/python3 -m pip install deburr")
    assert found.name == "deburr inside"


def test_a_python_with_a_broken_torch(machine: Machine) -> None:
    machine.works(torch={"error": "OSError: libtorch.so: too short"})
    _trouble("cannot import torch (OSError: libtorch.so", "pip install torch")


def test_a_filter_that_fails(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.works()
    monkeypatch.setenv("FAKE_FAILS", "no luck")
    assert _trouble("does not run inside PDAL: PDAL: RunError: no luck").name == "filter"


def test_bindings_are_tried_in_another_process(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    place = machine.bin.parent / "bindings"
    place.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.syspath_prepend(str(place))
    for text, outcome, words in (
        ("import os; os.kill(os.getpid(), 11)", "trouble", "import pdal fails: it crashed (SIGSEGV)"),
        (
            "raise ImportError('libpdal.so.9: cannot open shared object file')",
            "trouble",
            "misses the library libpdal.so.9",
        ),
        ("__version__ = '3.4.5'\nclass info: version = '2.8.1'", "ok", "version 3.4.5 with PDAL 2.8.1"),
    ):
        (place / "pdal.py").write_text(text)
        check = doctor.examine()[-1]
        assert (check.name, check.outcome, check.needed) == ("bindings", outcome, False)
        assert words in check.found
