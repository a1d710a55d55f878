"""Commands measured from outside, as who waits for them sees them: seconds, and the memory of all their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deburr.engine.machine import share

#: Seconds between two looks at the memory of a process and its children.
GLANCE = 0.02
PIPELINE = (sys.executable, "-m", "deburr.cli.main")


@dataclass(frozen=True)
class Cost:
    """What a command cost: wall and processor ``seconds``, and the highest memory in MB (10^6 bytes): resident memory
    of all its processes at one moment, or the high-water mark of one of them, whichever is more."""

    seconds: float
    processor: float
    peak_mb: float
    stdout: str


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Cost:
    """Run ``command`` and watch it. Exits with what it wrote if it fails. Linux only.

    Call it from a small process: the kernel counts the memory of whoever starts a process into the child's own maximum.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        peak = 0
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            peak = max(peak, *_memory(process.pid))
            time.sleep(GLANCE)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:300]}\nfailed ({process.returncode}):\n{texts[1][-3000:]}")
    peak = max(peak, usage.ru_maxrss)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak * 1024 / 1e6, texts[0])


def _memory(pid: int) -> tuple[int, int]:
    """Of a process and its descendants: their resident memory together, and the highest mark of any; kB."""
    together = highest = 0
    waiting = [pid]
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        try:
            lines = (folder / "status").read_text().splitlines()
            waiting += [
                int(child) for task in (folder / "task").iterdir() for child in (task / "children").read_text().split()
            ]
        except (OSError, ValueError):
            continue  # it has just ended
        told = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
                if name in ("VmRSS", "VmHWM")}  # fmt: skip
        together += told.get("VmRSS", 0)
        highest = max(highest, told.get("VmHWM", 0))
    return together, highest


def one_thread() -> dict[str, str]:
    """This environment, with one thread for everything."""
    cores = len(os.sched_getaffinity(0))
    return {**os.environ, **share(0, cores)}


def all_threads() -> dict[str, str]:
    """This environment, with as many threads as there are cores."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """The address of a Dask scheduler of our own, with ``workers`` workers of one thread each."""
    file = folder / "scheduler.json"
    file.unlink(missing_ok=True)
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> None:
        command = [sys.executable, "-m", "dask", *words, "--no-dashboard"]
        begun.append(
            subprocess.Popen(command, stdout=log, stderr=log, env=all_threads(), start_new_session=True),
        )

    with open(folder / "dask.log", "wb") as log:
        try:
            begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
            begin("worker", "--scheduler-file", str(file), "--nthreads", "1", "--nworkers", str(workers),
                  "--local-directory", str(folder))  # fmt: skip
            yield _ready(file, workers)
        finally:
            for process in reversed(begun):
                # Workers are children of what was started here.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ready(file: Path, workers: int) -> str:
    """Wait until all workers are there."""
    from distributed import Client

    with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(workers, timeout=60)
        return str(client.scheduler.address)
