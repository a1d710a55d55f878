"""Makes the file: what is to be seen and said, the scripts and the style sheet, in one HTML page that needs no network.

Nothing that comes from files is markup here: it travels as JSON in which no tag can end or begin, and the scripts put
it on the page as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from deburr.core.files import replacing
from deburr.show.page.pack import pack
from deburr.show.page.scene import Scene

NAME = "report.html"
#: In the order in which they run.
SCRIPTS = (
    "data.js",
    "matrix.js",
    "camera.js",
    "colours.js",
    "draw.js",
    "section.js",
    "pick.js",
    "panel.js",
    "tiles.js",
    "main.js",
)
_STYLE = "page.css"


def write(path: Path, title: str, scene: Scene | None, facts: Mapping[str, Any]) -> None:
    """Write the page of ``scene``, or of ``facts`` alone, under ``path``. Raises `WriteError`."""
    with replacing(path) as temporary:
        temporary.write_text(html(title, scene, facts), encoding="utf-8")


def html(title: str, scene: Scene | None, facts: Mapping[str, Any]) -> str:
    """The page as text; ``facts`` as `deburr.show.page.facts` makes them."""
    told: dict[str, Any] = {"title": title, "facts": dict(facts), "scene": None}
    if scene is not None:
        packed = pack(scene)
        told["scene"] = {"points": len(scene.before), "total": scene.total, "paired": scene.paired, "up": scene.up,
                         "columns": packed.columns, "data": packed.data}  # fmt: skip
    assets = files(__package__)
    style = assets.joinpath(_STYLE).read_text(encoding="utf-8")
    script = "\n".join(assets.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data:\">\n"
        f"<title>deburr</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<script id="told" type="application/json">{as_text(told)}</script>\n'
        f"<script>\n(() => {{\n'use strict';\n{script}\n}})();\n</script>\n</body>\n</html>\n"
    )


def as_text(value: Any) -> str:
    """JSON that can stand inside a script element: without any character by which that could end."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
