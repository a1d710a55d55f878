"""Work that waits, side by side: in its order, no more of it than asked for, and none that nobody wants any more."""

from __future__ import annotations

import threading

import pytest

from deburr.core.progress import advance, listening
from deburr.core.waits import side_by_side


def test_answers_come_in_order_and_errors_in_their_place() -> None:
    turn = [threading.Event() for _ in range(7)]
    turn[6].set()

    def backwards(item: int) -> int:
        if item < 6:
            assert turn[item + 1].wait(60)
        turn[item].set()
        if item == 4:
            raise ValueError("four")
        return 10 * item

    answers = side_by_side(backwards, range(7), most=7)
    assert [next(answers) for _ in range(4)] == [0, 10, 20, 30]
    with pytest.raises(ValueError, match="four"):
        next(answers)
    assert [*side_by_side(backwards, [5, 6, 0, 5])] == [50, 60, 0, 50]
    assert [*side_by_side(backwards, [])] == []


def test_as_many_at_a_time_as_asked_for() -> None:
    lock, now, most, three = threading.Lock(), [0], [0], threading.Barrier(3)

    def work(_: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        three.wait(60)
        with lock:
            now[0] -= 1
        three.wait(60)

    assert [*side_by_side(work, range(12), most=3)] == [None] * 12
    assert most == [3]


def test_what_nobody_wants_is_not_begun_and_progress_is_told_in_one_place() -> None:
    begun: list[int] = []
    told: list[str] = []
    over = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        advance("work", item, 9)
        assert item == 0 or over.wait(60)
        return item

    with listening(lambda label, *_: told.append(label)):
        taken = side_by_side(work, range(1000), most=1)
        assert next(taken) == 0
        taken.close()  # type: ignore[attr-defined]
    over.set()
    for thread in threading.enumerate():
        if thread.name == "waits":
            thread.join(60)
    assert begun in ([0], [0, 1])
    assert not told
