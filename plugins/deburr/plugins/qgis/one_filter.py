"""What is alike in the algorithms that run one filter over one file."""

from __future__ import annotations

import json
from typing import Any

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
from .options import Options


class OneFilter(Algorithm):
    """One file in, one file out. ``OPTIONS``: those that are shown; ``RESULT``: what the output is called."""

    OPTIONS: Options
    RESULT = ""

    def initAlgorithm(self, configuration: Any = None) -> None:
        self.takes(cloud_in(), *self.OPTIONS.parameters(), memory_in("run"), *cloud_out(self.RESULT), report_out())
        self.tells()

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        target = self.parameterAsFileOutput(parameters, OUTPUT, context)
        report = report_folder(self, parameters, context)
        source = self.parameterAsFile(parameters, INPUT, context)
        spec = [{"filename": source}, self.OPTIONS.stage(self, parameters, context), {"filename": target}]
        words = ["run", "--report", report, "--mkdir", *memory(self, parameters, context), json.dumps(spec)]
        if not self.asked(words, feedback):
            return {}
        shown(self, parameters, context, target)
        return {OUTPUT: target, REPORT: report, **reported(report, *self.FIGURES)}
