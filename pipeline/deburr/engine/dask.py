"""Tasks on the workers of a Dask cluster; the only module that knows Dask.

The cluster is the user's: its settings stay as they are, and what we need to know of a worker each task finds out where
it runs, since workers come and go. A task is sent with its own key, its result fetched and forgotten.
"""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Any

from deburr.core.errors import RunError
from deburr.core.interrupts import held
from deburr.engine import machine as _machine
from deburr.engine import worker as _worker
from deburr.engine.queue import Outcome, Queue, Task, outcome

#: Seconds to find a scheduler, and seconds for it to answer later on, when it may be busy.
_CONNECT, _ANSWER = 10.0, 30.0
#: Seconds between two looks at the cluster.
_GLANCE = 1.0
#: Dask itself tries a task on several workers; after that it has its last tries alone.
_ALONE_AFTER = 1

_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[^/\s]+:\d+")

_log = logging.getLogger(__name__)


def run_dask(tasks: Iterable[Task], function: str, scheduler: str, setup: dict[str, Any]) -> Iterator[Outcome]:
    """As `deburr.engine.queue.run`, on the cluster of ``scheduler``, such as ``tcp://10.0.0.1:8786``."""
    with _connected(scheduler) as client:
        yield from _Run(client, scheduler, function, setup).outcomes(Queue(tasks, _ALONE_AFTER))


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    try:
        with held():
            import distributed
    except ImportError as error:
        raise RunError("--scheduler: needs Dask, which is not installed; pip install deburr[batch]") from error
    # Dask finds this out only after it has begun threads, for which it then waits.
    if not _ADDRESS.fullmatch(scheduler):
        raise RunError(f"--scheduler: '{scheduler}' is no address; give one such as tcp://10.0.0.1:8786")
    connect: Any = distributed.Client
    with _silent():
        try:
            client = connect(scheduler, timeout=_CONNECT, set_as_default=False, name="deburr")
        except (OSError, ValueError) as error:
            raise RunError(
                f"no Dask scheduler answers at {scheduler} ({_short(error)}); check the address, or start one: "
                "dask scheduler"
            ) from error
        try:
            yield client
        finally:
            # With the client its tasks go, too: workers begin no more of them.
            with _at_leisure():
                client.close(timeout=_worker.GRACE)


class _Run:
    """Tasks and the cluster that does them."""

    def __init__(self, client: Any, scheduler: str, function: str, setup: dict[str, Any]) -> None:
        self._client, self._scheduler = client, scheduler
        self._function, self._setup = function, setup
        self._version = version("deburr")
        self._perform = _ambassador()
        self._names = f"deburr-{secrets.token_hex(4)}"
        self._sent: dict[str, tuple[Task, float, Any]] = {}
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._threads: dict[str, int] = {}
        self._looked = -math.inf
        self._number = 0

    def outcomes(self, queue: Queue) -> Iterator[Outcome]:
        while True:
            self._look()
            # As many again as are running: workers must not wait for us.
            while len(self._sent) < 2 * max(1, sum(self._threads.values())):
                task = queue.take(len(self._sent))
                if task is None:
                    break
                self._send(task)
            if not self._sent:
                return
            try:
                future = self._done.get(timeout=_GLANCE)
            except Empty:
                continue
            yield from self._receive(future, queue)

    def _send(self, task: Task) -> None:
        self._number += 1
        with self._gone_if_lost():
            future = self._client.submit(
                self._perform,
                self._function,
                {**self._setup, **task},
                self._threads,
                self._version,
                key=f"{self._names}-{self._number}",
                pure=False,
            )
            self._sent[future.key] = task, time.perf_counter(), future
            future.add_done_callback(self._done.put)

    def _receive(self, future: Any, queue: Queue) -> Iterator[Outcome]:
        from distributed import CancelledError, KilledWorker

        task, begun, _ = self._sent[future.key]
        try:
            with self._gone_if_lost():
                reply = future.result(timeout=_ANSWER)
        except TimeoutError:
            # The worker that kept the result was lost, and Dask computes it again.
            self._look()
            future.add_done_callback(self._done.put)
            return
        except KilledWorker as error:
            del self._sent[future.key]
            if not queue.lost(task):
                sentence = (
                    "the worker died in each of several tries (most likely out of memory; last at "
                    f"{getattr(error.last_worker, 'address', 'an unknown address')}); "
                    "give --memory less, or workers more memory"
                )
                yield Outcome(task["id"], None, sentence, time.perf_counter() - begun, "", died=True)
            return
        except CancelledError as error:
            raise self._gone() from error
        except RunError:
            raise
        except Exception as error:
            raise RunError(
                f"the Dask cluster at {self._scheduler} cannot run tasks ({_short(error)}); "
                f"install deburr {self._version} for its scheduler and all its workers"
            ) from error
        del self._sent[future.key]
        yield self._judge(task["id"], reply)

    def _judge(self, id: str, reply: Mapping[str, Any]) -> Outcome:
        if "version" in reply:
            runs = f"runs deburr {reply['version']}" if reply["version"] else "has no deburr that can be imported"
            raise RunError(
                f"the Dask worker at {reply['worker']} {runs}, and this is {self._version}; "
                f"pip install deburr[batch]=={self._version} there"
            )
        if "failed" in reply:
            raise RunError(
                f"the Dask worker at {reply['worker']} cannot load {self._function} ({reply['failed']}); "
                "check the installation there"
            )
        return outcome(id, reply, reply["worker"])

    def _look(self) -> None:
        """Now and then see whether the scheduler is there and which workers it has. Raises `RunError`."""
        if self._client.status != "running":
            raise self._gone()
        if time.monotonic() - self._looked < _GLANCE:
            return
        with self._gone_if_lost():
            try:
                threads = dict(self._client.sync(self._client.scheduler.ncores, callback_timeout=_ANSWER))
            except TimeoutError as error:
                raise self._gone() from error
        if not threads and (self._threads or self._looked < 0):
            _log.warning(
                "%s: the Dask scheduler has no workers; waiting for some: dask worker %s --nthreads 1",
                self._scheduler,
                self._scheduler,
            )
        self._threads, self._looked = threads, time.monotonic()

    @contextmanager
    def _gone_if_lost(self) -> Iterator[None]:
        """What fails because the connection is lost is told as that; nothing else is."""
        try:
            yield
        except RunError:
            raise
        except Exception as error:
            if self._client.status == "running" and (isinstance(error, TimeoutError) or not isinstance(error, OSError)):
                raise
            raise self._gone() from error

    def _gone(self) -> RunError:
        return RunError(
            f"the Dask scheduler at {self._scheduler} is gone; start it again and run the same command: "
            "what is done is kept"
        )


def _ambassador() -> Callable[..., dict[str, Any]]:
    """What is sent to workers. A function within a function travels as its code and not by its name: a worker that
    receives the name of what it does not have is brought down by it."""

    def perform(*arguments: Any) -> dict[str, Any]:
        try:
            from deburr.engine.dask import _perform
        except ImportError:
            from distributed import get_worker

            return {"version": None, "worker": str(get_worker().address)}
        return _perform(*arguments)

    return perform


def _perform(function: str, task: dict[str, Any], threads: Mapping[str, int], expected: str) -> dict[str, Any]:
    """What a worker does. ``threads``: of each worker that was known when the task was sent, by its address."""
    from distributed import get_worker

    worker = get_worker()
    where = {"worker": str(worker.address)}
    if version("deburr") != expected:
        return {"version": version("deburr"), **where}
    _settle(str(worker.address), int(worker.state.nthreads), threads)
    try:
        call = _worker.resolve(function)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}", **where}
    return {**_worker.attempt(call, task), **where}


#: What the environment of this process said before the first task, and which GPU it took then.
_before: dict[str, str] = {}


def _settle(address: str, own: int, threads: Mapping[str, int]) -> None:
    """Take this worker's share of its machine, which it may have to itself or together with others."""
    from dask.system import CPU_COUNT  # minds the quota of a container
    from distributed.comm.addressing import get_address_host

    host = get_address_host(address)
    here = {one: count for one, count in threads.items() if get_address_host(one) == host}
    here.setdefault(address, own)
    if not _before:
        _before["DEBURR_THREADS"] = os.environ.get("DEBURR_THREADS", "")
        cards = _machine.gpus()
        if len(cards) > 1 and len(here) > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ:
            os.environ["CUDA_VISIBLE_DEVICES"] = cards[sorted(here).index(address) % len(cards)]
    fair = max(1, min(_machine.cores(), int(CPU_COUNT)) // sum(here.values()))
    asked = _before["DEBURR_THREADS"]
    os.environ["DEBURR_THREADS"] = str(min(int(asked), fair) if asked.isdigit() and int(asked) else fair)


@contextmanager
def _silent() -> Iterator[None]:
    """A lost connection is ours to tell, in one sentence; Dask tells it in several tracebacks."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _at_leisure() -> Iterator[None]:
    """For parting from a cluster: that it does not answer any more has been told, or does not matter now."""
    try:
        yield
    except Exception as error:
        _log.debug("closing the connection to the Dask scheduler: %s", error)


def _short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
