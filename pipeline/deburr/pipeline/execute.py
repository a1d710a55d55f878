"""Runs a plan on one cloud in memory, and keeps account of it for the report."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from deburr.core import web
from deburr.core.addresses import is_address
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.core.errors import DeburrWarning, ReadError, RunError, SpecError, WriteError
from deburr.core.files import check_folder
from deburr.core.host import HostError
from deburr.core.interrupts import whole_import
from deburr.core.merging import merge
from deburr.core.phases import phase
from deburr.core.progress import advance
from deburr.core.stage import Filter, Outline, Reader, Stage, Writer
from deburr.pipeline import notebook, report
from deburr.pipeline.apart import check_run
from deburr.pipeline.blame import blamed
from deburr.pipeline.compatible import check_alike
from deburr.pipeline.plan import Plan, Step, joins, load
from deburr.pipeline.resolve import Override
from deburr.pipeline.spec import Source
from deburr.show import noise_map
from deburr.show.page import page

notebook.show_clouds()

#: What a run may leave in the folder of its report.
LEFT = (report.NAME, page.NAME, report.PICTURE, noise_map.NAME)


@dataclass(frozen=True)
class Result:
    """What `run` returns: the cloud that left the last stage, and the run ``report`` (JSON values).

    ``points``: that cloud; None where it was never in memory as a whole.
    """

    points: PointCloud | None
    report: dict[str, Any]

    @property
    def cloud(self) -> PointCloud:
        """The cloud that left the last stage. Raises `RunError` after a run in tiles."""
        if self.points is None:
            raise RunError("the file was run in tiles, and its points were never in memory together; read the output")
        return self.points

    @property
    def xyz(self) -> Floats:
        """(N, 3) float64, world coordinates; row i is input row i unless a stage removed points."""
        return self.cloud.xyz

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """What each stage found, by its tag or its type; of a name that was met before, with its place: ``type 3``."""
        found: dict[str, dict[str, Any]] = {}
        for number, stage in enumerate(self.report["stages"], 1):
            name = stage["tag"] or stage["type"]
            found[name if name not in found else f"{name} {number}"] = dict(stage["figures"])
        return found

    def to_dataframe(self) -> Any:
        """A pandas ``DataFrame`` of the points: X, Y, Z and every dimension. Raises `RunError` without pandas."""
        try:
            frame = whole_import("pandas").DataFrame
        except ImportError as error:
            raise RunError("pandas is not installed; pip install pandas") from error
        places = dict(zip("XYZ", self.xyz.T, strict=True))
        columns = {name: column for name, column in self.cloud.dims.items() if column.ndim == 1}
        return frame({**places, **columns})

    def _repr_html_(self) -> str:
        """In a notebook: the page of the report."""
        return notebook.of_result(self)


def run(
    source: Source,
    *,
    input: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | Iterable[Override] = (),
    points: npt.ArrayLike | None = None,
    dims: Mapping[str, npt.ArrayLike] | None = None,
    report_dir: str | os.PathLike[str] | None = None,
    memory: int | str | None = None,
) -> Result:
    """Check a pipeline, then run it: ``run(["filters.spd"], points=xyz).xyz``.

    Parameters
    ----------
    source, input, output, overrides
        As in `deburr.pipeline.plan.load`.
    points : (N, 3) array, optional
        World coordinates, in place of a reader. The array is not changed.
    dims : mapping of name to (N,) array, optional
        More columns for ``points``, by PDAL's names (``Classification``, ...).
    report_dir : path, optional
        Folder for ``report.json``, ``report.html``, ``section.png``, maybe ``noise.png``; made if it is missing.
    memory : int or str, optional
        Use no more than so many bytes, or such as ``"2GB"``: a larger file is run in tiles, with the same output. The
        result then has a report alone.

    Raises
    ------
    SpecError
        Before anything is read: all that is wrong with the pipeline.
    RunError
        A file, the data or the machine stopped the run. No output is left half-written.

    Warns
    -----
    DeburrWarning
        When all is done: what the stages warn of, which is in the report, too.
    """
    cloud = None if points is None else given(points, dims or {})
    plan = load(source, input=input, output=output, overrides=overrides, reads=points is None)
    if memory is not None and cloud is None:
        # Tiles are of another floor, which nothing else here needs.
        report, told = whole_import("deburr.batch.one_file").within(plan, memory, report_dir)
        if report is not None:
            for sentence in told:
                warnings.warn(sentence, DeburrWarning, stacklevel=2)
            return Result(None, report)
    with notebook.bar():
        result = execute(plan, cloud, report_dir)
    for entry in result.report["stages"]:
        for warning in entry["warnings"]:
            warnings.warn(f"{plan.steps[entry['step'] - 1].where}: {warning}", DeburrWarning, stacklevel=2)
    return result


def given(points: npt.ArrayLike, dims: Mapping[str, npt.ArrayLike]) -> PointCloud:
    """A cloud of the caller's arrays. Raises `ReadError` for other shapes than (N, 3) and (N,), NaN and infinity."""
    import numpy as np

    if not isinstance(dims, Mapping):
        raise ReadError(f"dims: is a {type(dims).__name__}; give a mapping of names to columns, one value a point")
    try:
        # A copy: the caller may write into its array while the cloud, which is frozen, lives on.
        cloud = PointCloud(np.array(points, dtype=np.float64), {name: np.array(dims[name]) for name in dims})
    except (TypeError, ValueError) as error:
        raise ReadError(f"points: {error}; give an (N, 3) array of numbers and columns of N values") from error
    bad = int((~np.isfinite(cloud.xyz)).any(axis=1).sum())
    if bad:
        raise ReadError(f"points: {bad} of {len(cloud)} have a coordinate that is NaN or infinite; remove them first")
    return cloud


def execute(plan: Plan, cloud: PointCloud | None = None, report_dir: str | os.PathLike[str] | None = None) -> Result:
    """Run ``plan`` on ``cloud``, or on what its reader reads. Raises `RunError`, and `SpecError` where what is read
    would be overwritten."""
    folder = None if report_dir is None else Path(report_dir)
    check_run(plan, folder, LEFT)
    with _report_folder(folder):
        check_outputs(plan)
        check_readable(plan)
        account = report.Account(plan)
        files = [] if cloud is None else [cloud]
        number = 0
        for steps in plan.runs:
            number += len(steps)
            advance(f"{number}/{len(plan.steps)} {', '.join(step.stage.type_name for step in steps)}", 0, 0)
            if isinstance(steps[0].stage, Reader):
                files.append(_run(steps, None, account))
                continue
            told: list[str] = []
            if len(files) > 1 and joins(steps[0].stage):
                with _blamed(steps, None):
                    merged, told = _merged(plan, files)
                files = [merged]
            alone = [plan.readers[i].filename for i in range(len(files))] if len(files) > 1 else [None]
            files = [_run(steps, one, account, name) for one, name in zip(files, alone, strict=True)]
            if len(files) > 1 and any(isinstance(one := step.stage, Filter) and one.looks_around for step in steps):
                told = [_ALONE]
            account.warn(told)
        with _blamed(plan.steps[-1:], None):
            cloud, told = _merged(plan, files)
        account.warn(told)
        result = Result(cloud, account.as_json())
        if folder is not None:
            report.write(folder, result.cloud, result.report, account.read)
    return result


def _run(
    steps: Sequence[Step], cloud: PointCloud | None, account: report.Account, alone: str | None = None
) -> PointCloud:
    """What the ``steps``, run together, make of ``cloud``; ``alone``: the file that it is of, where there are more."""
    stages = [step.stage for step in steps]
    name = ", ".join(stage.type_name for stage in stages)
    with _blamed(steps, cloud), account.of(stages, cloud, alone) as entry, phase(name):
        entry.after = _apply(stages, cloud)
        return entry.after


#: Said once of a stage, however many files there are.
_ALONE = (
    "each file is treated without the others, as in PDAL, and points near its border lack neighbours; "
    "put 'filters.merge' behind the readers to treat all as one cloud"
)


def _merged(plan: Plan, files: Sequence[PointCloud]) -> tuple[PointCloud, list[str]]:
    """One cloud of all ``files``, which must be in the same units and reference system, and warnings.

    Raises `RunError`.
    """
    if len(files) == 1:
        return files[0], []
    outlines = [Outline(one.extent, one.crs, one.units, "") for one in files]
    try:
        told = check_alike([(reader.filename, one) for reader, one in zip(plan.readers, outlines, strict=True)])
    except SpecError as error:
        raise RunError(str(error)) from error
    merged, more = merge(files)
    return merged, [*told, *more]


@contextmanager
def _blamed(steps: Sequence[Step], cloud: PointCloud | None) -> Iterator[None]:
    """Say at which of the ``steps``, run together, an error arose."""
    try:
        with blamed(steps[0].where, 0 if cloud is None else len(cloud)):
            yield
    except HostError as error:
        where = next((step.where for step in steps if step.stage is error.stage), steps[0].where)
        raise RunError(f"{where}: {error}") from error


def _apply(stages: Sequence[Stage], cloud: PointCloud | None) -> PointCloud:
    stage = stages[0]
    if stage.host is not None:
        return stage.host.run(stages, cloud)
    if isinstance(stage, Reader):
        return stage.read()
    assert cloud is not None, "a plan begins with a reader or with points"
    check_needs(stage, cloud)
    if isinstance(stage, Writer):
        return stage.write(cloud)
    assert isinstance(stage, Filter), f"{stage.type_name} is neither reader, filter nor writer"
    return stage.run(cloud)


def check_outputs(plan: Plan) -> None:
    """Find out before the long work that an output cannot be written. Raises `WriteError`."""
    for step in plan.steps:
        if isinstance(step.stage, Writer) and step.stage.path is not None:
            with blamed(step.where):
                check_writable(Path(os.path.abspath(step.stage.path)))


def check_needs(stage: Stage, cloud: PointCloud) -> None:
    """Raise `RunError` for a dimension that ``stage`` needs and ``cloud`` has not."""
    missing = sorted(stage.needs - set(cloud.dims))
    if missing:
        raise RunError(f"needs the dimension '{missing[0]}', which the cloud has not; remove the stage or add it")


def check_readable(plan: Plan) -> None:
    """Find out before the long work that a file which a filter reads is not there. Raises `ReadError`."""
    for problem in missing_files(plan):
        raise ReadError(problem)
    for path in (path for one in plan.stages if isinstance(one, Filter) for path in one.reads.values()):
        if is_address(path):
            web.state_of(path)


def missing_files(plan: Plan) -> list[str]:
    """The files which filters read here and that are not there, one sentence each."""
    return [
        f"{step.where}: {path}: does not exist; check the path that '{option}' gives"
        for step in plan.steps
        if isinstance(step.stage, Filter)
        for option, path in step.stage.reads.items()
        if not (is_address(path) or os.path.exists(path))
    ]


def check_writable(path: Path) -> None:
    """Find out before the long work, not after it, that ``path`` cannot be written. Raises `WriteError`."""
    try:
        check_folder(path)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{path}: folder {path.parent} cannot be written ({reason}); choose another output") from error


@contextmanager
def _report_folder(folder: Path | None) -> Iterator[None]:
    """Make the folder of the report; take it away again if the run fails and left nothing in it."""
    if folder is None:
        yield
        return
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise WriteError(f"{folder}: the report's folder cannot be made ({reason}); choose another") from error
    try:
        check_writable(folder / report.NAME)
        yield
    except BaseException:
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise
