"""How another program finds deburr, runs it, hears how far it is, and stops it.

Hosts (QGIS, CloudCompare, Blender, a web service) load this module into a Python of their own, so it imports the
standard library alone and nothing of deburr, and runs from Python 3.9 on. deburr itself runs in its own environment.

    command = find(setting)                                                  # or Missing, whose text says what to do
    outcome = run(command, ["denoise", "a.laz", "b.laz"], heard, cancelled)  # heard({"progress": 0.25, "phase": ...})
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

#: The oldest deburr that hosts can use, and the oldest Python that it runs on.
NEEDED, PYTHON = (0, 1, 0), (3, 11)
#: The variable that names the command, where the host has no setting.
VARIABLE = "DEBURR_COMMAND"
#: What a host sets for its own Python and libraries, and what would lead deburr's astray.
_FOREIGN = re.compile(
    r"PYTHON(HOME|PATH|EXECUTABLE|STARTUP)|__PYVENV_LAUNCHER__|LD_(LIBRARY_PATH|PRELOAD)|DYLD_.*|(PROJ|GDAL|QT)_.*"
)
#: Seconds between two looks at whether the user gave up; that an answer about the version may take; and from the
#: request to stop to the end of patience.
_GLANCE, _ANSWER, GRACE = 0.1, 120.0, 10.0
_INTERRUPTED = 130

Heard = Callable[[dict[str, Any]], None]
Cancelled = Callable[[], bool]


def _silent(_: dict[str, Any]) -> None:
    """Who hears nothing."""


def _never() -> bool:
    return False


class Missing(Exception):
    """There is no deburr that can be used; the text says what was looked for and what to do."""


@dataclass(frozen=True)
class Command:
    """``words``: what a shell would be given; ``version``: as three numbers; ``place``: where it was found."""

    words: tuple[str, ...]
    version: tuple[int, ...]
    place: str


@dataclass
class Outcome:
    """``code``: 0 done, 1 failed, 2 wrong options, 130 stopped; ``outputs``: the lines of stdout, the files written."""

    code: int = 0
    outputs: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def stopped(self) -> bool:
        """Whether it was given up."""
        return self.code == _INTERRUPTED


def find(setting: str = "", environment_folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Command:
    """The deburr that the host's ``setting`` names, else `VARIABLE`, else that of ``environment_folder`` (made by
    `install`), else of the path. One that is named and cannot be used is no reason to look further. Raises `Missing`.
    """
    for text, place in ((setting, "the setting"), (environ.get(VARIABLE, ""), VARIABLE)):
        if text.strip():
            return _checked(_words(text.strip(), place), place, environ)
    own = None if environment_folder is None else program(environment_folder, "deburr")
    if own is not None and own.exists():
        return _checked((str(own),), "the environment that was made for it", environ)
    on_path = shutil.which("deburr", path=environ.get("PATH", ""))
    if on_path is not None:
        return _checked((on_path,), "the path", environ)
    raise Missing(
        f"deburr was not found: neither a setting nor {VARIABLE} names it, and there is none on the path; install it "
        "into an environment of its own, as its README says, and give the path of that environment in the setting"
    )


def _words(text: str, place: str) -> tuple[str, ...]:
    """A path as it is, with spaces too, or that of an environment; else words as a shell takes them."""
    path = Path(text.strip('"')).expanduser()
    try:
        if path.is_dir():
            return (str(program(path, "deburr")),)
        # Where back slashes part folders, quotes are all that is special.
        words = [str(path)] if path.exists() else shlex.split(text, posix=os.name != "nt")
    except ValueError as error:  # quotes without an end, characters that no path has
        raise Missing(f"{place}: {text}: is no command ({error}); {_REMEDY}") from error
    return tuple(word.strip('"') for word in words)


_REMEDY = "give the path of the command 'deburr', or of the environment in which it is installed"


def _checked(words: tuple[str, ...], place: str, environ: Mapping[str, str]) -> Command:
    """The command, if it answers and is new enough."""
    told = f"{place}: {' '.join(words)}"
    try:
        done = subprocess.run(
            [*words, "--version"], env=own_environment(environ), stdin=subprocess.DEVNULL, timeout=_ANSWER,
            capture_output=True, encoding="utf-8", errors="replace", **_apart(),
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise Missing(f"{told}: cannot be run ({getattr(error, 'strerror', None) or error}); {_REMEDY}") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{told}: did not answer within {_ANSWER:g} s; {_REMEDY}") from error
    found = _VERSION.search(done.stdout) if done.returncode == 0 else None
    if found is None:
        last = (done.stderr.strip().splitlines() or ["it gave no version of deburr"])[-1][:300]
        raise Missing(f"{told}: is not deburr, or is broken ({last}); {_REMEDY}")
    version = tuple(int(part or 0) for part in found.groups())
    if version < NEEDED:
        python = program(Path(words[0]).parent.parent, "python")
        pip = f"'{python}' -m pip" if python.exists() else "the pip of its environment:  pip"
        raise Missing(
            f"{told}: is deburr {_dotted(version)}, and {_dotted(NEEDED)} or later is needed; bring a newer one with "
            f"{pip} install --upgrade, and what it was installed from"
        )
    return Command(words, version, place)


#: What `deburr --version` says, under each of its names.
_VERSION = re.compile(r"^(?:pipeline|deburr), version (\d+)\.(\d+)(?:\.(\d+))?", re.MULTILINE)


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def own_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables without those that a host sets for its own Python and libraries."""
    return {name: value for name, value in environ.items() if not _FOREIGN.fullmatch(name)}


def run(
    command: Command,
    arguments: Sequence[str],
    heard: Heard = _silent,
    cancelled: Cancelled = _never,
    folder: Path | None = None,
) -> Outcome:
    """Run one of ``run``, ``denoise`` and ``batch``, whose name is the first of ``arguments``, to its end.

    ``heard`` is given what it says, as it says it: ``{"progress": share, "phase": ..., "seconds_left": ...}``,
    ``{"warning": text}``, ``{"error": text}``, ``{"note": text}``, and ``{"output": path}`` of a file written. When
    ``cancelled()`` becomes true, which is asked in this thread, the command is asked to end, which leaves nothing
    half-written; it is killed if it has not in `GRACE` seconds. It ends with this process, too.
    """
    hosted = ("--progress", "json", "--parent", str(os.getpid()))
    return talk([*command.words, *arguments[:1], *hosted, *arguments[1:]], heard, cancelled, folder)


def talk(
    words: Sequence[str],
    heard: Heard = _silent,
    cancelled: Cancelled = _never,
    folder: Path | None = None,
) -> Outcome:
    """`run` of any words: for commands that have no progress to tell, such as ``info``."""
    process = subprocess.Popen(
        list(words), cwd=folder, env=own_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, encoding="utf-8", errors="replace", **_apart(),
    )  # fmt: skip
    try:
        return _listen(process, heard, cancelled)
    except BaseException:  # of whoever hears, or an interrupt: nobody would stop it any more
        ending = _Ending(process)
        ending.begin()
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        ending.force()
        raise


def _listen(process: subprocess.Popen[str], heard: Heard, cancelled: Cancelled) -> Outcome:
    said: Queue[tuple[str, str | None]] = Queue()
    for name, stream in (("output", process.stdout), ("said", process.stderr)):
        assert stream is not None
        Thread(target=_read, args=(name, stream, said), daemon=True).start()
    outcome, open_streams, ending = Outcome(), 2, _Ending(process)
    while open_streams and not ending.is_over():
        with suppress(Empty):
            name, line = said.get(timeout=_GLANCE)
            if line is None:
                open_streams -= 1
            else:
                _take(_event(name, line), outcome, heard)
        if not ending.begun and cancelled():
            ending.begin()
    code = process.wait()
    outcome.code = _INTERRUPTED if ending.begun and code != 0 else code
    return outcome


def _read(name: str, stream: IO[str], said: Queue[tuple[str, str | None]]) -> None:
    with stream:
        for line in stream:
            said.put((name, line.rstrip("\r\n")))
    said.put((name, None))


def _event(name: str, line: str) -> dict[str, Any]:
    """A line as `run` tells of it; what is no JSON object was printed by a library, and is passed on as a note."""
    if name == "output":
        return {name: line}
    with suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict):
            return event
    return {"note": line}


def _take(event: dict[str, Any], outcome: Outcome, heard: Heard) -> None:
    for kind, texts in (("output", outcome.outputs), ("warning", outcome.warnings), ("error", outcome.errors)):
        if kind in event:
            texts.append(str(event[kind]))
    heard(event)


def _apart() -> dict[str, Any]:
    """A group of processes of its own, so that it can be ended as a whole; on Windows no window either."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


class _Ending:
    """How a process is brought to its end: it is asked to, as by Ctrl-C, and forced where it does not come to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._since, self._group_was_asked = process, 0.0, False

    @property
    def begun(self) -> bool:
        return self._since > 0

    def begin(self) -> None:
        """Ask the process, on Windows its whole group."""
        self._since = time.monotonic()
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self._process.send_signal(signal.SIGTERM)

    def is_over(self) -> bool:
        """Whether it has been forced. Asks what a script that has ended itself would not pass its end on to."""
        if self.begun and not self._group_was_asked and self._process.poll() is not None:
            self._group_was_asked = True
            self._send_group("SIGTERM")
        if self.begun and time.monotonic() - self._since > GRACE:
            self.force()
            return True
        return False

    def force(self) -> None:
        """End the process and all of its group at once."""
        self._process.kill()
        self._send_group("SIGKILL")

    def _send_group(self, name: str) -> None:
        if sys.platform != "win32":
            with suppress(OSError):  # nobody is left
                os.killpg(self._process.pid, getattr(signal, name))


def program(environment_folder: Path, name: str) -> Path:
    """Where a program of a virtual environment lies."""
    windows = os.name == "nt"
    return environment_folder / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name)


def base_python(environ: Mapping[str, str] = os.environ) -> str:
    """A Python of the system's, new enough for deburr. Never ``sys.executable``: in many hosts that is the host itself.
    Raises `Missing`."""
    names = ["python3", "python", *(f"python3.{minor}" for minor in range(PYTHON[1], PYTHON[1] + 6))]
    candidates = [found for name in names if (found := shutil.which(name, path=environ.get("PATH", "")))]
    # A host that brings a Python of its own may bring a whole one.
    candidates += [
        str(Path(sys.base_prefix, "python.exe") if os.name == "nt" else Path(sys.base_prefix, "bin/python3"))
    ]
    for candidate in candidates:
        if _is_new(candidate, environ):
            return candidate
    raise Missing(
        f"no Python {_dotted(PYTHON)} or later was found; install one (python.org, or your system's packages)"
    )


def _is_new(python: str, environ: Mapping[str, str]) -> bool:
    test = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {PYTHON!r})"
    try:
        done = subprocess.run(
            [python, "-c", test], env=own_environment(environ), stdin=subprocess.DEVNULL, timeout=_ANSWER,
            capture_output=True, **_apart(),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def install(
    environment_folder: Path, what: Sequence[str], heard: Heard = _silent, cancelled: Cancelled = _never
) -> Command:
    """Make a virtual environment in ``environment_folder`` and install deburr into it: for hosts that were told to.

    ``what``: what pip is given, a wheel, a folder with the sources, options. Where it fails or is cancelled, nothing is
    left. Raises `Missing`.
    """
    if environment_folder.exists():
        raise Missing(f"{environment_folder}: exists already; remove it, or name another folder")
    pip = [str(program(environment_folder, "python")), "-m", "pip", "install", "--disable-pip-version-check", *what]
    try:
        for words in ([base_python(), "-m", "venv", str(environment_folder)], pip):
            heard({"note": " ".join(words)})
            last = ["it said nothing"]
            outcome = talk(words, lambda event, last=last: _said(event, last, heard), cancelled)  # type: ignore[misc]
            if outcome.code != 0:
                why = "it was cancelled" if outcome.stopped else last[-1][:300]
                raise Missing(f"{environment_folder}: deburr was not installed ({why}); nothing was left there")
        return find(str(program(environment_folder, "deburr")))
    except BaseException:
        shutil.rmtree(environment_folder, ignore_errors=True)
        raise


def _said(event: dict[str, Any], last: list[str], heard: Heard) -> None:
    """Keep the last line, which mostly says why something failed, and pass it on."""
    last[:] = [str(next(iter(event.values())))]
    heard({"note": last[0]})
