"""Runs a batch: unpacks what must be cut, surveys, cleans tile by tile, puts files together, accounts for it all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deburr.batch import layout as batch_tiles
from deburr.batch.layout import Output, Tile
from deburr.batch.ledger import Ledger
from deburr.batch.prepare import Prepared
from deburr.batch.resume import Past
from deburr.batch.space import Footprint, everything
from deburr.batch.tasks import Clean, OnTile, Survey, Task, Unpack, Write, as_json
from deburr.batch.work import results_of, still_there, sums_of
from deburr.core.cut import Box
from deburr.core.errors import RunError
from deburr.core.sums import merge
from deburr.engine.queue import Outcome
from deburr.engine.run import run as run_tasks
from deburr.scratch.input_file import FileRef
from deburr.scratch.room import check_room, is_short, make_scratch
from deburr.scratch.store import FETCHED, inside
from deburr.tiles.surveys import Passes, sample
from deburr.tiles.tile import Core, Work

_DO = "deburr.batch.work:do"
#: Files that a warning names, at most.
_NAMED = 3
#: Folders in scratch: unpacked points, what surveys counted, results of tiles.
_POINTS, _SUMS, _PIECES = "points", "sums", "pieces"
_LEFT = (
    "is not done, or what lies around it has changed since; --retry-failed does only what had failed: run again "
    "without it"
)


class View(Protocol):
    """Whoever watches; see `deburr.cli.batch_view.BatchView`."""

    def stage(self, name: str, total_tiles: int, total_points: int) -> None: ...
    def resumed(self, tiles: int, points: int) -> None: ...
    def done(self, record: Mapping[str, Any]) -> None: ...
    def note(self, sentence: str) -> None: ...
    def failed(self, id: str, error: str, points: int = 0) -> None: ...
    def warn(self, sentence: str) -> None: ...
    def finish(self, totals: Mapping[str, Any]) -> None: ...


class Silent:
    """A `View` that looks away."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *args, **options: None


@dataclass(frozen=True)
class Means:
    """What a batch runs on: processes or a Dask scheduler, the ledger (None: nothing is resumed).

    ``keep`` all unpacked points to the end, for who still needs them then.
    """

    workers: int = 1
    scheduler: str | None = None
    ledger: Ledger | None = None
    only_failed: bool = False
    keep: bool = False


@dataclass
class Account:
    """What became of it: records of tiles and outputs by id, errors by id."""

    tiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    tasks: int = 0
    skipped: int = 0


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Files that are cleaned together, by number, their tiles, and what has been found out of them."""

    files: tuple[int, ...]
    tiles: Sequence[Tile]
    passes: Passes


class _Unreadable(Exception):
    """Files that proved unreadable in the middle of the work, by number, and why."""

    def __init__(self, errors: Mapping[int, str]) -> None:
        super().__init__()
        self.errors = errors


class Batch:
    """One run of a batch. ``scratch``: a folder for what is needed in between, on a disk all workers see.

    ``prepared`` is what is worked on: files that prove unreadable are left out of it, and all else is done as if they
    were not there.
    """

    def __init__(self, prepared: Prepared, scratch: Path, means: Means, view: View) -> None:
        self.prepared, self._scratch, self._means, self._view = prepared, scratch, means, view
        self._gone: list[FileRef] = []
        self._take(prepared)

    def _take(self, prepared: Prepared) -> None:
        self.prepared, self._job = prepared, prepared.job
        self._past = Past(self._job, self._means.ledger)
        self.account = Account(errors=dict(prepared.failed))

    def run(self, side: float | None = None) -> Account:
        """Do everything that is not done already. Raises `RunError` where nothing can go on."""
        for path, error in self.prepared.failed.items():
            self._view.failed(path, error)
            self._past.mark(path, error)
        make_scratch(self._scratch, (_POINTS, _SUMS, _PIECES, FETCHED))
        while True:
            try:
                self._run(side)
                break
            except _Unreadable as found:
                self._leave_out(found.errors)
        self._tell_of_borders()
        return self.account

    def _leave_out(self, errors: Mapping[int, str]) -> None:
        """Go on without files that cannot be read. Raises `RunError` if none is left."""
        gone = [file for file in self._job.store.files if file.number in errors]
        for file in gone:
            self._view.failed(file.path, errors[file.number], file.extent.count)
            self._past.mark(file.path, errors[file.number])
        self._gone += gone
        left = self.prepared.without(errors)
        if all(file.context for file in left.job.store.files):
            raise RunError("no input can be read; see the failures above")
        self._take(left)

    def _tell_of_borders(self) -> None:
        """Warn of outputs that would be other ones if a file beside them could be read."""
        told = []
        for file in [] if self._job.independent else self._gone:
            beside = dict.fromkeys(
                path
                for tile in self.account.tiles.values()
                if tile.get("halo") is not None and _meets(file, _around(tile["box"], tile["halo"]))
                for path in tile["files"]
            )
            if beside:
                names = ", ".join(Path(path).name for path in [*beside][:_NAMED])
                more = f" and {len(beside) - _NAMED:,} more" if len(beside) > _NAMED else ""
                told.append(
                    f"{file.path}: could not be read, and {names}{more} beside it were cleaned as if nothing lay "
                    "there: mend or replace it, and run again for borders without a seam"
                )
        for sentence in told:
            self._view.warn(sentence)
        self.prepared = replace(self.prepared, warnings=[*self.prepared.warnings, *told])

    def _run(self, side: float | None) -> None:
        self._short = is_short(self._scratch, everything(self._job))
        self._setup = {"job": str(self._job.save(self._scratch)), "secrets": self._job.store.secrets}
        # Those first that could not be read the last time: all else depends on whether they can be now.
        doubtful = [file.number for file in self._job.store.files if self._past.had_failed(file.path)]
        windows = {number: batch_tiles.window(self._job, number) for number in doubtful}
        self._unpack(windows)
        large = [file.number for file in batch_tiles.large(self._job)]
        self._unpack({number: batch_tiles.window(self._job, number) for number in large})
        tiles = batch_tiles.tiles(self._job, self.prepared.outputs, side)
        clouds = self._clouds(tiles)
        new = []
        for cloud in clouds:
            remembered = self._past.known(self._around(cloud), self._means.only_failed)
            if remembered is None:
                new.append(cloud)
            else:
                cloud.passes.known = list(remembered)
        lost = self._survey(new)
        self._clean([cloud for cloud in clouds if cloud not in lost])
        self._tell_of_tiles(tiles)
        self._write(tiles)
        for file in self._job.store.files:
            self._past.mark(file.path, None)

    def _unpack(self, windows: Mapping[int, Box | None]) -> None:
        """Unpack what is not yet of files by number: a window, or all (None). Raises `_Unreadable` with all that cannot
        be read, each by its own fault: what has not been worked on yet need not be done again."""
        store = self._job.store
        files = [file for file in store.files if file.number in windows]
        tasks = {
            file.path: Unpack(id=file.path, points=self._points(file, window), file=file.number, window=_listed(window))
            for file in files
            if not store.is_unpacked(file.number, window := windows[file.number])
        }
        if not tasks:
            return
        self._view.stage("unpacking", len(tasks), sum(task.points for task in tasks.values()))
        unread: dict[int, str] = {}
        with closing(self._done(tasks.values())) as outcomes:
            for outcome in outcomes:
                if outcome.record is not None and "unread" not in outcome.record:
                    self._view.done({"points": tasks[outcome.id].points, **outcome.record})
                elif outcome.record is not None:
                    unread[outcome.record["unread"]] = outcome.record["error"]
                elif outcome.died:
                    # Nothing else was done meanwhile by that worker: it is the file that it did not survive.
                    unread[tasks[outcome.id].file] = f"{outcome.id}: cannot be read: {outcome.error}"
                # What else went wrong (a full disk, say) is no fault of the file's, and is met again by its tiles.
        if unread:
            raise _Unreadable(unread)

    @staticmethod
    def _points(file: FileRef, window: Box | None) -> int:
        return file.extent.count if window is None else inside(file, *window).count

    def _clouds(self, tiles: Sequence[Tile]) -> list[_Cloud]:
        """All files are one, or each is one of its own."""
        mine = [file.number for file in self._job.store.files if not file.context]
        parts = [(number,) for number in mine] if self._job.independent else [tuple(mine)]
        of: dict[int, list[Tile]] = {}
        for tile in tiles:
            of.setdefault(tile.core.files[0], []).append(tile)
        alone = self._job.independent
        return [
            _Cloud(files, of.get(files[0], []) if alone else tiles, Passes(self._job.filters, self._job.places))
            for files in parts
        ]

    def _around(self, cloud: _Cloud) -> list[int]:
        """All files that what is found out of a cloud hangs on, its context among them."""
        return [file.number for file in self._job.around(cloud.files).files]

    def _survey(self, clouds: Sequence[_Cloud]) -> list[_Cloud]:
        """Find out what is to be known of each cloud; those of which nothing could be. Raises `RunError` if all are."""
        lost: list[_Cloud] = []
        partly: set[_Cloud] = set()
        number = 0
        while works := [(cloud, work) for cloud in clouds if cloud not in lost and (work := cloud.passes.survey())]:
            number += 1
            asked = [(cloud, work, self._surveyed(cloud, work, number)) for cloud, work in works]
            records = self._pass(f"survey {number}", [task for *_, tasks in asked for task in tasks])
            for cloud, work, tasks in asked:
                found = [sums_of(records[task.id]) for task in tasks if task.id in records]
                if tasks and not found:
                    lost.append(cloud)
                    error = self.account.errors[tasks[0].id]
                    self.account.errors |= dict.fromkeys((tile.id for tile in cloud.tiles), error)
                    continue
                if len(found) < len(tasks):
                    partly.add(cloud)
                cloud.passes.learn(work, merge(found))
                if cloud.passes.survey() is None:
                    self._past.remember(self._around(cloud), cloud.passes.known, complete=cloud not in partly)
            if len(lost) == len(clouds):
                raise RunError("no part of the cloud could be surveyed; see the failures above")
        return lost

    def _surveyed(self, cloud: _Cloud, work: Work, number: int) -> list[Survey]:
        """The tasks of a survey: cells of a sample, or all tiles."""
        points_of, about = self._job.around(cloud.files), self._job.about(cloud.files)
        chosen = sample(work, about)
        if chosen is None:
            parts = [(tile.id, tile.core, tile.points) for tile in cloud.tiles if tile.points]
        else:
            parts = []
            name = f"{self._paths(cloud.files)[0]} " if self._job.independent else ""
            for x, y, right, top in chosen.cells(about):
                low, high = batch_tiles.place(x, y), batch_tiles.place(right, top)
                if self._job.bounds is not None:
                    low, high = np.maximum(low, self._job.bounds[0]), np.minimum(high, self._job.bounds[1])
                core = Core(low, high, cloud.files)
                points = points_of.count(core.low, core.high)
                if points:
                    parts.append((f"{name}{x:g}_{y:g}", core, points))
        return [
            Survey(
                id=f"survey-{number}-{name}",
                part=name,
                points=points,
                core=core,
                halo=self._halo(work, core),
                known=[*work.known, work.asked],
                surveyor=len(work.stages),
                folder=str(self._scratch / _SUMS),
            )
            for name, core, points in parts
        ]

    def _clean(self, clouds: Sequence[_Cloud]) -> None:
        works = [(tile, cloud.passes.work()) for cloud in clouds for tile in cloud.tiles]
        tiles = [tile for tile, _ in works]
        parts = Counter(tile.output for tile in tiles)
        alone = {output.id: output for output in self.prepared.outputs if parts[output.id] == 1}
        tasks = [
            Clean(
                id=tile.id,
                points=tile.points,
                core=tile.core,
                halo=self._halo(work, tile.core),
                known=work.known,
                targets=alone[tile.output].targets if tile.output in alone else None,
                may_be_empty=alone[tile.output].may_be_empty if tile.output in alone else True,
                folder=str(self._scratch / _PIECES),
            )
            for tile, work in works
        ]
        spared = self._spared(tasks, tiles)
        records = self._pass("cleaning", [replace(task, spared=task.id in spared) for task in tasks])
        self.account.tiles = dict(records)
        for tile in tiles:
            if tile.output in alone and tile.id in records:
                self.account.outputs[tile.output] = {"written": records[tile.id]["written"]}

    def _tell_of_tiles(self, tiles: Sequence[Tile]) -> None:
        """Say of each tile, cleaned or not, where it is and what was wrong with it."""
        records = self.account.tiles
        self.account.tiles = {}
        for tile in tiles:
            box = [*tile.core.low.tolist(), *tile.core.high.tolist()]
            told = {"id": tile.id, "files": self._paths(tile.core.files), "box": box}
            error = self.account.errors.get(tile.id)
            self.account.tiles[tile.id] = {**told, "points": tile.points, "error": error, **records.get(tile.id, {})}

    def _write(self, tiles: Sequence[Tile]) -> None:
        """Put the outputs of several tiles together."""
        pieces = _by_output(tiles)
        tasks = []
        for output in self.prepared.outputs:
            parts = pieces.get(output.id, [])
            lost = [tile.id for tile in parts if self.account.tiles[tile.id]["error"]]
            if len(parts) < 2 or lost:
                if lost and len(parts) > 1:
                    self.account.errors[output.id] = f"{len(lost)} of its {len(parts)} tiles failed ({lost[0]})"
                continue
            tasks.append(self._put_together(output, parts, self.account.tiles))
        records = self._pass("writing", tasks)
        for task in tasks:
            if task.id in records:
                self.account.outputs[task.output] = {"written": records[task.id]["written"]}

    def _put_together(self, output: Output, parts: Sequence[Tile], records: Mapping[str, Mapping[str, Any]]) -> Write:
        """The task to write an output of the results that the ``records`` of its tiles name."""
        folders = [
            {tile.core.files[place]: folder for place, folder in results_of(records[tile.id]).items()} for tile in parts
        ]
        return Write(
            id=f"write-{output.id}",
            points=sum(tile.points for tile in parts),
            output=output.id,
            sources=[(number, [one[number] for one in folders if number in one]) for number in output.files],
            targets=output.targets,
            may_be_empty=output.may_be_empty,
            of=[[records[tile.id][name] for name in ("key", "near")] for tile in parts],
        )

    def _spared(self, tasks: Sequence[Clean], tiles: Sequence[Tile]) -> set[str]:
        """The tiles whose results stand in an output already: these need not be in scratch any more."""
        by_id, found = {task.id: task for task in tasks}, set[str]()
        pieces = _by_output(tiles)
        for output in self.prepared.outputs:
            parts = pieces.get(output.id, [])
            before = {tile.id: self._past.before(by_id[tile.id]) for tile in parts} if len(parts) > 1 else {}
            records = {id_: record for id_, record in before.items() if record is not None}
            if not before or len(records) < len(before):
                continue
            written = self._past.before(self._put_together(output, parts, records))
            if written is not None and still_there(written):
                found.update(tile.id for tile in parts)
        return found

    # -- passes -----------------------------------------------------------------------------------------------------

    def _pass(self, name: str, tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
        """Do the tasks that are not done already; records by id."""
        if not tasks:
            return {}
        by_id = {task.id: task for task in tasks}
        records: dict[str, dict[str, Any]] = {}
        waiting, left = list[Task](), list[Task]()
        for task in tasks:
            before = self._past.before(task)
            if before is not None and ((isinstance(task, Clean) and task.spared) or still_there(before)):
                records[task.id] = before
            elif self._wanted(task):
                # Named by all that it depends on: what another spec left there is not taken for it.
                waiting.append(replace(task, name=self._past.name(task)))
            else:
                left.append(task)
        # What the last pass over the points has read is not read again; where space is short, nor kept in between.
        spent = () if self._means.keep else (Clean, Survey) if self._short else (Clean,)
        reading = [task for task in waiting if isinstance(task, OnTile)]
        again = {number for one in reading if not isinstance(one, Clean) or one.targets is None
                 for number in one.core.files}  # fmt: skip
        spare = Footprint(self._job, [task for task in reading if isinstance(task, spent)], again)
        check_room(self._scratch, spare.most())
        if not self._short:
            self._unpack(Footprint(self._job, reading).windows)
        # How many points a tile has is known when it is read; before, it is guessed a little too high.
        whole = sum(self._job.count(file.number) for file in self._job.store.files if not file.context)
        self._view.stage(name, len(tasks), min(sum(task.points for task in tasks), whole))
        for task in left:
            self.account.errors[task.id] = _LEFT
            self._view.failed(task.shown, _LEFT, task.points)
        self.account.skipped += len(records)
        self.account.tasks += len(waiting)
        if records:
            self._view.resumed(len(records), sum(by_id[id_].points for id_ in records))
        with closing(self._done(waiting)) as outcomes:
            for outcome in outcomes:
                task = by_id[outcome.id]
                spare.done(outcome.id)
                if outcome.record is not None and "unread" in outcome.record:
                    raise _Unreadable({outcome.record["unread"]: outcome.record["error"]})
                if self._tell(outcome, task) and outcome.record is not None:
                    records[outcome.id] = self._past.add(task, outcome.record)
                self._past.mark(outcome.id, outcome.error)
        return records

    def _done(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        means = self._means
        yield from run_tasks(
            map(as_json, tasks), _DO, setup=self._setup, workers=means.workers, scheduler=means.scheduler
        )

    def _tell(self, outcome: Outcome, task: Task) -> bool:
        if outcome.error is None and outcome.record is not None:
            self._view.done({"points": task.points, **outcome.record, "id": task.shown})
            return True
        self.account.errors[outcome.id] = outcome.error or "failed"
        self._view.failed(task.shown, outcome.error or "failed", task.points)
        return False

    def _wanted(self, task: Task) -> bool:
        if not self._means.only_failed or not isinstance(task, Clean):
            return True
        return self._past.had_failed(task.id) or any(map(self._past.had_failed, self._paths(task.core.files)))

    def _halo(self, work: Work, core: Core) -> float:
        """A first guess by how densely the points of the tile's files lie."""
        mine = [file for file in self._job.store.files if file.number in core.files and _meets(file, core)]
        return max((batch_tiles.halo(work, file.extent) for file in mine), default=0.0)

    def _paths(self, numbers: Iterable[int]) -> list[str]:
        wanted = set(numbers)
        return [file.path for file in self._job.store.files if file.number in wanted]


def _listed(window: Box | None) -> Sequence[Sequence[float]] | None:
    return None if window is None else [side.tolist() for side in window]


def _around(box: Sequence[float], halo: float) -> Core:
    """The box of a tile, low x, low y, high x, high y, and what lies around it within ``halo``."""
    low, high = np.array(box[:2]), np.array(box[2:])
    return Core(low - halo, high + halo, ())


def _meets(file: FileRef, core: Core) -> bool:
    return bool(file.extent.count and (file.low <= core.high).all() and (file.high >= core.low).all())


def _by_output(tiles: Iterable[Tile]) -> dict[str, list[Tile]]:
    found: dict[str, list[Tile]] = {}
    for tile in tiles:
        found.setdefault(tile.output, []).append(tile)
    return found


def clear(scratch: Path) -> None:
    """Remove a scratch folder, whatever is left in it."""
    with suppress(OSError):
        shutil.rmtree(scratch)


def outputs_of(account: Account) -> Iterator[Mapping[str, Any]]:
    """Every file that was written."""
    for output in account.outputs.values():
        yield from output["written"]
