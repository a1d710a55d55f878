"""Point cloud noise information."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingOutputNumber, QgsProcessingParameterFileDestination

from .. import child
from .algorithm import Algorithm, ended_well, found
from .clouds import INPUT, OUTPUT, cloud_in
from .options import named

#: Outputs: what they are, and their names in the JSON of `info`.
_FIGURES = {
    "POINTS": ("Number of points", "points"),
    "NOISE": ("Standard deviation of the noise, in the cloud's units", "estimated_noise"),
    "SPACING": ("Mean distance to the nearest point, in the cloud's units", "spacing"),
    "DENSITY": ("Points a square unit", "density_per_square_unit"),
    "EVIDENCE": ("Share of the points that tell of the noise", "evidence"),
}


class Info(Algorithm):
    """One file in, a page out."""

    NAME, TITLE = "info", "Point cloud noise information"
    HELP = (
        "<p>Count, bounds, system of coordinates, density, spacing and noise of a point cloud: the noise that "
        "<i>Denoise point cloud</i> would find where none is given. Nothing is changed.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        page = QgsProcessingParameterFileDestination(OUTPUT, "Information", "HTML files (*.html)")
        self.addParameter(cloud_in())
        self.addParameter(named(page, "Page with the figures"))
        for name, (told, _) in _FIGURES.items():
            self.addOutput(QgsProcessingOutputNumber(name, told))

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        source = self.parameterAsFile(parameters, INPUT, context)
        target = self.parameterAsFileOutput(parameters, OUTPUT, context)
        notes: list[str] = []

        def heard(event: dict[str, Any]) -> None:
            if "note" in event:
                notes.append(event["note"])
                feedback.pushInfo(event["note"])

        outcome = child.talk([*found().words, "info", "--json", source], heard, feedback.isCanceled)
        if not ended_well(outcome, notes[-1] if notes else ""):
            return {}
        told = json.loads("\n".join(outcome.outputs))
        for warning in told["warnings"]:
            feedback.pushWarning(warning)
        Path(target).write_text(_page(told), encoding="utf-8")
        figures = {name: told[key] for name, (_, key) in _FIGURES.items() if told.get(key) is not None}
        return {OUTPUT: target, **figures}


def _page(told: dict[str, Any]) -> str:
    """The figures as a table."""
    rows = "".join(f"<tr><th align=left>{escape(key)}</th><td>{_cell(value)}</td></tr>" for key, value in told.items())
    return f'<!doctype html><meta charset="utf-8"><title>{escape(str(told["file"]))}</title><table>{rows}</table>'


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "<br>".join(f"{escape(str(key))}: {_cell(one)}" for key, one in value.items())
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))
