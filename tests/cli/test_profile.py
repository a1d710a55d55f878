"""`--profile`: where the time of a run went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

SAMPLE = Path(__file__).parents[2] / "sample_data/house.laz"


@pytest.mark.parametrize("asked", [False, True])
def test_phases_are_told_on_stderr_when_asked_for(cli: Callable[..., Result], asked: bool) -> None:
    done = cli("denoise", SAMPLE, "out.laz", *["--profile"] * asked)
    assert done.exit_code == 0
    assert done.stdout == "out.laz\n"
    # Of a run that takes long, progress tells shares, too.
    told = done.stderr.partition("where the time went")[2]
    rows = [line for line in told.splitlines() if line.endswith("%")]
    names = {line[:34].strip() for line in rows}
    phases = {"readers.las", "writers.las", "filters.spd", "finding neighbours", "scores", "everything else", "in all"}
    assert phases <= names if asked else not rows
    if asked:
        seconds = {line[:34].strip(): float(line[34:].split()[0]) for line in rows}
        whole = seconds.pop("in all")
        assert sum(seconds.values()) == pytest.approx(whole, abs=0.01 * len(seconds))
        assert whole > 0
