"""Locks end with what holds them; who comes second is told, or waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from deburr.core import locks


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_the_second_is_told_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = _open(tmp_path / "lock"), _open(tmp_path / "lock")
    assert locks.take(first)
    assert not locks.take(second)
    os.close(first)
    assert locks.take(second)
    os.close(second)


def test_who_waits_gets_it(tmp_path: Path) -> None:
    first, second = _open(tmp_path / "lock"), _open(tmp_path / "lock")
    assert locks.take(first)
    got: list[bool] = []
    waiting = Thread(target=lambda: got.append(locks.take(second, wait=True)), daemon=True)
    waiting.start()
    assert not got
    os.close(first)
    waiting.join(60)
    assert got == [True]
    os.close(second)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = "import os, sys; from deburr.core import locks; " \
        "print(locks.take(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)), flush=True); sys.stdin.read()"  # fmt: skip
    words = [sys.executable, "-c", script, str(tmp_path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        lock = _open(tmp_path / "lock")
        assert not locks.take(lock)
        process.kill()
        process.wait()
        assert locks.take(lock)
        os.close(lock)


def test_where_there_are_none_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_fcntl", None)
    monkeypatch.setattr(locks, "_msvcrt", None)
    lock = _open(tmp_path / "lock")
    with pytest.raises(OSError, match="this system has no locks"):
        locks.take(lock)
    os.close(lock)


def test_locks_of_bytes_leave_the_content_and_the_place_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        asked.append((os.lseek(descriptor, 0, os.SEEK_CUR), count))
        if len(asked) == 2:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks, "_fcntl", None)
    monkeypatch.setattr(locks, "_msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    lock = _open(tmp_path / "lock")
    os.write(lock, b"names")
    assert [locks.take(lock), locks.take(lock), locks.take(lock, wait=True)] == [True, False, True]
    assert os.lseek(lock, 0, os.SEEK_CUR) == 5
    os.close(lock)
    # Beyond all that a file of names holds.
    assert {count for _, count in asked} == {1}
    assert min(place for place, _ in asked) > 10**9
    assert (tmp_path / "lock").read_bytes() == b"names"
