"""Install deburr."""

from __future__ import annotations

import shlex
from typing import Any

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputString,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterString,
)

from .. import child
from .algorithm import Algorithm, environment_folder
from .options import named

WHAT, YES, COMMAND = "WHAT", "YES", "COMMAND"


class Install(Algorithm):
    """What pip takes in, an environment out."""

    NAME, TITLE = "install", "Install deburr"
    HELP = (
        "<p>Makes a Python environment for deburr in the folder of your QGIS profile, and installs deburr into it by "
        "pip. The Python of QGIS stays as it is. Needed is Python 3.11 or later; fetched is about 1 GB. All other "
        "algorithms find it there. Not needed where deburr is installed already: see Settings, Options, Processing, "
        "Providers, deburr.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        what = QgsProcessingParameterString(WHAT, "What pip installs")
        yes = QgsProcessingParameterBoolean(YES, "Yes, fetch and install it", False)
        self.addParameter(named(what, "A wheel of deburr or the folder of its sources, and options of pip"))
        self.addParameter(named(yes, "Nothing is fetched without this"))
        self.addOutput(QgsProcessingOutputString(COMMAND, "Command"))

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        if not self.parameterAsBool(parameters, YES, context):
            raise QgsProcessingException("Nothing was done: say yes to fetching and installing deburr")
        what = shlex.split(self.parameterAsString(parameters, WHAT, context))

        def heard(event: dict[str, Any]) -> None:
            feedback.pushInfo(event["note"])

        try:
            command = child.install(environment_folder(), what, heard, feedback.isCanceled)
        except child.Missing as error:
            raise QgsProcessingException(str(error)) from error
        return {COMMAND: command.words[0]}
