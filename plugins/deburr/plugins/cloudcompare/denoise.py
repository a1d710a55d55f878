"""The action: selected clouds go to deburr, which runs beside CloudCompare, and come back as new ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pycc

from .. import child, handover
from . import clouds, settings
from .settings import Refused, Settings

_NOT_FOUND = "; in CloudCompare, the action 'Where the settings are' tells of the file in which 'command' names it"


def denoise() -> None:
    """Denoise what is selected. What is wrong is told in a sentence, in a window and in the console."""
    cloudcompare = pycc.GetInstance()
    try:
        chosen = selected(cloudcompare)
        given = settings.read(settings.path())
        command = _found(given)
    except Refused as error:
        pycc.ccLog.Error(f"deburr: {error}")
        return
    progress = Progress(len(chosen))
    cloudcompare.freezeUI(True)
    try:
        for number, cloud in enumerate(chosen):
            progress.begin(number, cloud.getName())
            new = denoised(cloud, command, given.options, progress)
            if new is None:
                pycc.ccLog.Warning(f"deburr: given up; {number} of {len(chosen)} clouds are done")
                return
            beside(cloudcompare, cloud, new)
    except Refused as error:
        pycc.ccLog.Error(f"deburr: {error}")
    finally:
        progress.end()
        cloudcompare.freezeUI(False)
        cloudcompare.updateUI()


def selected(cloudcompare: Any) -> list[Any]:
    """The clouds that are selected, and those in selected groups, each once. Raises `Refused`."""
    found = {cloud.getUniqueID(): cloud for one in cloudcompare.getSelectedEntities() for cloud in _clouds(one)}
    if not found:
        raise Refused("no point cloud is selected; select one or several in the tree of CloudCompare")
    for cloud in found.values():
        if cloud.size() == 0:
            raise Refused(f"{cloud.getName()}: has no points; select clouds that have some")
    return list(found.values())


def _clouds(entity: Any) -> Iterator[Any]:
    if isinstance(entity, pycc.ccPointCloud):
        yield entity
    elif entity.isGroup():
        for index in range(entity.getChildrenNumber()):
            yield from _clouds(entity.getChild(index))


def _found(given: Settings) -> child.Command:
    try:
        # Where deburr is installed in CloudCompare's own Python, its command is there.
        return child.find(given.command, Path(sys.prefix))
    except child.Missing as error:
        raise Refused(f"{error}{_NOT_FOUND}") from error


class Progress:
    """The window of progress for several clouds.

    deburr is heard in the thread of the windows, which are kept alive between: `pycc.RunInThread` would say of an
    error no more than that there was one.
    """

    def __init__(self, clouds: int) -> None:
        self._clouds, self._number = clouds, 0
        self._window = pycc.ccProgressDialog(True)
        self._window.start()

    def begin(self, number: int, name: str) -> None:
        """Turn to a cloud."""
        self._number = number
        self._window.setMethodTitle(f"deburr: {name}")

    def heard(self, event: dict[str, Any]) -> None:
        """What deburr says."""
        if "progress" in event:
            self._window.update(100 * (self._number + event["progress"]) / self._clouds)
        elif "warning" in event:
            pycc.ccLog.Warning(f"deburr: {event['warning']}")
        elif "note" in event:
            pycc.ccLog.Print(f"deburr: {event['note']}")

    def cancelled(self) -> bool:
        """Whether the user gave up; windows are drawn and clicks heard meanwhile."""
        pycc.ProcessEvents()
        return bool(self._window.isCancelRequested())

    def end(self) -> None:
        """Close the window."""
        self._window.stop()


def denoised(cloud: Any, command: child.Command, options: dict[str, Any], progress: Progress) -> Any:
    """The new cloud; None if the user gave up. Raises `Refused`."""
    if clouds.has_lost_normals(cloud):
        told = "the new cloud has no normals: this version of CloudCompare's Python plugin cannot read them"
        pycc.ccLog.Warning(f"deburr: {cloud.getName()}: {told}; compute them anew")
    taken = clouds.take(cloud)
    columns = taken.columns(anew=options["dimensions"])
    with TemporaryDirectory(prefix="deburr-") as folder:
        source, target = Path(folder, "in.ply"), Path(folder, "out.ply")
        try:
            handover.write(source, columns)
        except OSError as error:
            raise Refused(f"{source}: cannot be written ({error.strerror}); free room there, or set TMPDIR") from error

        def heard(event: dict[str, Any]) -> None:
            progress.heard({kind: _named(said, source, cloud) for kind, said in event.items()})

        spec = [{"filename": str(source)}, {"type": "filters.spd", **options}, {"filename": str(target)}]
        outcome = child.run(command, ["run", json.dumps(spec)], heard, progress.cancelled)
        if outcome.stopped:
            return None
        if outcome.code != 0:
            said = " ".join(outcome.errors) or f"deburr ended with {outcome.code}"
            raise Refused(_named(said, source, cloud))
        return clouds.made(cloud, taken, handover.read(target), columns)


def _named(said: Any, source: Path, cloud: Any) -> Any:
    """What deburr said, with the cloud's name for that of its file."""
    return said.replace(str(source), cloud.getName()) if isinstance(said, str) else said


def beside(cloudcompare: Any, cloud: Any, new: Any) -> None:
    """Show the new cloud next to the old one."""
    parent = cloud.getParent()
    if parent is not None:
        parent.addChild(new)
    cloudcompare.addToDB(new)
