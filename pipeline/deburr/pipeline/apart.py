"""What is read is never overwritten: the files of a command, those that it reads held against those it writes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from deburr.core.addresses import shown, was_address
from deburr.core.errors import SpecError
from deburr.core.stage import Reader, Writer
from deburr.pipeline.plan import Plan

Path_ = str | os.PathLike[str]


def check_apart(reads: Mapping[Path_, str], writes: Iterable[Path_]) -> None:
    """Raise `SpecError` where one of the files ``writes`` is one of ``reads`` (path: what it is, in words), through
    links of either kind."""
    places = {_place(path): (path, what) for path, what in reads.items()}
    same = {found: (path, what) for path, what in reads.items() if (found := _identity(path)) is not None}
    problems = []
    for path in dict.fromkeys(str(one) for one in writes):
        there = _identity(path)
        hit = places.get(_place(path)) or (None if there is None else same.get(there))
        if hit is not None:
            problems.append(
                f"{path}: is to be written, and {hit[0]} is {hit[1]}; choose another folder or name, what is read is "
                "never overwritten"
            )
    if problems:
        raise SpecError(problems)


def read_by(plan: Plan) -> dict[Path_, str]:
    """The files that ``plan`` reads, and what they are."""
    found: dict[Path_, str] = {plan.origin: "the spec"} if plan.origin else {}
    for stage in plan.stages:
        for option, path in stage.reads.items() if not isinstance(stage, Writer) else ():
            found[path] = "the input" if isinstance(stage, Reader) else f"'{option}' of {stage.type_name}"
    return found


def check_run(plan: Plan, report_dir: Path_ | None, left: Iterable[str]) -> None:
    """Raise `SpecError` where a run of ``plan`` would overwrite what it reads, with an output or one of the files
    ``left`` in the folder of the report, or that folder is an address."""
    if report_dir is not None and was_address(report_dir):
        raise SpecError(f"{shown(str(report_dir))}: is an address; a report is files here, give a folder")
    writes = [writer.path for writer in plan.writers if writer.path is not None]
    if report_dir is not None:
        writes += [str(Path(report_dir) / name) for name in left]
    check_apart(read_by(plan), writes)


def _place(path: Path_) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _identity(path: Path_) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
