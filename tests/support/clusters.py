"""A Dask cluster on this machine, started as users start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Functions that tasks call, in a module that only workers find.
CHORES = Path(__file__).parent / "worker_path"


class Cluster:
    """A scheduler, and workers of one thread each with a nanny that starts them again."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self._begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        self.address = wait(lambda: file.exists() and _address(file.read_text()))
        self.workers = [self.add() for _ in range(workers)]

    def add(self, path: Path = CHORES) -> subprocess.Popen[bytes]:
        words = ("worker", self.address, "--nthreads", "1", "--local-directory", str(self.folder))
        return self._begin(*words, path=path)

    def _begin(self, *words: str, path: Path = CHORES) -> subprocess.Popen[bytes]:
        found = [str(path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
        environment.pop("DEBURR_THREADS", None)
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--no-dashboard"],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                # Workers are children of what we started, which would start them again.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _address(text: str) -> str:
    try:
        return str(json.loads(text)["address"])
    except ValueError:
        return ""  # still being written


def wait(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value
