"""Scenes made ready in other processes while the network learns."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from deburr.core.errors import RunError, SpecError
from deburr.core.files import matching
from deburr.train.examples import Draw, draw
from deburr.train.prepared import Prepared, from_arrays, prepare, read, to_arrays
from deburr.train.recipe import Recipe

Arrays = dict[str, npt.NDArray[Any]]

#: Scenes that wait for each process that makes them.
_AHEAD = 6

#: What a process that prepares scenes was told at its start.
_told: dict[str, Any] = {}


def _start(recipe: Recipe, solids: Path, other: Draw | None, files: Sequence[str]) -> None:
    import torch

    # One thread a process: more would take the processor from the training.
    os.environ["DEBURR_THREADS"] = "1"
    torch.set_num_threads(1)
    _told.update(recipe=recipe, solids=solids, other=other, files=files)


def make(recipe: Recipe, number: int, solids: Path, other: Draw | None = None) -> Prepared:
    """Scene ``number`` of the run, a function of these alone."""
    return prepare(draw(recipe, number, solids, other), recipe, number)


def _made(number: int) -> Arrays:
    recipe, files = _told["recipe"], _told["files"]
    if files:
        return read(files[in_turn(recipe.seed, number, len(files))], recipe)
    return to_arrays(make(recipe, number, _told["solids"], _told["other"]))


def in_turn(seed: int, number: int, count: int) -> int:
    """Which of ``count`` files scene ``number`` is: each comes once before any comes again, in an order of chance."""
    rounds, place = divmod(number, count)
    return int(np.random.default_rng([seed, 5, rounds]).permutation(count)[place])


def find_scenes(recipe_path: str, pattern: str | None) -> list[str]:
    """The files of prepared scenes that ``pattern`` names, relative to the recipe's folder. Raises `SpecError`."""
    if pattern is None:
        return []
    found = matching(str(Path(recipe_path).parent / pattern))
    if not found:
        raise SpecError(f"{recipe_path}: option 'scenes': nothing matches '{pattern}'; prepare scenes with --prepare")
    return found


@contextmanager
def scenes(
    recipe: Recipe, first: int, other: Draw | None = None, files: Sequence[str] = (), count: int | None = None
) -> Iterator[Iterator[Prepared]]:
    """The run's scenes from number ``first`` on, ``count`` of them or without end; ``files``: read from there.

    What the processes made is the same for any number of them, and comes in order. Raises `RunError` while iterated.
    """
    with TemporaryDirectory(prefix="deburr-solids-") as solids:
        given = (recipe, Path(solids), other, files)
        pool = ProcessPoolExecutor(recipe.workers, get_context("spawn"), initializer=_start, initargs=given)
        try:
            yield _in_order(pool, first, count, _AHEAD * recipe.workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, first: int, count: int | None, ahead: int) -> Iterator[Prepared]:
    waiting, number = deque[Future[Arrays]](), first
    while count is None or number < first + count or waiting:
        while len(waiting) < ahead and (count is None or number < first + count):
            waiting.append(pool.submit(_made, number))
            number += 1
        try:
            yield from_arrays(waiting.popleft().result())
        except BrokenProcessPool as error:
            raise RunError(
                "a process that prepares scenes was ended, maybe for its memory; --resume goes on"
            ) from error
