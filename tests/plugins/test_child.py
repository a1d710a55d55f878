"""Another program finds deburr, runs it, hears and stops it: deburr itself, and small commands in its place."""

from __future__ import annotations

import ast
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wheels

from deburr.pipeline import run as run_here
from deburr.plugins import child
from deburr.plugins.child import Command, Missing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands in deburr's place are scripts of a shell")
DEBURR = f"{shlex.quote(sys.executable)} -m deburr"
#: Says its number and hands on to Python what deburr is asked to do.
_FAKE = "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'pipeline, version %s'; exit 0; }\n%s\n"
_NEVER = 60.0


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., Path]:
    """A command that answers as deburr does and then does what is given, lines of a shell."""

    def make(name: str, version: str = "0.1.0", does: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_FAKE % (version, does))
        path.chmod(0o755)
        return path

    return make


def _command(path: Path) -> Command:
    return Command((str(path),), (0, 1, 0), "a test")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _until(found: Callable[[], object]) -> None:
    end = time.monotonic() + _NEVER
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_is_the_standard_librarys_alone_and_old_pythons_read_it() -> None:
    tree = ast.parse(Path(child.__file__).read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_who_is_asked_first(fake: Callable[..., Path], tmp_path: Path) -> None:
    """The setting, the variable, the own environment, the path; with each gone the next."""
    on_path = fake("path/deburr")
    environ = {**os.environ, "PATH": f"{on_path.parent}{os.pathsep}{os.environ['PATH']}"}
    folder = tmp_path / "environment"
    own = fake("environment/bin/deburr")
    named = {**environ, child.VARIABLE: str(fake("variable"))}
    setting = fake("set ting")
    found = child.find(str(setting), folder, named)
    assert (found.words, found.version, found.place) == ((str(setting),), (0, 1, 0), "the setting")
    found = child.find("  ", folder, named)
    assert (found.words, found.place) == ((named[child.VARIABLE],), "DEBURR_COMMAND")
    assert child.find("", folder, environ).words == (str(own),)
    own.unlink()
    assert child.find("", folder, environ).words == (str(on_path),)
    on_path.unlink()
    with pytest.raises(Missing, match=r"neither a setting nor DEBURR_COMMAND names it, and there is none on the path"):
        child.find("", folder, {**environ, "PATH": str(on_path.parent)})


def test_ways_to_name_it(fake: Callable[..., Path], tmp_path: Path) -> None:
    path = fake("an environment/bin/deburr")
    for text in (str(path), f'"{path}"', shlex.quote(str(path)), str(path.parent.parent)):
        assert child.find(text).words == (str(path),), text
    assert child.find(f"/bin/sh {shlex.quote(str(path))}").words == ("/bin/sh", str(path))
    assert child.find(DEBURR).words == (sys.executable, "-m", "deburr")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/nowhere/deburr", "cannot be run .No such file"),
        ("echo git version 2.39.5", "is not deburr, or is broken"),
        ("false", "is not deburr, or is broken .it gave no version"),
        ("'unbalanced", "is no command .No closing quotation"),
        ("nul\0byte", "is no command|cannot be run"),
        (".", "cannot be run"),
    ],
)
def test_one_that_is_named_and_bad_is_no_reason_to_look_further(
    fake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {**os.environ, "PATH": f"{fake('path/deburr').parent}{os.pathsep}{os.environ['PATH']}"}
    for setting, variable, place in ((text, "", "the setting"), ("", text, "DEBURR_COMMAND")):
        with pytest.raises(Missing, match=why) as caught:
            child.find(setting, None, {**environ, child.VARIABLE: variable})
        assert str(caught.value).startswith(f"{place}: ")
        assert "give the path of the command 'deburr'" in str(caught.value)


def test_one_that_breaks_says_its_last_line(tmp_path: Path) -> None:
    broken = tmp_path / "deburr"
    broken.write_text("#!/bin/sh\necho Traceback >&2; echo 'ImportError: no torch' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(Missing, match=r"broken \(ImportError: no torch\)"):
        child.find(str(broken))


def test_one_that_does_not_answer(fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "_ANSWER", 0.2)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    with pytest.raises(Missing, match=r"did not answer within 0.2 s"):
        child.find(str(silent))


def test_too_old(fake: Callable[..., Path]) -> None:
    old = fake("env/bin/deburr", "0.0.9")
    with pytest.raises(Missing, match=r"is deburr 0.0.9, and 0.1.0 or later is needed; .* pip install --upgrade"):
        child.find(str(old))
    python = old.with_name("python")
    python.touch()
    with pytest.raises(Missing, match=f"'{python}' -m pip install --upgrade"):
        child.find(str(old))
    for new in ("0.1.0", "0.1", "0.10", "1.0.0rc1", "12.0.3"):
        assert child.find(str(fake("new", new))).version >= child.NEEDED


def test_variables_of_the_host_stay_there(
    fake: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE", "LD_LIBRARY_PATH", "PROJ_LIB", "PROJ_DATA", "GDAL_DATA",
               "QT_PLUGIN_PATH", "QT_QPA_PLATFORM", "DYLD_LIBRARY_PATH", "__PYVENV_LAUNCHER__")  # fmt: skip
    kept = ("HOME", "DEBURR_THREADS", "HTTPS_PROXY", "PYTHONUNBUFFERED", "PROJECT", "CUDA_VISIBLE_DEVICES")
    for name in (*foreign, *kept):
        monkeypatch.setenv(name, str(tmp_path))
    said = child.run(_command(fake("shows", does="env")), ["run"]).outputs
    names = {line.partition("=")[0] for line in said}
    assert names & set(foreign) == set()
    assert names >= set(kept)


def test_what_is_said(fake: Callable[..., Path], tmp_path: Path) -> None:
    lines = [{"progress": 0.5, "phase": "cleaning"}, {"warning": "far"}, {"error": "in.las: ends"}, {"note": "n"}]
    does = "\n".join(f"printf '%s\\n' {shlex.quote(json.dumps(line))} >&2" for line in lines)
    does += '\necho \'library "says" 3\' >&2\necho "[1]" >&2\nfor one in "$@"; do echo "$one"; done\npwd\nexit 1'
    heard: list[dict[str, Any]] = []
    done = child.run(_command(fake("says", does=does)), ["denoise", "a b.las", "c.las"], heard.append, folder=tmp_path)
    words = ["denoise", "--progress", "json", "--parent", str(os.getpid()), "a b.las", "c.las"]
    assert done.outputs == [*words, str(tmp_path)]
    assert (done.code, done.warnings, done.errors, done.stopped) == (1, ["far"], ["in.las: ends"], False)
    # Of the two streams each is in order.
    assert [one for one in heard if "output" not in one] == [*lines, {"note": 'library "says" 3'}, {"note": "[1]"}]
    assert [one["output"] for one in heard if "output" in one] == done.outputs


def test_many_lines_on_both_streams_block_nobody(fake: Callable[..., Path]) -> None:
    does = "i=0; while [ $i -lt 20000 ]; do echo $i; echo $i >&2; i=$((i+1)); done"
    heard: list[dict[str, Any]] = []
    done = child.run(_command(fake("chatters", does=does)), ["run"], heard.append)
    assert (done.code, done.outputs) == (0, [str(i) for i in range(20_000)])
    assert [one["note"] for one in heard if "note" in one] == done.outputs


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A cloud that takes long."""
    draw = np.random.default_rng(5)
    plan = draw.uniform(0, 100, (40_000, 2))
    path = tmp_path / "in" / "in.las"
    path.parent.mkdir()
    run_here([str(path)], points=np.column_stack([plan, draw.normal(0, 0.05, len(plan))]))
    return path


@pytest.mark.slow
def test_deburr_does_what_it_is_asked(tmp_path: Path) -> None:
    command = child.find(DEBURR)
    draw = np.random.default_rng(1)
    source, target = tmp_path / "a.las", tmp_path / "b.las"
    points = np.column_stack([draw.uniform(0, 10, (600, 2)), draw.normal(0, 0.03, 600)])
    run_here([str(source)], points=points)
    heard: list[dict[str, Any]] = []
    done = child.run(command, ["denoise", "--noise", "0.03", str(source), str(target)], heard.append)
    assert (done.code, done.outputs, done.errors) == (0, [str(target)], [])
    shares = [one["progress"] for one in heard if "progress" in one]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    for words, code, error in (
        (["denoise", str(tmp_path / "no.las"), str(target)], 1, "no.las"),
        (["denoise", "--noise", "-1", str(source), str(target)], 2, "noise"),
        (["denoise", "--nothing", str(source), str(target)], 2, "--nothing"),
    ):
        done = child.run(command, words)
        assert (done.code, done.outputs) == (code, [])
        assert error in done.errors[0]
    told = child.talk([*command.words, "info", "--json", str(source)])
    assert json.loads("\n".join(told.outputs))["points"] == 600


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc, which Linux has")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_cancel_leaves_nothing(slow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(child, "GRACE", 600)  # it ends by itself
    spec = json.dumps([{"type": "filters.outlier", "mean_k": 1000}])
    words = ["batch", "--out", str(tmp_path / "out"), "--tile", "20", "--workers", str(workers), spec, str(slow)]
    seen: set[int] = set()
    begun: list[bool] = []

    others = _below(os.getpid())  # such as multiprocessing's tracker, which a test before this one left

    def give_up() -> bool:
        seen.update(_below(os.getpid()) - others)
        return bool(begun)

    def heard(event: dict[str, Any]) -> None:
        if event.get("phase") == "cleaning":
            begun.append(True)

    done = child.run(child.find(DEBURR), words, heard, give_up)
    assert (done.code, done.stopped, done.outputs) == (130, True, [])
    assert done.errors == ["interrupted; no output was left half-written"]
    assert len(seen) >= workers + (workers > 1)
    _until(lambda: not any(map(_alive, seen)))
    assert [path.name for path in tmp_path.rglob("*.la[sz]")] == ["in.las"]


def _below(pid: int) -> set[int]:
    """The processes that descend from ``pid``."""
    of: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            of.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
        except OSError:
            continue
    found = list(of.get(pid, []))
    for one in found:
        found += of.get(one, [])
    return set(found)


_STUBBORN = "trap '' TERM; echo $$; while :; do sleep 0.1; done"
_SCRIPT = "sh -c 'echo $$; exec sleep 600' & wait"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc, which Linux has")
@pytest.mark.parametrize(
    ("does", "grace"),
    [
        pytest.param(_STUBBORN, 0.5, id="one that does not listen is killed"),
        pytest.param(_SCRIPT, _NEVER, id="one behind a script is asked, too"),
    ],
)
def test_who_is_hard_to_stop(
    fake: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, does: str, grace: float
) -> None:
    monkeypatch.setattr(child, "GRACE", grace)
    pids: list[int] = []
    done = child.run(
        _command(fake("hard", does=does)), ["run"], lambda e: pids.append(int(e["output"])), lambda: bool(pids)
    )
    assert done.stopped
    _until(lambda: not _alive(pids[0]))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc, which Linux has")
def test_one_whose_hearer_fails_is_stopped(fake: Callable[..., Path]) -> None:
    pids: list[int] = []

    def heard(event: dict[str, Any]) -> None:
        pids.append(int(event["output"]))
        raise RuntimeError("the window is gone")

    with pytest.raises(RuntimeError, match="the window is gone"):
        child.run(_command(fake("works", does="echo $$; exec sleep 600")), ["run"], heard)
    _until(lambda: not _alive(pids[0]))


def test_what_ends_well_before_it_is_stopped_has_ended_well(fake: Callable[..., Path]) -> None:
    done = child.run(_command(fake("quick", does="trap '' TERM; echo 1; sleep 0.5")), ["run"], cancelled=lambda: True)
    assert (done.code, done.stopped) == (0, False)


@pytest.mark.slow
def test_it_is_installed_and_what_fails_leaves_nothing(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    made = tmp_path / "made"
    what = wheels.told(tmp_path, "0.2.0")
    with pytest.raises(Missing, match=r"deburr was not installed \(.*\); nothing was left there"):
        child.install(made, ["--no-index", str(tmp_path / "no such folder")], heard.append)
    assert not made.exists()
    with pytest.raises(Missing, match=r"deburr was not installed \(it was cancelled\)"):
        child.install(made, [what], cancelled=lambda: True)
    assert not made.exists()
    assert any("-m venv" in one["note"] for one in heard)
    found = child.install(made, ["--no-index", what])
    assert (found.version, found.words) == ((0, 2, 0), (str(made / "bin" / "deburr"),))
    assert child.find("", made, {"PATH": ""}).words == found.words
    with pytest.raises(Missing, match="exists already"):
        child.install(made, [what])
    assert (made / "bin" / "deburr").exists()
