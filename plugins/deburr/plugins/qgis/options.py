"""Options of deburr's stages as parameters of Processing: names, help, units and limits are deburr's own descriptions,
which `make qgis-plugin` writes into ``options.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from .kinds import choices, kind, limits

_TOLD = json.loads(Path(__file__).with_name("options.json").read_text(encoding="utf-8"))
#: Extensions that deburr reads and writes, without the dot, the usual one first.
READS: list[str] = _TOLD["reads"]
WRITES: list[str] = _TOLD["writes"]


def files(extensions: Sequence[str]) -> str:
    """A filter of file dialogs."""
    return ";;".join(f"{name.upper()} files (*.{name})" for name in extensions)


def named(parameter: Any, text: str, advanced: bool = False) -> Any:
    """The parameter, with help."""
    parameter.setHelp(text)
    if advanced:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
    return parameter


def help_of(command: str, option: str) -> str:
    """What the help of a command of deburr's tells of an option."""
    return str(_TOLD["commands"][command][option])


class Options:
    """Some options of one stage; those that are left out in QGIS are left to deburr."""

    def __init__(self, stage: str, shown: Iterable[str], advanced: Iterable[str] = ()) -> None:
        self._stage, self._advanced = stage, tuple(advanced)
        self._told = {name: _TOLD["stages"][stage]["options"][name] for name in (*shown, *self._advanced)}

    def parameters(self) -> list[Any]:
        """A parameter an option, each optional."""
        return [
            named(_parameter(name, told), _help(told), advanced=name in self._advanced)
            for name, told in self._told.items()
        ]

    def stage(self, algorithm: Any, parameters: dict[str, Any], context: Any) -> dict[str, Any]:
        """The stage of a pipeline, with the options that are given."""
        found: dict[str, Any] = {"type": self._stage}
        for name, told in self._told.items():
            # QGIS makes a first choice of a list that was left out.
            if parameters.get(name.upper()) not in (None, "", []):
                found[name] = _value(algorithm, name.upper(), told["allowed"], parameters, context)
        return found


def _help(told: dict[str, str]) -> str:
    unit = f", in {told['unit']}" if told["unit"] else ""
    return f"{told['description']} ({told['allowed']}{unit})"


def _parameter(name: str, told: dict[str, str]) -> Any:
    what, default = kind(told["allowed"]), told["default"]
    label = name.replace("_", " ").capitalize() + (f" [{told['unit']}]" if told["unit"] else "")
    key = name.upper()
    if what == "boolean":
        return QgsProcessingParameterBoolean(key, label, default == "true", optional=True)
    if what in ("choice", "choices"):
        all_of = choices(told["allowed"])
        first = all_of.index(default) if default in all_of else None
        return QgsProcessingParameterEnum(key, label, all_of, what == "choices", first, optional=True)
    if what in ("whole", "number"):
        of = QgsProcessingParameterNumber.Integer if what == "whole" else QgsProcessingParameterNumber.Double
        try:
            number = float(default)
        except ValueError:
            number = None
        parameter = QgsProcessingParameterNumber(key, label, of, number, optional=True)
        low, high = limits(told["allowed"])
        if low is not None:
            parameter.setMinimum(low)
        if high is not None:
            parameter.setMaximum(high)
        return parameter
    return QgsProcessingParameterString(key, label, default or None, optional=True)


def _value(algorithm: Any, key: str, allowed: str, parameters: dict[str, Any], context: Any) -> Any:
    what = kind(allowed)
    if what == "boolean":
        return algorithm.parameterAsBool(parameters, key, context)
    if what == "choice":
        return choices(allowed)[algorithm.parameterAsEnum(parameters, key, context)]
    if what == "choices":
        return [choices(allowed)[one] for one in algorithm.parameterAsEnums(parameters, key, context)]
    if what == "whole":
        return algorithm.parameterAsInt(parameters, key, context)
    if what == "number":
        return algorithm.parameterAsDouble(parameters, key, context)
    text = algorithm.parameterAsString(parameters, key, context)
    # deburr says what is wrong with a list that is none of numbers.
    return (
        [int(one) if one.isdigit() else one for one in re.split(r"[,;\s]+", text.strip())] if what == "list" else text
    )
