"""Commands do the same where there is no POSIX: tried by taking it away, in workers too (`tests/support/bare`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deburr.pipeline import run

BARE = Path(__file__).parent.parent / "support" / "bare"
#: What runs the command; little memory makes tiles of small clouds.
_COMMAND = """
import os
from deburr.core import locks
from deburr.tiles import memory
assert (locks._fcntl is None) == ("DEBURR_BARE" in os.environ)
assert (locks._msvcrt is not None) == (os.environ.get("DEBURR_BARE") == "windows")
memory.BASE, memory.PER_POINT, memory._FEWEST = 0, 1, 300
from deburr.cli.main import main
main()
"""
OUTLIER = '["filters.outlier"]'
_TILED = ["--tile", "5"]
RUNS: dict[str, list[str]] = {
    "run": ["run", '["in/a.las", "filters.outlier", "OUT/a.las"]', "--mkdir"],
    "denoise": ["denoise", "in/a.las", "in/b.las", "OUT", "--mkdir", "--noise", "0.05"],
    "batch": ["batch", OUTLIER, "in", "--out", "OUT", *_TILED],
    "two workers": ["batch", OUTLIER, "in", "--out", "OUT", *_TILED, "--workers", "2"],
    "memory": ["run", '["in/a.las", "filters.outlier", "OUT/a.las"]', "--mkdir", "--memory", "300"],
}
pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc, which Linux has")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two clouds side by side in ``in``."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "in").mkdir()
    draw = np.random.default_rng(1)
    for number, name in enumerate("ab"):
        plan = draw.uniform(0, 10, (500, 2)) + np.array([10.0 * number, 0.0])
        run([str(folder / "in" / f"{name}.las")], points=np.column_stack([plan, draw.normal(0, 0.05, 500)]))
    return folder


def _call(folder: Path, words: list[str], out: str, kind: str | None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "DEBURR_BARE"}
    if kind is not None:
        paths = [str(BARE), *filter(None, [env.get("PYTHONPATH")])]
        env |= {"DEBURR_BARE": kind, "PYTHONPATH": os.pathsep.join(paths)}
    line = [word.replace("OUT", out) for word in words]
    return subprocess.run(
        [sys.executable, "-c", _COMMAND, *line], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


def _written(folder: Path) -> dict[str, bytes]:
    """The clouds in a folder, without the day in their heads."""
    found = {}
    for path in folder.glob("*.las"):
        content = path.read_bytes()
        found[path.name] = content[:90] + content[94:]
    return found


def _right(clouds: Path, name: str) -> dict[str, bytes]:
    out = f"right {name}"
    if not (clouds / out).exists():
        done = _call(clouds, RUNS[name], out, None)
        assert done.returncode == 0, done.stderr
    return _written(clouds / out)


#: Each starts processes, and these the libraries; the others are for the long run.
_QUICK = {("run", "none"), ("memory", "windows"), ("two workers", "windows")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=[] if (name, kind) in _QUICK else pytest.mark.slow)
        for name in RUNS
        for kind in ("none", "windows")
    ],
)
def test_the_same_is_written(clouds: Path, name: str, kind: str) -> None:
    out = f"{kind} {name}"
    done = _call(clouds, RUNS[name], out, kind)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert ("cannot be locked" in done.stderr) == (kind == "none" and RUNS[name][0] == "batch")
    found = _written(clouds / out)
    assert found
    assert found == _right(clouds, name)
    left = [path.name for path in (clouds / out).rglob("*") if path.name.startswith(".")]
    assert not left


@pytest.mark.parametrize("kind", [pytest.param("none", marks=pytest.mark.slow), "windows"])
def test_a_batch_is_resumed(clouds: Path, kind: str) -> None:
    out = f"again {kind}"
    first = _call(clouds, RUNS["batch"], out, kind)
    assert first.returncode == 0, first.stderr
    (clouds / out / "b.las").unlink()
    again = _call(clouds, RUNS["batch"], out, kind)
    assert again.returncode == 0, again.stderr
    assert "done in an earlier run" in again.stderr
    assert _written(clouds / out) == _right(clouds, "batch")
    # Lines end as everywhere.
    ledger = (clouds / out / "ledger.jsonl").read_bytes()
    assert b"\r" not in ledger
    assert all(isinstance(json.loads(line), dict) for line in ledger.splitlines())


def test_locks_of_bytes_keep_another_run_out(clouds: Path, tmp_path: Path) -> None:
    script = """
import subprocess, sys
from deburr.batch.ledger import Ledger
from deburr.core.errors import RunError
try:
    with Ledger(sys.argv[1]) as ledger:
        if len(sys.argv) > 2:
            words = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
            print(subprocess.run(words, capture_output=True, text=True).stdout)
        print("written")
except RunError as error:
    print(error)
"""
    env = {**os.environ, "DEBURR_BARE": "windows", "PYTHONPATH": os.pathsep.join([str(BARE), *sys.path])}
    words = [sys.executable, "-c", script, str(tmp_path / "ledger"), script]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n") == [
        f"{tmp_path}: another run is writing to this folder; wait for it, or end it", "", "written", "",
    ], done.stderr  # fmt: skip
    assert os.listdir(tmp_path) == ["ledger"]
