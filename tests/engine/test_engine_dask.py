"""Tasks on a Dask cluster, started as users start it: `dask scheduler`, `dask worker`; parts of it are killed."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster, wait

from deburr.core.errors import RunError
from deburr.engine import dask as engine_dask
from deburr.engine import machine as _machine
from deburr.engine.run import run

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"), 2)
    tasks = _tasks(8, found.folder)
    try:
        wait(lambda: len({one.worker for one in run(tasks, "chores:nap", scheduler=found.address)}) == 2)
        yield found
    finally:
        found.end()


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Cluster]]:
    """Starts a cluster that the test may bring down."""
    begun: list[Cluster] = []

    def start(workers: int) -> Cluster:
        begun.append(Cluster(tmp_path_factory.mktemp("own"), workers))
        return begun[-1]

    yield start
    for one in begun:
        one.end()


def _tasks(count: int, folder: Path, **values: Any) -> list[dict[str, Any]]:
    return [{"id": str(number), "folder": str(folder), **values} for number in range(count)]


def _tries(folder: Path) -> dict[str, int]:
    return {path.stem: len(path.read_text().split()) for path in folder.glob("*.tries")}


def test_each_task_is_done_once_by_all_workers(cluster: Cluster, tmp_path: Path) -> None:
    tasks = _tasks(12, tmp_path, seconds=0.2)
    come = list(run((task for task in tasks), "chores:nap", scheduler=cluster.address))
    assert sorted((int(one.id), one.error) for one in come) == [(number, None) for number in range(12)]
    assert _tries(tmp_path) == {task["id"]: 1 for task in tasks}
    assert len({one.worker for one in come}) == 2
    assert all(one.record is not None and one.record["pid"] != os.getpid() for one in come)
    assert all(one.worker.startswith("tcp://127.0.0.1:") and 0.2 <= one.seconds < 5 for one in come)


def test_the_same_tasks_again_are_done_again(cluster: Cluster, tmp_path: Path) -> None:
    for _ in range(2):
        assert len(list(run(_tasks(2, tmp_path), "chores:nap", scheduler=cluster.address))) == 2
    assert _tries(tmp_path) == {"0": 2, "1": 2}


def test_a_task_is_called_with_what_all_share_and_its_threads(cluster: Cluster) -> None:
    (one,) = run([{"id": "a", "size": 2}], "chores:tell", scheduler=cluster.address, setup={"size": 1, "spec": [1]})
    assert one.record is not None
    assert one.record["task"] == {"id": "a", "size": 2, "spec": [1]}
    assert one.record["pair"] == [1, 2]
    assert one.record["environment"]["DEBURR_THREADS"] == str(max(1, _machine.cores() // 2))


def test_what_goes_wrong_in_a_task_is_its_outcome(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "deburr.engine.queue")
    kinds = ["ours", "type", "good"]
    come = {one.id: one.error for one in run([{"id": k} for k in kinds], "chores:fail", scheduler=cluster.address)}
    assert come == {
        "ours": "tile 3: is no good; take another",
        "type": "unexpected TypeError: not this type",
        "good": None,
    }
    assert "raise TypeError" in caplog.text


def test_tasks_are_taken_a_few_at_a_time(cluster: Cluster, tmp_path: Path) -> None:
    taken = 0

    def tasks() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for task in _tasks(12, tmp_path):
            taken += 1
            yield task

    for come, _ in enumerate(run(tasks(), "chores:nap", scheduler=cluster.address), 1):
        assert come <= taken <= come + 2 * 2
    assert come == 12


def test_closing_forgets_the_tasks(cluster: Cluster, tmp_path: Path) -> None:
    come = run(_tasks(50, tmp_path, seconds=0.1), "chores:nap", scheduler=cluster.address)
    next(come)
    come.close()  # type: ignore[attr-defined]  # it is a generator
    time.sleep(0.5)
    assert len(_tries(tmp_path)) <= 6


def test_a_worker_killed_in_the_middle_costs_one_try_of_its_task(cluster: Cluster, tmp_path: Path) -> None:
    tasks = _tasks(8, tmp_path, seconds=0.1)
    tasks[2]["deaths"] = 1
    come = list(run(tasks, "chores:die", scheduler=cluster.address))
    assert sorted((one.id, one.error) for one in come) == [(str(number), None) for number in range(8)]
    assert _tries(tmp_path)["2"] == 2


@pytest.mark.slow
def test_a_task_that_always_kills_its_worker_is_given_up_and_the_others_are_done(own: Any, tmp_path: Path) -> None:
    """With one worker all that waits there dies with it, each time: still it is done in the end."""
    tasks = _tasks(4, tmp_path, seconds=0.1)
    tasks[0]["deaths"] = 99
    come = {one.id: one.error for one in run(tasks, "chores:die", scheduler=own(1).address)}
    assert [come[task] for task in "123"] == [None] * 3
    assert come["0"] is not None
    assert come["0"].startswith("the worker died in each of several tries (most likely out of memory")


@pytest.mark.slow
def test_a_worker_that_is_lost_with_its_machine_is_done_without(own: Any, tmp_path: Path) -> None:
    cluster = own(2)
    tasks, come = _tasks(16, tmp_path, seconds=0.3), []
    for one in run(tasks, "chores:nap", scheduler=cluster.address):
        come.append(one)
        if len(come) == 6:
            # The nanny, too: nobody comes back. What it has finished and we have not fetched is lost with it.
            os.killpg(cluster.workers[0].pid, signal.SIGKILL)
    assert sorted(int(one.id) for one in come) == list(range(16))
    assert all(one.error is None for one in come)


@pytest.mark.slow
def test_a_cluster_without_workers_is_waited_for(own: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cluster = own(0)

    def tasks() -> Iterator[dict[str, Any]]:
        cluster.workers.append(cluster.add())
        yield from _tasks(3, tmp_path)

    assert len(list(run(tasks(), "chores:nap", scheduler=cluster.address))) == 3
    assert caplog.text.count(f"has no workers; waiting for some: dask worker {cluster.address}") == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_is_gone_is_noticed_within_seconds(how: signal.Signals, own: Any, tmp_path: Path) -> None:
    cluster = own(1)
    come = run(_tasks(500, tmp_path, seconds=0.2), "chores:nap", scheduler=cluster.address)
    next(come)
    cluster.scheduler.send_signal(how)
    killed = time.monotonic()
    with pytest.raises(RunError) as told:
        list(come)
    assert time.monotonic() - killed < 15
    assert str(told.value) == (
        f"the Dask scheduler at {cluster.address} is gone; start it again and run the same command: "
        "what is done is kept"
    )


@pytest.mark.slow
def test_a_scheduler_that_hangs_is_gone(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_dask, "_ANSWER", 2.0)
    cluster = own(1)
    come = run(_tasks(500, tmp_path, seconds=0.2), "chores:nap", scheduler=cluster.address)
    next(come)
    cluster.scheduler.send_signal(signal.SIGSTOP)
    with pytest.raises(RunError, match="is gone"):
        list(come)


def test_no_scheduler_is_told_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_dask, "_CONNECT", 1.0)
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 .*; check the address"):
        list(run([{"id": "a"}], "chores:nap", scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize("address", ["", "somewhere", "http://a:1", "tcp://a", "tcp://a:b", "tcp://:8786"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(RunError, match=r"is no address; give one such as tcp://"):
        list(run([{"id": "a"}], "chores:nap", scheduler=address))


def test_workers_of_another_version_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_dask, "version", lambda name: "99.0")
    with pytest.raises(RunError, match=r"worker at tcp://\S+ runs deburr \d\S*, and this is 99\.0; pip install"):
        list(run([{"id": "a"}], "chores:tell", scheduler=cluster.address))


@pytest.mark.slow
def test_a_worker_without_deburr_is_named_and_lives_on(own: Any, tmp_path: Path) -> None:
    (tmp_path / "deburr").mkdir()
    (tmp_path / "deburr" / "__init__.py").touch()  # it is found first, and has nothing in it
    cluster = own(0)
    worker = cluster.add(tmp_path)
    with pytest.raises(RunError, match=r"worker at tcp://\S+ has no deburr .*, and this is \S+; pip install"):
        list(run(_tasks(3, tmp_path), "chores:nap", scheduler=cluster.address))
    time.sleep(1)
    assert worker.poll() is None


def test_a_function_that_workers_do_not_find_stops_all(cluster: Cluster) -> None:
    with pytest.raises(RunError, match=r"worker at tcp://\S+ cannot load chores:nothing .*; check the installation"):
        list(run([{"id": "a"}], "chores:nothing", scheduler=cluster.address))


def test_without_dask_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RunError, match=r"--scheduler: needs Dask, .* pip install deburr\[batch\]"):
        list(run([{"id": "a"}], "chores:tell", scheduler="tcp://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("threads", "expected"),
    [
        ({"tcp://10.0.0.1:1": 1, "tcp://10.0.0.2:2": 8}, "8"),  # alone on its machine
        ({"tcp://10.0.0.1:1": 1, "tcp://10.0.0.1:2": 1, "tcp://10.0.0.1:3": 2}, "2"),
        ({"tcp://10.0.0.1:2": 3}, "2"),  # it has come since
        ({"tcp://10.0.0.1:1": 99}, "1"),
    ],
)
def test_threads_of_all_workers_of_a_machine_share_its_cores(
    threads: dict[str, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_machine, "cores", lambda: 8)
    monkeypatch.setattr("dask.system.CPU_COUNT", 8)
    monkeypatch.setattr(engine_dask, "_before", {})
    monkeypatch.setattr(os, "environ", {})
    for _ in range(2):
        engine_dask._settle("tcp://10.0.0.1:1", 1, threads)
        assert os.environ["DEBURR_THREADS"] == expected


def test_workers_of_a_machine_take_a_gpu_each_and_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "gpus", lambda: ["0", "1"])
    for address, card in (("tcp://a:1", "0"), ("tcp://a:2", "1"), ("tcp://a:3", "0")):
        monkeypatch.setattr(engine_dask, "_before", {})
        monkeypatch.setattr(os, "environ", {})
        engine_dask._settle(address, 1, {"tcp://a:1": 1, "tcp://a:2": 1, "tcp://a:3": 1, "tcp://b:1": 1})
        assert os.environ["CUDA_VISIBLE_DEVICES"] == card
    monkeypatch.setattr(os, "environ", {"CUDA_VISIBLE_DEVICES": "1"})
    monkeypatch.setattr(engine_dask, "_before", {})
    engine_dask._settle("tcp://a:1", 1, {"tcp://a:1": 1, "tcp://a:2": 1})
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
