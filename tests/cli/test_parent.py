"""A command that was begun by another program ends when that is gone, and leaves nothing half-written or running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from deburr.pipeline import run

Cli = Callable[..., Result]
#: Of what must happen in a moment, seconds after which it never will.
_NEVER = 60.0
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc, which Linux has")
#: Begins the command with its own number as the parent, tells that of the command, and waits.
_HOST = """
import os, subprocess, sys, time
words = [word.replace("PID", str(os.getpid())) for word in sys.argv[1:]]
work = subprocess.Popen([sys.executable, "-m", "deburr.cli.main", *words], stderr=open("told.txt", "w"),
                        stdout=subprocess.DEVNULL)
print(work.pid, flush=True)
time.sleep(600)
"""
#: Stands between the two: takes over what the host leaves behind, and tells how that ends.
_SUBREAPER = """
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
host = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
work = int(host.stdout.readline())
print(host.pid, work, flush=True)
host.wait()
while True:
    ended, status = os.wait()
    if ended == work:
        print(os.waitstatus_to_exitcode(status), flush=True)
        break
"""


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A cloud that takes long."""
    draw = np.random.default_rng(5)
    plan = draw.uniform(0, 100, (40_000, 2))
    path = tmp_path / "in" / "in.las"
    path.parent.mkdir()
    run([str(path)], points=np.column_stack([plan, draw.normal(0, 0.05, len(plan))]))
    return path


def _until(found: Callable[[], object]) -> None:
    end = time.monotonic() + _NEVER
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def _below(pid: int) -> list[int]:
    """The processes that descend from ``pid``, and itself."""
    of: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            of.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += of.get(one, [])
    return found


def _alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        found += [pid] if state != "Z" else []
    return found


@pytest.mark.parametrize(
    ("words", "processes"),
    [
        (["run", json.dumps(["in/in.las", {"type": "filters.outlier", "mean_k": 1000}, "out.las"])], 1),
        (["batch", json.dumps([{"type": "filters.outlier", "mean_k": 1000}]), "in", "--out", "out", "--tile", "20"], 1),
        (
            ["batch", json.dumps([{"type": "filters.outlier", "mean_k": 1000}]), "in", "--out", "out", "--tile", "20",
             "--workers", "2"],
            3,
        ),
    ],
)  # fmt: skip
def test_the_end_of_the_parent_is_an_interrupt(slow: Path, tmp_path: Path, words: list[str], processes: int) -> None:
    line = [*words, "--parent", "PID", "--progress", "json"]
    watched = subprocess.Popen(
        [sys.executable, "-c", _SUBREAPER, _HOST, *line], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert watched.stdout is not None
    host, work = map(int, watched.stdout.readline().split())
    told = tmp_path / "told.txt"
    # In the middle of the work, with all processes there are.
    _until(lambda: '"phase": "' in told.read_text().replace("starting", "") or not _alive([work]))
    _until(lambda: len(_below(work)) >= processes or not _alive([work]))
    family = _below(work)
    assert len(family) >= processes, told.read_text()
    os.kill(host, signal.SIGKILL)
    out, _ = watched.communicate(timeout=_NEVER)
    assert out.strip() == "130", (out, told.read_text())
    _until(lambda: not _alive(family))
    assert json.loads(told.read_text().splitlines()[-1]) == {"error": "interrupted; no output was left half-written"}
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not {name for name in left if name.endswith(".las")} - {"in.las"}, left


def test_a_parent_that_lives_changes_nothing(cli: Cli, slow: Path) -> None:
    done = cli("run", '["in/in.las", "out.las"]', "--parent", os.getppid(), "--progress", "none")
    assert done.exit_code == 0, done.output
    assert Path("out.las").exists()


def _gone() -> int:
    """The number of a process that has ended, and that nobody has yet taken note of."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()
    _until(lambda: not _alive([process.pid]))
    _KEPT.append(process)
    return process.pid


_KEPT: list[subprocess.Popen[bytes]] = []


def test_a_parent_that_is_gone_already_ends_it_at_once(cli: Cli, slow: Path) -> None:
    pid = _gone()
    for way, number in (("ended", pid), ("and noted", pid)):
        done = cli("run", '["in/in.las", "out.las"]', "--parent", number)
        assert done.exit_code == 130, way
        assert done.stderr.splitlines()[0] == f"--parent {number}: there is no such process any more; nothing was begun"
        assert not Path("out.las").exists()
        _KEPT[-1].wait()


@pytest.mark.parametrize("pid", ["0", "-1", "x", "1.5", "", "2147483648", "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_number_of_a_process(cli: Cli, pid: str) -> None:
    for words in (("run", "[]"), ("denoise", "a.las", "b.las"), ("batch", "[]", "a.las", "--out", "out")):
        done = cli(*words, f"--parent={pid}")
        assert done.exit_code == 2
        assert "is no number of a process; give a whole one from 1 on, such as 4711" in done.stderr
        assert len(done.stderr) < 1000
