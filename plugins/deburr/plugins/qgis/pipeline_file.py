"""Run a pipeline file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingParameterFile, QgsProcessingParameterString

from .algorithm import Algorithm
from .clouds import (
    INPUT,
    OUTPUT,
    REPORT,
    cloud_in,
    cloud_out,
    memory,
    memory_in,
    report_folder,
    report_out,
    reported,
    shown,
)
from .denoise import Denoise
from .options import help_of, named

SPEC, OVERRIDES = "SPEC", "OVERRIDES"


class PipelineFile(Algorithm):
    """A JSON file in, what it says out."""

    FIGURES = Denoise.FIGURES
    NAME, TITLE = "pipeline", "Run a pipeline file"
    HELP = (
        "<p>Runs a pipeline of deburr's or PDAL's, a JSON file. File names in it are taken from its own folder. An "
        "input and an output that are given here take the place of its own.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        spec = QgsProcessingParameterFile(SPEC, "Pipeline", extension="json")
        overrides = QgsProcessingParameterString(OVERRIDES, "Options to set", None, optional=True)
        self.takes(
            named(spec, "JSON file with the stages"),
            named(cloud_in(optional=True), help_of("run", "input")),
            named(overrides, "Options of stages by type or tag: filters.spd.noise=0.03 stage.first.strength=0.5"),
            memory_in("run"),
            *cloud_out("Output", optional=True),
            report_out(),
        )
        self.tells()

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        spec = Path(self.parameterAsFile(parameters, SPEC, context)).absolute()
        report = report_folder(self, parameters, context)
        words = ["run", "--report", report, "--mkdir", *memory(self, parameters, context)]
        target = self.parameterAsFileOutput(parameters, OUTPUT, context) if parameters.get(OUTPUT) else ""
        for option, value in (
            ("--input", self.parameterAsFile(parameters, INPUT, context)),
            ("--output", target),
        ):
            words += [option, value] if value else []
        words += [f"--{one}" for one in shlex.split(self.parameterAsString(parameters, OVERRIDES, context))]
        if not self.asked([*words, str(spec)], feedback, spec.parent):
            return {}
        shown(self, parameters, context, target)
        return {OUTPUT: target, REPORT: report, **reported(report, *self.FIGURES)}
