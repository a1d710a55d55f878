"""Options of PDAL's filters.python that make it run a function of ours."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deburr import plugins
from deburr.core.errors import SpecError
from deburr.core.registry import stage_class
from deburr.core.stage import Stage
from deburr.pipeline.options import build
from deburr.pipeline.resolve import Override

#: Function of the script -> the stage whose options it takes.
FUNCTIONS = {"denoise": "filters.spd", "outlier": "filters.outlier", "outlier_mask": "filters.outlier"}
#: The name that PDAL gives the module it runs the script in; it must be nobody else's.
MODULE = "deburr_pdal"
#: What `outlier` can do to the points it finds inside PDAL, and what `outlier_mask` can.
_ACTIONS = {"outlier": ("classify", "withhold"), "outlier_mask": ("remove",)}


def script() -> Path:
    """The absolute path of the script that PDAL's filters.python runs."""
    return Path(plugins.__path__[0]).resolve() / "pdal_filter.py"


def parse_options(words: tuple[str, ...]) -> dict[str, Any]:
    """``("noise=0.03", "classes=[2, 6]")`` as a mapping; lists and objects are JSON. Raises `SpecError`."""
    errors = [f"'{word}': must be OPTION=VALUE, such as noise=0.03" for word in words if not word.partition("=")[1]]
    names = [word.partition("=")[0] for word in words]
    errors += [f"option '{name}' is given twice; keep one" for name in dict.fromkeys(names) if names.count(name) > 1]
    if errors:
        raise SpecError(errors)
    return {
        name: Override.from_name(f"x.{name}", word.partition("=")[2]).value
        for name, word in zip(names, words, strict=True)
    }


def options(function: str, given: Mapping[str, Any], module: str = MODULE) -> dict[str, Any]:
    """What a stage ``filters.python`` needs to run ``function`` with the options ``given``: a JSON object.

    ``pdalargs`` has the options as JSON values, numbers in quotes unquoted; those that are not given stay out.
    Raises `SpecError` with all that is wrong with them.
    """
    if not module.isidentifier() or module in sys.builtin_module_names or importlib.util.find_spec(module):
        raise SpecError(
            f"--module {module}: must be a name that no module of Python has; leave it out, or choose another"
        )
    args = checked(FUNCTIONS[function], given, function)
    found: dict[str, Any] = {"script": str(script()), "module": module, "function": function}
    if args:
        found["pdalargs"] = args
    added = dimensions(args) if function == "denoise" else []
    if added:
        # Text, where a list would do in a pipeline: files of options take none.
        found["add_dimension"] = ",".join(added)
    return found


def as_option_file(options: Mapping[str, Any]) -> str:
    """The text of a file that filters.python takes as ``option_file``: flat, for there no value may be an object."""
    return json.dumps({k: v if isinstance(v, str) else json.dumps(v) for k, v in options.items()}, indent=2) + "\n"


def dimensions(args: Mapping[str, Any]) -> list[str]:
    """What PDAL must add to its points for the options ``args`` of filters.spd: ``["Uncertainty=float"]``."""
    added = [f"{name}=float" for name in args.get("dimensions") or ()]
    kept = [f"Original{axis}=double" for axis in "XYZ"] if args.get("keep_original") else []
    return added + kept


def checked(type_name: str, given: Mapping[str, Any], function: str = "") -> dict[str, Any]:
    """The options ``given`` of a stage as JSON values. Raises `SpecError` with all that is wrong with them."""
    where = f"{function} ({type_name})" if function else type_name
    stage, problems = build(stage_class(type_name), given)
    if stage is not None:
        problems += stage.check(())
        problems += _unfit(function, stage)
    if stage is None or problems:
        raise SpecError([f"{where}: {problem}" for problem in problems])
    return stage.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _unfit(function: str, stage: Stage) -> list[str]:
    """What the function cannot do inside PDAL."""
    allowed = _ACTIONS.get(function)
    if allowed is None or "action" not in stage.model_fields_set:
        return []
    action = getattr(stage, "action", None)
    if action in allowed:
        return []
    other = next(name for name, actions in _ACTIONS.items() if action in actions)
    return [f"option 'action' cannot be '{action}' in this function; use the function '{other}'"]
