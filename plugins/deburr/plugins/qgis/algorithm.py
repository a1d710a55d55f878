"""What all algorithms share: they run a command of deburr's, pass on what it says, and stop it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingException,
)

from .. import child
from .clouds import report_figures

_NOT_FOUND = (
    "\n\nIn QGIS: Settings, Options, Processing, Providers, deburr is the setting; the algorithm 'Install deburr' "
    "makes an environment for it."
)


class Algorithm(QgsProcessingAlgorithm):
    """The names are those that QGIS calls; those in capitals are an algorithm's own. ``FIGURES``: outputs of a report,
    by their names in `clouds.report_figures`."""

    NAME, TITLE, HELP = "", "", ""
    FIGURES: tuple[str, ...] = ()

    def name(self) -> str:
        return self.NAME

    def displayName(self) -> str:
        return self.TITLE

    def shortHelpString(self) -> str:
        return self.HELP

    def createInstance(self) -> Algorithm:
        return type(self)()

    def takes(self, *parameters: Any) -> None:
        """Show parameters."""
        for one in parameters:
            self.addParameter(one)

    def tells(self, *outputs: Any) -> None:
        """Announce outputs, and those of a report."""
        for one in (*outputs, *report_figures(*self.FIGURES)):
            self.addOutput(one)

    def asked(self, words: list[str], feedback: Any, folder: Path | None = None) -> bool:
        """Run a command that tells how far it is; False where the user gave it up. Raises QgsProcessingException."""
        command = found()
        feedback.pushCommandInfo(subprocess.list2cmdline([*command.words, *words]))
        return ended_well(child.run(command, words, _passed_on(feedback), feedback.isCanceled, folder))


def environment_folder() -> Path:
    """Where the plugin makes an environment if it is asked to."""
    return Path(QgsApplication.qgisSettingsDirPath()) / "deburr-environment"


def found() -> child.Command:
    """deburr. Raises QgsProcessingException."""
    try:
        return child.find(ProcessingConfig.getSetting(child.VARIABLE) or "", environment_folder())
    except child.Missing as error:
        raise QgsProcessingException(f"{error}{_NOT_FOUND}") from error


def ended_well(outcome: child.Outcome, notes: str = "") -> bool:
    """Whether it was not given up. Raises QgsProcessingException where it failed."""
    if outcome.code != 0 and not outcome.stopped:
        raise QgsProcessingException("\n".join(outcome.errors) or notes or f"deburr ended with {outcome.code}")
    return not outcome.stopped


def _passed_on(feedback: Any) -> child.Heard:
    phase = ""

    def heard(event: dict[str, Any]) -> None:
        nonlocal phase
        if "progress" in event:
            feedback.setProgress(100 * event["progress"])
            if event.get("phase", phase) != phase:
                phase = event["phase"]
                feedback.setProgressText(phase)
        elif "warning" in event:
            feedback.pushWarning(event["warning"])
        elif "error" in event:
            feedback.reportError(event["error"])
        else:
            feedback.pushInfo(str(event.get("note", event.get("output", ""))))

    return heard
