"""Thousands of damaged LAS, LAZ and COPC files: each is read as it stands, or refused in one sentence.

What must hold of a case is in `las_door.check`: no foreign exception, no memory beyond what the file can need, the
same points with one thread and two, by rows, in parts and at once, and in a file that was written from them. A case
that takes too long or ends its process ends a process of its own. ``DEBURR_FUZZ`` says how many cases there are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

DOOR = Path(__file__).parents[1] / "support" / "las_door.py"
CASES = int(os.environ.get("DEBURR_FUZZ", "2000"))
#: Cases that one process tries, and processes at a time.
BLOCK, PROCESSES = 1000, 2


def block(folder: Path, first: int) -> tuple[int, str]:
    """How many of the block's cases could be read, and what went wrong."""
    folder.mkdir()
    words = [sys.executable, str(DOOR), str(folder), str(first), str(min(BLOCK, CASES - first))]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode == 0:
        return int(done.stdout), ""
    case = folder / "case"
    told = f"case {case.read_text() if case.exists() else 'none'}, exit {done.returncode}: {done.stderr[-3000:]}"
    return 0, f"{told}\n{' '.join(words[:2])} FOLDER CASE 1"


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(PROCESSES) as pool:
        found = list(pool.map(lambda first: block(tmp_path / str(first), first), range(0, CASES, BLOCK)))
    assert not (wrong := [text for _, text in found if text]), "\n\n".join(wrong)
    # Damage that always, or never, makes a file unreadable would try little of what is above.
    readable = sum(count for count, _ in found) / CASES
    assert 0.2 < readable < 0.6
