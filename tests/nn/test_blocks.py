"""Rows cut into blocks and shared among threads."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from deburr.nn.deburr.blocks import Blocks, helping


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_cover_every_row_once(threads: int) -> None:
    told: list[int] = []
    with helping(threads) as helpers:
        blocks = Blocks(1000, 64, helpers, told.append)
        (whole,) = blocks.map(lambda rows: (torch.arange(rows.start, rows.stop),))
    assert whole.tolist() == list(range(1000))
    assert sum(told) == 1000


def test_a_result_may_overwrite_what_it_was_made_of() -> None:
    values, double = torch.arange(100.0), torch.empty(100)
    blocks = Blocks(100, 7)
    now, other = blocks.map(lambda rows: (values[rows] + 1, 2 * values[rows]), (values, double))
    assert now is values
    assert other is double
    assert now.tolist() == list(range(1, 101))
    assert other.tolist() == list(range(0, 200, 2))


def test_written_rows_become_one_whole() -> None:
    whole = torch.zeros(100)
    Blocks(100, 7).write(lambda rows, out: out.copy_(torch.arange(rows.start, rows.stop)), whole)
    assert whole.tolist() == list(range(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_any_block_ends_the_work(threads: int) -> None:
    done: list[int] = []

    def work(rows: slice) -> tuple[Tensor, ...]:
        if rows.start == 500:
            raise RuntimeError("no")
        done.append(rows.start)
        return (torch.zeros(rows.stop - rows.start),)

    with helping(threads) as helpers, pytest.raises(RuntimeError, match="no"):
        Blocks(100_000, 10, helpers).map(work)
    assert len(done) < 10_000


def test_helpers_leave_no_thread_behind() -> None:
    before = threading.active_count(), torch.get_num_threads()
    with helping(3) as helpers:
        Blocks(1000, 10, helpers).map(lambda rows: (torch.zeros(rows.stop - rows.start),))
    assert (threading.active_count(), torch.get_num_threads()) == before
