"""The reference pages that the code writes itself: stages, commands, the report, training recipes.

`write` puts them below docs/reference, where git ignores them; conf.py calls it before each build.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from deburr.cli import commands
from deburr.cli.overrides import OVERRIDES, OverridesCommand
from deburr.core.figure import Count, Least, Most, Same, Summed
from deburr.core.registry import _own, stage_class
from deburr.core.stage import Reader, Stage, Writer
from deburr.filters.metrics import UNITS
from deburr.pipeline import describe, report_schema
from deburr.pipeline.options import words
from deburr.train.recipe import Recipe

#: How the figures of tiles make one of the whole cloud.
_MERGED = {Count: "added up", Most: "the largest", Least: "the smallest", Same: "the same in all", Summed: "from sums"}
_UNITS = {"length": "cloud units", "points": "share of the points", "exact": "", "": ""}
_KINDS = (("readers", "Readers"), ("filters", "Filters"), ("writers", "Writers"))


def write(folder: Path) -> None:
    """Write all pages into ``folder``; those of an earlier build go."""
    pages = {**stage_pages(), **command_pages(), "report.md": report_page(), "recipe.md": recipe_page()}
    for room in ("stages", "commands"):
        shutil.rmtree(folder / room, ignore_errors=True)
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def own_stages() -> list[describe.Described]:
    """deburr's own stages; what other packages have installed is not this site's to tell."""
    return [describe.stage(name) for name in _own()]


def own_commands() -> list[tuple[str, click.Command]]:
    """deburr's own commands by their names, those in groups too (``weights import``)."""
    context = click.Context(click.Group("pipeline"), info_name="pipeline")
    found: list[tuple[str, click.Command]] = []
    for name in commands.own():
        command = commands.get(name)
        assert command is not None
        inner = command.list_commands(context) if isinstance(command, click.Group) else []
        found += [(f"{name} {one}", command.commands[one]) for one in inner] or [(name, command)]  # type: ignore[attr-defined]
    return found


# Stages


def stage_pages() -> dict[str, str]:
    """A page for each stage, and a list of them."""
    found = own_stages()
    lists = []
    for kind, title in _KINDS:
        some = [one for one in found if one.name.startswith(f"{kind}.")]
        rows = [(f"[`{one.name}`]({one.name}.md)", plain(one.summary)) for one in some]
        lists.append(f"## {title}\n\n{table(('stage', 'what it does'), rows)}")
    names = "\n".join(one.name for one in found)
    index = "\n\n".join(
        [
            "# Stages",
            "Every stage also takes `tag`, a name for `--stage.TAG.option=value`, and `user_data`, which is ignored. "
            "`pipeline stages NAME` prints what stands on these pages.",
            *lists,
            f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
        ]
    )
    return {"stages/index.md": index, **{f"stages/{one.name}.md": _stage_page(one) for one in found}}


def _stage_page(one: describe.Described) -> str:
    cls = stage_class(one.name)
    parts = [f"# `{one.name}`", plain(one.text)]
    if issubclass(cls, Reader | Writer):
        parts.append(f"Extensions: {', '.join(f'`.{name}`' for name in cls.extensions)}.")
    parts.append(f"```json\n{json.dumps(_example(one, cls))}\n```")
    if one.options:
        rows = [(f"`{o.name}`", plain(o.allowed), code(o.default), o.unit, plain(o.description)) for o in one.options]
        parts.append("## Options\n\n" + table(("option", "takes", "default", "unit", "what it is"), rows))
    if cls.reports:
        told = [
            (f"`{name}`", _UNITS[figure.unit], plain(figure.description), _MERGED[type(figure)])
            for name, figure in cls.reports.items()
        ]
        header = ("figure", "unit", "what it is", "of tiles")
        parts.append("## Figures in the report\n\n" + table(header, told))
    if one.name == "filters.metrics":
        parts.append(_measured())
    return "\n\n".join(parts) + "\n"


def _measured() -> str:
    """What stands in `as_read` and `now` of filters.metrics, which its report tells as well."""
    rows = [(", ".join(f"`{name}`" for name in names.split(", ")), plain(said)) for names, said in UNITS.items()]
    return "What is measured:\n\n" + table(("figure", "unit, and what it is"), rows)


def _example(one: describe.Described, cls: type[Stage]) -> dict[str, Any]:
    """The stage as it may stand in a pipeline."""
    if not issubclass(cls, Reader | Writer):
        return {"type": one.name, **cls.example}
    name = "noisy" if issubclass(cls, Reader) else "clean"
    return {"type": one.name, "filename": f"{name}.{cls.extensions[0]}"}


# Commands


def command_pages() -> dict[str, str]:
    """A page for each command, and a list of them."""
    found = own_commands()
    files = {name: name.replace(" ", "_") for name, _ in found}
    rows = [(f"[`{name}`]({files[name]}.md)", plain(summary(command))) for name, command in found]
    index = "\n\n".join(
        [
            "# Commands",
            "The command is `pipeline`, and `deburr` just as well; `--help` behind each prints what stands here. "
            "[The command line](../command_line.md) tells what all have in common.",
            table(("command", "what it does"), rows),
            "```{toctree}\n:hidden:\n\n" + "\n".join(files.values()) + "\n```\n",
        ]
    )
    return {"commands/index.md": index, **{f"commands/{files[n]}.md": _command_page(n, c) for n, c in found}}


def summary(command: click.Command) -> str:
    """The first sentence of a command's help, without the dot."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)])\. |\.$", text)[0]


def usage(name: str, command: click.Command) -> str:
    """``pipeline run [OPTIONS] [SPEC]``."""
    context = click.Context(command, info_name=f"pipeline {name}")
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def options(command: click.Command) -> Iterator[tuple[str, str, str]]:
    """Of each option: how it is written, its default, its help."""
    context = click.Context(command)
    for one in command.params:
        if isinstance(one, click.Option):
            flag = "" if one.is_flag else f" {one.make_metavar(context)}"
            default = "" if one.is_flag or one.default is None or not one.show_default else str(one.default)
            yield ", ".join(one.opts) + flag, default, one.help or ""
    if isinstance(command, OverridesCommand):
        yield from ((name, "", text) for name, text in OVERRIDES)


def paragraphs(command: click.Command) -> list[str]:
    """The help of a command, each paragraph in a line."""
    return [" ".join(part.split()) for part in (command.help or "").split("\n\n")]


def _command_page(name: str, command: click.Command) -> str:
    rows = [(f"`{written}`", code(default), plain(text)) for written, default, text in options(command)]
    return (
        "\n\n".join(
            [
                f"# `pipeline {name}`",
                f"```text\n{usage(name, command)}\n```",
                *map(plain, paragraphs(command)),
                "## Options\n\n" + table(("option", "default", "what it does"), rows),
            ]
        )
        + "\n"
    )


# The report and recipes


def report_page() -> str:
    """report.json, key by key."""
    run, batch = report_schema.schema()["oneOf"]
    return (
        "\n\n".join(
            [
                "# `report.json`",
                "`--report DIR` leaves it beside `report.html`, `section.png` and, where noise differs from place to "
                "place, `noise.png`; a batch always leaves one in its output folder. Lengths are in the cloud's units, "
                "which `units` names. What the figures of a stage mean stands on [its page](stages/index.md). "
                "`pipeline schema --report` prints the JSON Schema. `version` grows when a name goes or changes its "
                "meaning, and not when one is added.",
                "## Of a run\n\n" + table(_KEYS, list(_keys(run))),
                "## Of a batch\n\n" + table(_KEYS, list(_keys(batch))),
            ]
        )
        + "\n"
    )


_KEYS = ("key", "what it holds", "")


def _keys(form: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str, str]]:
    for name, inner in form["properties"].items():
        yield f"`{before}{name}`", _held(inner), plain(inner.get("description", ""))
        parts = [*inner.get("anyOf", [inner])]
        for part in (one.get("items", one) for one in parts):
            if "properties" in part:
                yield from _keys(part, f"{before}{name}{'[]' if 'items' in inner else ''}.")


def _held(form: Mapping[str, Any]) -> str:
    if "const" in form:
        return f"`{json.dumps(form['const'])}`"
    if "anyOf" in form:
        return " or ".join(_held(one) for one in form["anyOf"])
    kind = form["type"]
    names = [kind] if isinstance(kind, str) else kind
    return " or ".join(f"array of {_held(form['items'])}" if n == "array" and "items" in form else n for n in names)


def recipe_page() -> str:
    """The options of a training recipe."""
    form = Recipe.model_json_schema()
    required, rows = form["required"], []
    for name, one in form["properties"].items():
        default = "required" if name in required else code(json.dumps(one.get("default")))
        rows.append((f"`{name}`", plain(words(one, form.get("$defs", {}))), default, plain(one["description"])))
    return (
        "\n\n".join(
            [
                "# Training recipes",
                "What `pipeline train TRAIN.json` takes, a JSON object of these options. Lengths are in spacings. "
                "[Train on your own clouds](../how_to/train.md) shows how they are used.",
                table(("option", "takes", "default", "what it is"), rows),
            ]
        )
        + "\n"
    )


# Markdown


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; no cell breaks it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """The text as code, or nothing."""
    return "" if text in ("", "null") else text if text == "required" else f"`{text}`"


def plain(text: str) -> str:
    """Text of the code in Markdown: what stands between backticks is code, no other sign means anything."""
    parts = re.split(r"(``.+?``|`.+?`)", text, flags=re.DOTALL)
    return "".join(
        f"`{part.strip('`')}`" if at % 2 else re.sub(r"([*_<>\[\]$#])", r"\\\1", part) for at, part in enumerate(parts)
    )
