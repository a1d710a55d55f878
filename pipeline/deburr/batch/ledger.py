"""What is done already: JSON lines beside the outputs, each on the disk before the work goes on.

A line says what kind of thing was done, the key that names all it depended on, a record of it, and a checksum of these.
Whatever moment a run is stopped at, the lines are true; only the last can be torn, and that one is dropped. A line that
is not what a run has written is not believed: what it speaks of counts as not done.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deburr.batch.records import is_sound
from deburr.core import locks
from deburr.core.errors import ReadError, RunError, WriteError
from deburr.core.files import plain, sync_folder

_HEADER = {"deburr ledger": 1}

_log = logging.getLogger(__name__)


def key_of(*parts: Any) -> str:
    """One name, 64 hexadecimal digits, for JSON values; another for other values, whatever the order of their keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What tells a file from another and from what it was before: ``path`` (resolved), ``size`` and ``mtime_ns``.

    Raises `ReadError` if there is no such file.
    """
    try:
        resolved = Path(path).resolve(strict=True)
        found = resolved.stat()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if not stat.S_ISREG(found.st_mode):
        raise ReadError(f"{path}: is no file; give the path of a file")
    return {"path": str(resolved), "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content. Raises `ReadError`."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error


def written(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `identity` of a file that was written a moment ago, and of its content. Raises `ReadError`."""
    found, content = os.stat(path), digest(path)
    return {**identity(path), "ctime_ns": found.st_ctime_ns, "sha256": content}


def output_is(path: str | os.PathLike[str], record: dict[str, Any]) -> bool:
    """Whether the file at ``path`` is there and still the one that the record tells of: untouched since, by all times
    that the system keeps, or else of the same content."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != record.get("size"):
        return False
    if (found.st_mtime_ns, found.st_ctime_ns) == (record.get("mtime_ns"), record.get("ctime_ns", found.st_ctime_ns)):
        return True
    try:
        return "sha256" in record and digest(path) == record["sha256"]
    except ReadError:
        return False


class Ledger:
    """The ledger at ``path``, which need not exist yet; read at once, written to inside a ``with`` block.

    Of several records of a kind and key the last one counts.

    Raises `RunError` for a file that is no ledger, and on entering if another process writes to it; `WriteError` for
    what the operating system refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock_path = self.path.with_name(f".{self.path.name}.lock")
        self._lock = self._file = -1
        self._records: dict[tuple[str, str], dict[str, Any]] = {}
        self._warned = False
        self._end = self._load()

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """The record, or None if that has not been done."""
        return self._records.get((kind, key))

    def of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """All records of a kind, by key."""
        return {key: record for (other, key), record in self._records.items() if other == kind}

    def add(self, key: str, kind: str, record: dict[str, Any]) -> None:
        """Write a line; when this returns, it is on the disk."""
        assert self._file >= 0, "a ledger is written to inside its `with` block"
        self._append({"kind": kind, "key": key, "record": record, "sum": _sum(kind, key, record)})
        self._records[kind, key] = json.loads(json.dumps(record))

    def __enter__(self) -> Self:
        self._take_lock()
        try:
            # Another run may have written between our first look and the lock.
            self._records.clear()
            self._end = self._load()
            self._open()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _load(self) -> int:
        """Read what is there; where its last whole line ends, in bytes."""
        try:
            with open(self.path, "rb", opener=plain) as file:
                content = file.read()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise ReadError(f"{self.path}: cannot be read ({error.strerror or error}); check the path") from error
        header = _line(_HEADER)
        if not content.startswith(header):
            if header.startswith(content):
                return 0  # stopped in its first moment
            raise RunError(f"{self.path}: is no ledger of deburr; move it away, or choose another output folder")
        lines = content.split(b"\n")
        end, unsound = len(header), 0
        for number, text in enumerate(lines[1:-1], 2):
            entry = _entry(text)
            if entry is None and number < len(lines) - 1:
                raise RunError(
                    f"{self.path}: line {number} is damaged; remove the file to do everything again, or restore it"
                )
            if entry is None:
                continue
            kind, key, record = entry["kind"], entry["key"], entry["record"]
            if entry.get("sum") == _sum(kind, key, record) and is_sound(kind, record):
                self._records[kind, key] = record
            else:
                # Nor does what an earlier line says of it hold any more.
                self._records.pop((kind, key), None)
                unsound += 1
            end += len(text) + 1
        if unsound and not self._warned:
            self._warned = True
            _log.warning(
                "%s: %s are not as a run wrote them; what they tell of is done again", self.path, _many(unsound)
            )
        return end

    def _open(self) -> None:
        new = not self.path.exists()
        try:
            self._file = plain(self.path, os.O_WRONLY | os.O_CREAT)
            # A torn line must not become the beginning of the next one.
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise self._refused(error) from error
        if not self._end:
            self._append(_HEADER)
        if new:
            refused = sync_folder(self.path.parent)
            if refused is not None:
                # The worst is work done twice.
                _log.debug("%s: cannot be synced (%s)", self.path.parent, refused)

    def _append(self, value: dict[str, Any]) -> None:
        text = _line(value)
        try:
            done = 0
            while done < len(text):  # a disk that becomes full takes a part first, and gives its reason for the rest
                os.lseek(self._file, self._end + done, os.SEEK_SET)
                done += os.write(self._file, text[done:])
            os.fsync(self._file)
        except OSError as error:
            raise self._refused(error) from error
        # Only now: what a failed write left behind is written over by the next.
        self._end += len(text)

    def _refused(self, error: OSError) -> WriteError:
        reason = error.strerror or str(error)
        return WriteError(f"{self.path}: cannot be written ({reason}); free space or choose another output folder")

    def _take_lock(self) -> None:
        while True:
            try:
                lock = plain(self._lock_path, os.O_RDWR | os.O_CREAT)
            except OSError as error:
                raise self._refused(error) from error
            if not _locked(lock, self.path):
                os.close(lock)
                raise RunError(f"{self.path.parent}: another run is writing to this folder; wait for it, or end it")
            # The run before may have removed the file between our opening and our locking it.
            if _same(lock, self._lock_path):
                self._lock = lock
                return
            os.close(lock)

    def _leave(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        if self._lock >= 0:
            try:
                self._lock_path.unlink(missing_ok=True)
                os.close(self._lock)
            except PermissionError:  # Windows removes no file that is open; nor then one that another run has opened
                os.close(self._lock)
                with suppress(OSError):
                    self._lock_path.unlink(missing_ok=True)
        self._file = self._lock = -1


def _sum(kind: str, key: str, record: Mapping[str, Any]) -> str:
    return key_of(kind, key, record)[:16]


def _many(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode() + b"\n"


def _entry(text: bytes) -> dict[str, Any] | None:
    """The line's values; None if it is damaged."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(entry, dict)
        and isinstance(entry.get("kind"), str)
        and isinstance(entry.get("key"), str)
        and isinstance(entry.get("record"), dict)
    )
    return entry if whole else None


def _locked(lock: int, path: Path) -> bool:
    """Whether we have it now, or nobody can: not every system and network disk knows locks."""
    try:
        return locks.take(lock)
    except OSError as error:
        _log.warning("%s: cannot be locked (%s); see to it that no other run writes to its folder", path, error)
    return True


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
