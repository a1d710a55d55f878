"""Runs other programs that may be broken, and asks the Python inside PDAL what it is."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What filters.python runs: it writes down what Python it is. Any Python 3 must be able to read it.
SCRIPT = """\
import json
import os
import platform
import sys


def tell(ins, outs):
    told = {
        "python": platform.python_version(),
        "prefix": sys.prefix,
        "executable": sys.executable,
        "modules": {},
    }
    for name in ("numpy", "torch", "deburr.core.cloud"):
        try:
            module = __import__(name, fromlist=["x"])
            told["modules"][name] = {"version": str(getattr(module, "__version__", ""))}
        except BaseException as error:
            told["modules"][name] = {"error": "%s: %s" % (type(error).__name__, error)}
    with open(pdalargs["answer"], "w") as file:
        json.dump(told, file)
    return True
"""
#: A few points in a box, in words that PDAL has always understood.
POINTS = {"type": "readers.faux", "mode": "random", "count": 200, "bounds": "([0,10],[0,10],[0,1])"}

_SIGNALS = {128 + int(signal.SIGSEGV): "SIGSEGV", 128 + int(signal.SIGABRT): "SIGABRT"}


@dataclass(frozen=True)
class Done:
    """How a program ended: its exit ``code``, None where it did not start or was stopped, and what it said."""

    code: int | None
    out: str
    err: str

    @property
    def crashed(self) -> bool:
        """Whether it was ended by a signal, or as Windows does for an access violation."""
        return self.code is not None and (self.code < 0 or self.code in _SIGNALS or self.code > 0xC0000000)

    @property
    def said(self) -> str:
        """The last words, on one line; how it ended where it said nothing."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        # Of Python's tracebacks the last line tells.
        words = " ".join(lines[-1:] if "Traceback (most recent call last):" in lines else lines[-3:])[-400:]
        if self.crashed:
            ended = "it crashed" if self.code is None or self.code >= 0 else f"it crashed ({_signal(-self.code)})"
            return f"{ended}, saying: {words}" if words else f"{ended} without a word"
        return words or f"it ended with code {self.code} and said nothing"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def run(command: Sequence[str | Path], seconds: float = 60, folder: Path | None = None) -> Done:
    """Run ``command``, whatever it is; never raises. What runs longer than ``seconds`` is stopped."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, capture_output=True, cwd=folder, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Done(None, "", f"it did not end within {seconds:.0f} s and was stopped")
    except (OSError, ValueError) as error:
        return Done(None, "", f"it cannot be run ({getattr(error, 'strerror', None) or error})")
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def pipeline(pdal: str, stages: Sequence[Any], folder: Path, seconds: float) -> Done:
    """`pdal pipeline` of ``stages``, whose file is put into ``folder``."""
    spec = folder / "pipeline.json"
    spec.write_text(json.dumps(stages), encoding="utf-8")
    return run([pdal, "pipeline", spec], seconds)


def ask_inside(pdal: str, folder: Path) -> tuple[Done, dict[str, Any]]:
    """What the Python inside PDAL says of itself; empty if it says nothing."""
    script, answer = folder / "tell.py", folder / "answer.json"
    script.write_text(SCRIPT, encoding="utf-8")
    stage = {"type": "filters.python", "script": str(script), "module": "deburr_doctor", "function": "tell"}
    done = pipeline(pdal, [POINTS, {**stage, "pdalargs": {"answer": str(answer)}}], folder, 120)
    try:
        told = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return done, {}
    return done, told if isinstance(told, dict) else {}
