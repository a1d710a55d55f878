"""The settings of the plugin, a JSON file: pycc has no dialogs to ask in. Needs no CloudCompare."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Names another file.
VARIABLE = "DEBURR_CLOUDCOMPARE"
#: A file that leaves all to deburr: what is null is as if it were not there.
_NONE = ("noise", "max_displacement", "strength", "classes", "where", "strips", "normals", "spread", "dimensions")
LEFT = json.dumps({"command": None, "options": dict.fromkeys(_NONE)}, indent=2) + "\n"
DIMENSIONS = ["Displacement", "Uncertainty"]


class Refused(Exception):
    """What the user is told in a sentence."""


@dataclass(frozen=True)
class Settings:
    """``command``: where deburr is, as `child.find` takes it; ``options``: those of filters.spd."""

    command: str = ""
    options: dict[str, Any] = field(default_factory=lambda: {"dimensions": DIMENSIONS})


def path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the file is, or would be: in the folder that the system has for settings."""
    if environ.get(VARIABLE, "").strip():
        return Path(environ[VARIABLE].strip()).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "deburr" / "cloudcompare.json"


def read(file: Path) -> Settings:
    """The settings; without a file, those of one that leaves all to deburr. What options mean, deburr says itself.
    Raises `Refused`."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise Refused(f"{file}: the settings cannot be read ({error}); correct the file, or remove it") from error
    if not isinstance(found, dict) or found.keys() - {"command", "options"}:
        raise Refused(f"{file}: the settings are an object with 'command' and 'options'; remove what else is there")
    command, options = found.get("command") or "", found.get("options") or {}
    if not isinstance(command, str) or not isinstance(options, dict):
        raise Refused(f"{file}: 'command' is a text, and 'options' an object with options of filters.spd")
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("outliers", "none") != "none":
        raise Refused(
            f"{file}: option 'outliers' is not for CloudCompare, where all points stay and keep their scalar fields; "
            "remove it, or clean the file with 'pipeline denoise'"
        )
    if given.get("keep_original"):
        raise Refused(f"{file}: remove 'keep_original': the old cloud stays beside the new one")
    return Settings(command, {"dimensions": DIMENSIONS, **given})
