"""The plugin of QGIS as the zip that QGIS installs: `make qgis-plugin` writes build/deburr_qgis.zip.

Packed are `deburr/plugins/qgis`, the shared `child.py`, the licence, and what deburr's own descriptions say of its
options, as they are at this moment: QGIS's Python cannot ask deburr.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from deburr.cli import commands
from deburr.core.registry import extensions
from deburr.pipeline import describe

PLUGINS = Path(__file__).parent
#: Of the sources: what is installed has no licence to pack.
ROOT = PLUGINS.parent.parent.parent
#: The folder in the zip: QGIS imports it by this name.
NAME = "deburr_qgis"
_STAGES, _COMMANDS = ("filters.spd", "filters.outlier"), ("run", "denoise", "batch")
_ENTRY = '"""deburr in QGIS."""\n\nfrom .qgis import classFactory\n\n__all__ = ["classFactory"]\n'


def told() -> dict[str, Any]:
    """What the plugin must know of deburr: options of stages and commands as they are described, and extensions."""
    stages = {}
    for name in _STAGES:
        described = describe.stage(name).as_json()
        stages[name] = {**described, "options": {option["name"]: option for option in described["options"]}}
    helps: dict[str, dict[str, str]] = {}
    for name in _COMMANDS:
        command = commands.get(name)
        assert command is not None
        helps[name] = {str(one.name): text for one in command.params if (text := getattr(one, "help", None))}
    return {
        "stages": stages, "commands": helps, "reads": _usual_first("readers"), "writes": _usual_first("writers"),
    }  # fmt: skip


def _usual_first(kind: str) -> list[str]:
    return sorted(extensions(kind), key=lambda name: (name != "laz", name != "las", name))


def files() -> dict[str, bytes]:
    """The files of the zip, by their paths in it."""
    found = {
        "__init__.py": _ENTRY.encode(),
        "child.py": (PLUGINS / "child.py").read_bytes(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "metadata.txt": (PLUGINS / "qgis" / "metadata.txt").read_bytes(),
        "qgis/options.json": json.dumps(told(), indent=1).encode(),
    }
    for path in (PLUGINS / "qgis").iterdir():
        if path.suffix in (".py", ".svg"):
            found[f"qgis/{path.name}"] = path.read_bytes()
    return {f"{NAME}/{name}": found[name] for name in sorted(found)}


def write(target: Path) -> None:
    """Write the zip: the same bytes for the same plugin."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w") as file:
        for name, content in files().items():
            facts = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            facts.external_attr, facts.compress_type = 0o644 << 16, ZIP_DEFLATED
            file.writestr(facts, content)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(sys.argv[1])
