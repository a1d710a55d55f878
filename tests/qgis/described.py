"""Prints what QGIS shows of the algorithms, as JSON."""

import json

import pyqgis

application, provider = pyqgis.started()
told = {}
for algorithm in provider.algorithms():
    told[algorithm.name()] = {
        "title": algorithm.displayName(),
        "help": algorithm.shortHelpString(),
        "parameters": {
            one.name(): {
                "label": one.description(),
                "help": one.help(),
                "advanced": bool(one.flags() & one.FlagAdvanced),
            }
            for one in algorithm.parameterDefinitions()
        },
        "outputs": [one.name() for one in algorithm.outputDefinitions()],
    }
print(json.dumps(told))
