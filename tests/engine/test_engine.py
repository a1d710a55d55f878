"""Tasks here and in processes: lazily, each once, none lost; with real processes that are really killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from clusters import CHORES

from deburr.core.errors import RunError
from deburr.engine import local as engine_local
from deburr.engine import machine as _machine
from deburr.engine import queue as engine
from deburr.engine.run import run


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(CHORES)
    for name in ("DEBURR_THREADS", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def _tasks(count: int, **values: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), **values} for number in range(count)]


def _tries(folder: Path) -> dict[str, int]:
    return {path.stem: len(path.read_text().split()) for path in folder.glob("*.tries")}


def _wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def _lives(pid: int) -> bool:
    try:
        # A zombie is dead; in a container nobody may care to bury it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("workers", [1, 2])
def test_each_task_is_done_once(workers: int, tmp_path: Path) -> None:
    come = list(run(_tasks(7, seconds=0.02), "chores:nap", workers=workers, setup={"folder": str(tmp_path)}))
    assert sorted(one.id for one in come) == list("0123456")
    assert all(one.error is None and one.record is not None and one.record["id"] == one.id for one in come)
    assert _tries(tmp_path) == dict.fromkeys("0123456", 1)
    assert all(0.02 <= one.seconds < 5 for one in come)
    pids = Counter(one.record["pid"] for one in come if one.record)
    assert len(pids) == workers
    assert (os.getpid() in pids) == (workers == 1)
    assert not any(_lives(pid) for pid in pids if pid != os.getpid())


def test_here_tasks_are_done_in_order() -> None:
    assert [one.id for one in run(_tasks(5), "chores:tell")] == list("01234")


@pytest.mark.parametrize("workers", [1, 2])
def test_no_tasks_give_no_outcomes(workers: int) -> None:
    assert list(run([], "chores:tell", workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_is_called_with_what_all_share_and_its_own_on_top(workers: int) -> None:
    (one,) = run([{"id": "a", "size": 2}], "chores:tell", workers=workers, setup={"size": 1, "spec": [None, 0.1]})
    assert one.record is not None
    assert one.record["task"] == {"id": "a", "size": 2, "spec": [None, 0.1]}
    assert one.record["pair"] == [1, 2], "the record is as its JSON text reads, wherever it was made"


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_taken_when_there_is_somebody_to_do_them(workers: int) -> None:
    taken = 0

    def tasks() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for task in _tasks(9):
            taken += 1
            yield task

    for come, _ in enumerate(run(tasks(), "chores:tell", workers=workers), 1):
        assert come <= taken <= come + 2 * workers
    assert come == taken == 9


@pytest.mark.parametrize("workers", [1, 2])
def test_what_goes_wrong_in_a_task_is_its_outcome(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "deburr.engine.queue")
    kinds = ["ours", "type", "memory", "disk", "record", "good"]
    come = {one.id: one for one in run([{"id": kind} for kind in kinds], "chores:fail", workers=workers)}
    assert {kind: one.error for kind, one in come.items()} == {
        "ours": "tile 3: is no good; take another",
        "type": "unexpected TypeError: not this type",
        "memory": "not enough memory; give --memory less or fewer --workers",
        "disk": "/scratch/piece: No space left on device; free the cause and run again",
        "record": "unexpected TypeError: Object of type set is not JSON serializable",
        "good": None,
    }
    assert [kind for kind in kinds if come[kind].record is not None] == ["good"]
    assert "raise TypeError" in caplog.text
    assert "tile 3" not in caplog.text


def test_an_interruption_here_goes_straight_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(run([{"id": "interrupt"}], "chores:fail"))


def test_much_output_and_a_large_record_do_not_stop_a_worker() -> None:
    come = list(run(_tasks(3), "chores:loud", workers=2, setup={"much": "z" * 3_000_000}))
    assert [len(one.record["text"]) for one in come if one.record] == [3_000_000] * 3


def test_too_few_workers_are_refused() -> None:
    with pytest.raises(RunError, match="0 is too few"):
        run([], "chores:tell", workers=0)


def test_the_engine_loads_nothing_heavy() -> None:
    code = (
        "import sys, deburr.engine.local, deburr.engine.dask\n"
        "print([name for name in ('numpy', 'torch', 'distributed', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Shares of the machine


def _environments(workers: int) -> set[tuple[str | None, ...]]:
    come = list(run(_tasks(2 * workers), "chores:tell", workers=workers))
    return {tuple(one.record["environment"].values()) for one in come if one.record}


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "cores", lambda: 7)
    assert _environments(2) == {("3", "3", None)}


def test_fewer_threads_asked_for_stay_so_and_more_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "cores", lambda: 8)
    monkeypatch.setenv("DEBURR_THREADS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert _machine.share(0, 2)["DEBURR_THREADS"] == "2"
    assert _machine.share(0, 2)["OMP_NUM_THREADS"] == "4"
    assert _machine.share(0, 100)["DEBURR_THREADS"] == "1"


def test_each_worker_gets_a_gpu_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa, 5")
    assert {one[2] for one in _environments(2)} == {"GPU-aa", "5"}
    assert _machine.share(2, 3)["CUDA_VISIBLE_DEVICES"] == "GPU-aa"


@pytest.mark.parametrize(
    ("visible", "names"), [("", []), ("-1", []), ("0", ["0"]), ("2,-1,3", ["2"]), ("MIG-x,MIG-y", ["MIG-x", "MIG-y"])]
)
def test_gpus_are_those_that_may_be_seen(visible: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _machine.gpus() == names
    if len(names) < 2:
        assert "CUDA_VISIBLE_DEVICES" not in _machine.share(0, 2)


# Workers that die


def test_a_worker_killed_in_the_middle_costs_one_try_of_its_task(tmp_path: Path) -> None:
    tasks = _tasks(6, folder=str(tmp_path))
    tasks[1]["deaths"] = 1
    come = list(run(tasks, "chores:die", workers=2))
    assert sorted((one.id, one.error) for one in come) == [(str(number), None) for number in range(6)]
    assert _tries(tmp_path) == {**dict.fromkeys("02345", 1), "1": 2}


def test_the_last_try_comes_when_all_else_is_done(tmp_path: Path) -> None:
    tasks = _tasks(6, folder=str(tmp_path))
    tasks[0]["deaths"] = tasks[3]["deaths"] = 2
    come = list(run(tasks, "chores:die", workers=2))
    assert all(one.error is None for one in come)
    assert {one.id for one in come[-2:]} == {"0", "3"}
    assert _tries(tmp_path) == {"0": 3, "1": 1, "2": 1, "3": 3, "4": 1, "5": 1}


def test_a_task_that_always_kills_its_worker_is_given_up_and_the_others_are_done(tmp_path: Path) -> None:
    tasks = _tasks(6, folder=str(tmp_path))
    tasks[2]["deaths"] = 99
    come = {one.id: one for one in run(tasks, "chores:die", workers=2)}
    assert come["2"].error == (
        "the worker died in each of 3 tries (signal 9: most likely out of memory); "
        "give --memory less or fewer --workers"
    )
    assert [one.error for one in come.values() if one.id != "2"] == [None] * 5
    assert _tries(tmp_path) == {"0": 1, "1": 1, "2": 3, "3": 1, "4": 1, "5": 1}


@pytest.mark.parametrize(
    ("how", "cause"), [({"signal": int(signal.SIGSEGV)}, "signal 11, SIGSEGV: a crash"), ({"exit": 3}, "exit code 3")]
)
def test_another_death_is_told_by_its_name(how: dict[str, int], cause: str, tmp_path: Path) -> None:
    (one,) = run([{"id": "a", "deaths": 99, "folder": str(tmp_path), **how}], "chores:die", workers=2)
    assert one.error is not None
    assert f"({cause})" in one.error
    assert "memory" not in one.error


@pytest.mark.parametrize(
    ("task", "sent", "cause"),
    [
        ("tidy", signal.SIGXCPU, "(signal SIGXCPU: its processor time is used up); raise the limit (ulimit -t)"),
        ("tidy", signal.SIGHUP, "(signal 1, SIGHUP: it was told to end)"),
        ("absorbed", signal.SIGTERM, "(exit code 1)"),
    ],
)
def test_a_worker_that_is_told_to_end_clears_away(task: str, sent: signal.Signals, cause: str, tmp_path: Path) -> None:
    def send() -> None:
        for _ in range(3):
            half = _wait(lambda: (tmp_path / "a.half").exists() and (tmp_path / "a.half").read_text())
            os.kill(int(half), sent)
            _wait(lambda: not (tmp_path / "a.half").exists())

    sender = Thread(target=send)
    sender.start()
    (one,) = run([{"id": "a", "folder": str(tmp_path)}], f"chores:{task}", workers=2)
    sender.join()
    assert one.error is not None
    assert cause in one.error
    assert not list(tmp_path.iterdir())


def test_a_stopped_worker_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def stop() -> None:
        pid = int(_wait(lambda: (tmp_path / "a.half").exists() and (tmp_path / "a.half").read_text()))
        os.kill(pid, signal.SIGSTOP)
        _wait(lambda: caplog.messages)
        time.sleep(1.5)  # longer than from one look to the next
        os.kill(pid, signal.SIGCONT)
        told.append(f"worker 1 is stopped and waited for; let it go on: kill -CONT {pid}")

    stopper = Thread(target=stop)
    stopper.start()
    (one,) = run([{"id": "a", "folder": str(tmp_path), "seconds": 2.0}], "chores:tidy", workers=2)
    stopper.join()
    assert one.error is None
    assert caplog.messages == told


@pytest.mark.parametrize("function", ["chores:nothing", "no_such_module:nap"])
def test_a_function_that_workers_do_not_find_stops_all(function: str) -> None:
    with pytest.raises(RunError, match=f"workers cannot load {function} .*; check the installation"):
        list(run(_tasks(3), function, workers=2))


def test_workers_that_never_start_stop_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_local, "_START", "import sys; sys.exit(7)")
    with pytest.raises(RunError, match=r"workers do not start \(exit code 7\)"):
        list(run(_tasks(3), "chores:nap", workers=2))


# Ends


def _half(folder: Path, count: int) -> list[int]:
    """Process ids of tasks in the middle of something, when there are ``count``."""
    found = [int(text) for path in folder.glob("*.half") if (text := path.read_text())]
    return found if len(found) == count else []


def test_closing_ends_the_workers_and_what_they_left_half_written(tmp_path: Path) -> None:
    tasks = [*_tasks(1, seconds=0.5), {"id": "long"}, {"id": "longer"}]
    come = run(tasks, "chores:tidy", workers=2, setup={"folder": str(tmp_path)})
    assert next(come).id == "0"
    pids = _wait(lambda: _half(tmp_path, 2))
    assert isinstance(come, Iterator)
    come.close()  # type: ignore[attr-defined]  # it is a generator
    assert not any(_lives(pid) for pid in pids)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_caller_ends_the_workers(tmp_path: Path) -> None:
    def tasks() -> Iterator[dict[str, Any]]:
        yield {"id": "long"}
        assert _wait(lambda: _half(tmp_path, 1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run(tasks(), "chores:tidy", workers=2, setup={"folder": str(tmp_path)}))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """A user's script, without a guard of its main part, in a process group of its own."""
    begun: list[subprocess.Popen[str]] = []

    def start(function: str) -> subprocess.Popen[str]:
        path = tmp_path / "user.py"
        path.write_text(
            textwrap.dedent(f"""
                from deburr.engine.run import run
                for one in run([{{"id": str(n)}} for n in range(4)], {function!r}, workers=2,
                               setup={{"folder": {str(tmp_path)!r}, "seconds": 60}}):
                    print(one.id)
            """)
        )
        begun.append(
            subprocess.Popen(
                [sys.executable, str(path)],
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(CHORES)},
                start_new_session=True,
            )
        )
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def test_a_script_without_a_guard_can_have_workers_and_stdout_is_its_own(
    script: Callable[[str], subprocess.Popen[str]],
) -> None:
    out, err = script("chores:tell").communicate(timeout=30)
    assert sorted(out.split()) == list("0123")
    assert err.count("printed by a task") == 4


@pytest.mark.parametrize("function", ["chores:tidy", pytest.param("chores:deaf", marks=pytest.mark.slow)])
def test_workers_do_not_outlive_a_parent_that_was_killed(
    function: str, script: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    parent = script(function)
    pids = _wait(lambda: _half(tmp_path, 2))
    parent.kill()
    _wait(lambda: not any(_lives(pid) for pid in pids), seconds=10)
    assert bool(list(tmp_path.glob("*.half"))) == (function == "chores:deaf")


def test_an_interruption_of_the_group_leaves_nothing(
    script: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    parent = script("chores:tidy")
    pids = _wait(lambda: _half(tmp_path, 2))
    os.killpg(parent.pid, signal.SIGINT)
    _, err = parent.communicate(timeout=10)
    assert parent.returncode == -signal.SIGINT
    assert err.count("KeyboardInterrupt") == 1, "the parent alone is interrupted"
    assert not any(_lives(pid) for pid in pids)
    assert not list(tmp_path.glob("*.half"))


# The queue by itself


def test_the_queue_gives_what_was_lost_first_and_the_last_try_alone() -> None:
    queue = engine.Queue(_tasks(3), alone_after=2)
    first = queue.take(0)
    assert first == {"id": "0"}
    assert queue.lost(first)
    assert queue.take(0) == {"id": "0"}
    assert queue.lost(first), "a second loss: it is kept for the end"
    assert [queue.take(1), queue.take(1), queue.take(1)] == [{"id": "1"}, {"id": "2"}, None]
    assert queue.take(0) == {"id": "0"}
    assert queue.alone(first)
    assert not queue.lost(first)
    assert queue.take(0) is None
