"""Denoise point cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .algorithm import Algorithm
from .clouds import (
    INPUT,
    MEMORY,
    OUTPUT,
    REPORT,
    cloud_in,
    cloud_out,
    memory_in,
    report_figures,
    report_folder,
    report_out,
    reported,
    shown,
)
from .options import Options

OPTIONS = Options(
    "filters.spd",
    ("noise", "max_displacement", "strength", "classes", "where", "dimensions"),
    ("steps", "device", "strips", "normals", "keep_original"),
)
FIGURES = ("NOISE", "MOVED_MEDIAN", "MOVED_MAX")


class Denoise(Algorithm):
    """One file in, one file out."""

    NAME, TITLE = "denoise", "Denoise point cloud"
    HELP = (
        "<p>Moves points onto the surface that they were measured on, so that surfaces become thin. The file that is "
        "written has the same points in the same order, with all of their attributes; nothing is removed, and nothing "
        "else changed.</p><p>Which one is wanted? Single points that lie far off, such as birds, are not moved "
        "but flagged or removed: by <i>Flag outliers</i>, or QGIS's own <i>Filter noise</i>, which moves nothing. "
        "Surfaces that are rough from the scanner's own error are for this one. Where both are the matter, flag first: "
        "points of class 7 and 18 and withheld ones are neither used nor moved.</p><p>Lengths are in the units of the "
        "cloud. Clouds in degrees must be reprojected first. Tiles of one area are for <i>Denoise folder of tiles</i>, "
        "which sees across their borders.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        for one in (cloud_in(), *OPTIONS.parameters(), memory_in("denoise"), *cloud_out("Denoised"), report_out()):
            self.addParameter(one)
        for one in report_figures(*FIGURES):
            self.addOutput(one)

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        return cleaned(self, OPTIONS, FIGURES, parameters, context, feedback)


def cleaned(
    algorithm: Algorithm,
    options: Options,
    figures: tuple[str, ...],
    parameters: dict[str, Any],
    context: Any,
    feedback: Any,
) -> dict[str, Any]:
    """Run one filter over one file."""
    source = algorithm.parameterAsFile(parameters, INPUT, context)
    target = algorithm.parameterAsFileOutput(parameters, OUTPUT, context)
    report = report_folder(algorithm, parameters, context)
    spec = [{"filename": source}, options.stage(algorithm, parameters, context), {"filename": target}]
    words = ["run", "--report", report, "--mkdir"]
    if memory := algorithm.parameterAsString(parameters, MEMORY, context):
        words += ["--memory", memory]
    if not algorithm.asked([*words, json.dumps(spec)], feedback):
        return {}
    shown(algorithm, parameters, context, target)
    return {OUTPUT: target, REPORT: report, **reported(Path(report), *figures)}
