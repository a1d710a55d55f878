"""The run report: what ran, on what, for how long, and what each stage has to say. One JSON file and one picture."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from deburr.core.addresses import shown
from deburr.core.cloud import PointCloud
from deburr.core.crs import words as crs
from deburr.core.files import replacing
from deburr.core.host import FILES
from deburr.core.noise import NOISE
from deburr.core.stage import Reader, Stage, Writer
from deburr.core.stored import steps
from deburr.pipeline import report_schema
from deburr.pipeline.plan import Plan

NAME = "report.json"
PICTURE = "section.png"
_PACKAGES = ("deburr", "numpy", "scipy", "torch", "laspy", "lazrs", "libigl", "pydantic")


@dataclass
class Entry:
    """The account of stages that ran together, one as a rule; ``after`` is filled in by whoever runs them.

    What lies between stages that another program ran together is not known: their points and seconds are null.
    """

    stages: Sequence[Stage]
    before: PointCloud | None
    #: Where in the plan they stand, and the file that the points are of, where several go through it alone.
    steps: Sequence[int] = ()
    file: str | None = None
    after: PointCloud | None = None
    seconds: float = 0.0
    logged: list[str] = field(default_factory=list)

    def as_json(self) -> list[dict[str, Any]]:
        # `is not None`: a cloud of no points is falsy.
        earlier = len(self.before.history) if self.before is not None else 0
        told = self.after.history[earlier:] if self.after is not None else ()
        last = len(self.stages) - 1
        found = []
        for number, stage in enumerate(self.stages):
            records = told if not last else told[number : number + 1]
            figures: dict[str, Any] = {}
            for record in records:
                figures.update(record.figures)
            found.append(
                {
                    "type": stage.type_name,
                    "tag": stage.tag,
                    "step": self.steps[number] + 1,
                    "file": self.file,
                    "options": stage.model_dump(mode="json", by_alias=True, exclude={"tag", "user_data"}),
                    "runs_in": runs_in(stage),
                    "seconds": round(self.seconds, 3) if number == last else None,
                    "points_in": len(self.before) if self.before is not None and not number else None,
                    "points_out": len(self.after) if self.after is not None and number == last else None,
                    "figures": figures,
                    "moved": moved(self.before, self.after) if not last else None,
                    "warnings": [
                        *(warning for record in records for warning in record.warnings),
                        *(self.logged if number == last else ()),
                    ],
                }
            )
        return found


def moved(before: PointCloud | None, after: PointCloud | None) -> dict[str, Any] | None:
    """How far points went between two clouds of the same points: JSON values, cloud units; None where none went."""
    if before is None or after is None or after.xyz is before.xyz or not np.array_equal(before.rows, after.rows):
        return None
    rows = before.located & after.located
    lengths = np.linalg.norm(after.xyz[rows] - before.xyz[rows], axis=1)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return None
    median, p95, longest = (float(one) for one in np.quantile(lengths, [0.5, 0.95, 1.0]))
    return {"points": len(lengths), "median": median, "p95": p95, "max": longest, "units": "cloud units"}


def runs_in(stage: Stage) -> str:
    """The program that runs ``stage``, with its version where it is not deburr."""
    return "deburr" if stage.host is None else f"{stage.host.name} {stage.host.version() or ''}".rstrip()


class Account:
    """Gathers the entries of a run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._entries: list[Entry] = []
        self._began = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._read = [
            identity(path, "input" if isinstance(stage, Reader) else option)
            for stage in plan.stages
            for option, path in stage.reads.items()
        ]

    @contextmanager
    def of(self, stages: Sequence[Stage], before: PointCloud | None, file: str | None = None) -> Iterator[Entry]:
        """Time stages that run together and catch what they log as a warning; ``file``: as of `Entry`."""
        steps = [n for n, one in enumerate(self._plan.stages) if any(one is stage for stage in stages)]
        entry = Entry(stages, before, steps, file)
        clock = time.perf_counter()
        with _listening(entry.logged):
            yield entry
        entry.seconds = time.perf_counter() - clock
        self._entries.append(entry)

    def _units(self) -> str:
        """Of lengths: what the first stage found."""
        first = next((entry.after for entry in self._entries if entry.after is not None), None)
        return crs.UNITS if first is None else crs.length_unit(first)

    def warn(self, warnings: Sequence[str]) -> None:
        """Add ``warnings`` to those of the last stage."""
        self._entries[-1].logged += warnings

    @property
    def read(self) -> PointCloud | None:
        """The cloud as it was read; None where several were."""
        found = [entry.after for entry in self._entries if isinstance(entry.stages[0], Reader)]
        return found[0] if len(found) == 1 else None

    def as_json(self) -> dict[str, Any]:
        """JSON values only: numpy's become Python's, NaN and infinity become null."""
        stages = [one for entry in self._entries for one in entry.as_json()]
        _warn_of_scales(self._plan, stages)
        outputs = _outputs(self._plan, stages)
        read = [one for one in self._read if one is not None]
        written = [one for one in (identity(path, "output") for path in outputs) if one is not None]
        inputs = [one for one in read if one["role"] == "input"]
        return dict(
            plain(
                {
                    "kind": "run",
                    "version": report_schema.VERSION,
                    "spec_file": self._plan.origin or None,
                    "spec": self._plan.as_json(),
                    "input": inputs[0] if len(inputs) == 1 else None,
                    "files": [*read, *written],
                    "outputs": outputs,
                    "began": self._began.isoformat(timespec="seconds"),
                    "seconds": round(time.perf_counter() - self._clock, 3),
                    "peak_memory_mb": peak_memory_mb(),
                    "units": self._units(),
                    "stages": stages,
                    "versions": versions(),
                }
            )
        )


def _outputs(plan: Plan, stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files that were written. A writer of another program may leave several, or none."""
    found: list[str] = []
    for entry in stages:
        stage = plan.stages[entry["step"] - 1]
        if isinstance(stage, Writer):
            found += entry["figures"].get(FILES, [stage.filename] if stage.filename else [])
    return found


def _warn_of_scales(plan: Plan, stages: Sequence[dict[str, Any]]) -> None:
    """Add a warning to each writer that rounds coordinates to coarser steps than the noise that was taken out."""
    noise = [told for one in stages if (told := one["figures"].get(NOISE))]
    for one in stages:
        scale, stage = steps(one["figures"]), plan.stages[one["step"] - 1]
        if noise and scale and isinstance(stage, Writer):
            one["warnings"] += coarse(scale, max(noise), stage)


def coarse(scale: Sequence[float], noise: float, writer: Writer) -> list[str]:
    """A warning of a file whose steps, ``scale`` (x, y, z), are coarser than the ``noise``; in the same units."""
    axes = [axis for axis, step in zip("xyz", scale, strict=True) if step > noise]
    if not axes:
        return []
    named = " and ".join(dict.fromkeys(f"'{writer.finer.format(axis=axis)}'" for axis in axes if writer.finer))
    remedy = f"give the writer a finer {named}" if named else "write a format with finer steps"
    return [
        f"coordinates are rounded to {max(scale):.3g}, which is coarser than the noise of {noise:.3g} that was taken "
        f"out, and undoes most of it; {remedy}"
    ]


@contextmanager
def _listening(messages: list[str]) -> Iterator[None]:
    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Collector(logging.WARNING)
    logger = logging.getLogger("deburr")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def identity(path: str, role: str = "input") -> dict[str, Any] | None:
    """Role, path, size in bytes and SHA-256 of a file; None for one that cannot be read, which its reader explains
    better. The ``role`` is ``input``, ``output``, or the option that names the file."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"role": role, "path": path, "bytes": os.fstat(file.fileno()).st_size, "sha256": digest}
    except OSError:
        return None


def peak_memory_mb() -> float | None:
    """The most memory this process has held, in MB (10^6 bytes); None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result; imports none of them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """JSON values only: numpy's become Python's, NaN and infinity null; addresses without what is secret."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else shown(str(value))


def write(folder: Path, cloud: PointCloud, report: dict[str, Any], read: PointCloud | None = None) -> None:
    """Write ``report.json``, ``report.html`` and ``section.png`` into ``folder``, and ``noise.png`` where noise was
    found that differs from place to place. ``read``: the cloud as it was read. Raises `WriteError`."""
    from deburr.core.crs import words as crs
    from deburr.show import noise_map
    from deburr.show.page import facts, page, scene
    from deburr.show.picture import as_written, draw

    noise_map.leave(folder, [record.sums for record in cloud.history], crs.length_unit(cloud))
    seen = as_written(cloud)
    with replacing(folder / PICTURE) as temporary:
        draw(seen, temporary)
    title = Path(str((report["input"] or {}).get("path", "points"))).name
    page.write(folder / page.NAME, title, scene.of_run(seen, read), facts.of_run(report, seen))
    with replacing(folder / NAME) as temporary:
        temporary.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def written(folder: str | os.PathLike[str]) -> list[str]:
    """The paths that `write` fills, for the command line to print."""
    from deburr.show import noise_map
    from deburr.show.page import page

    paths = [Path(folder) / name for name in (NAME, page.NAME, PICTURE, noise_map.NAME)]
    return [str(path) for path in paths if path.exists()]
