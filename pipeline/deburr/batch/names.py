"""What the outputs of a batch are called: names by a template, none of which may harm another file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from deburr.batch.inputs import identity
from deburr.core.addresses import Named
from deburr.core.arrays import Floats
from deburr.core.errors import SpecError, did_you_mean
from deburr.core.registry import by_extension

#: Bytes of a file name on every common file system.
_LONGEST = 255
#: Problems that are listed one by one, at most.
_LISTED = 10
_WIDTH = re.compile(r"0?\d?\d?d?")


def out_names(
    template: str | None,
    files: Sequence[Named],
    lows: Sequence[Floats],
    folder: Path,
    suffix: str | Sequence[str] | None = None,
    context: Sequence[Named] = (),
    numbers: Sequence[int] | None = None,
) -> list[Path]:
    """Where the results of ``files`` go in ``folder``; one output an input.

    ``template`` knows ``{stem}`` (the input's name without extension), ``{x}`` and ``{y}`` (the lower left corner of
    its bounds, ``lows`` (2 or more,) each, in whole units downwards) and ``{index}`` (``numbers``, else from 0);
    without it, outputs are called as their inputs. What ends in no extension that a writer knows gets ``suffix`` (one
    for all, or one each), else the input's own, but for COPC: what is written is none. Raises `SpecError` with all that
    is wrong with the names; see `cell_names`.
    """
    counted = range(len(files)) if numbers is None else numbers
    values = [
        {"stem": stem(path), **_numbers(low, number)} for path, low, number in zip(files, lows, counted, strict=True)
    ]
    suffixes = [suffix or path.suffix for path in files] if suffix is None or isinstance(suffix, str) else suffix
    remedy = "give a template such as '{index}_{stem}'" if template is None else "add a field such as {index} or {stem}"
    names = _names(template or "{stem}", values, suffixes, template is not None)
    return _checked(names, [str(path) for path in files], folder, [*files, *context], remedy)


def cell_names(
    template: str | None, lows: Sequence[Floats], folder: Path, suffix: str, inputs: Sequence[Named] = ()
) -> list[Path]:
    """The same for the cells of a grid with the lower left corners ``lows``, (2 or more,) each; there is no ``{stem}``,
    and the default is ``{x}_{y}``. No output may have the name of another or of one of ``inputs``, or leave ``folder``.
    """
    values = [_numbers(low, index) for index, low in enumerate(lows)]
    names = _names(template or "{x}_{y}", values, [suffix] * len(lows), template is not None)
    cells = [f"the cell at {value.get('x')}, {value.get('y')}" for value in values]
    return _checked(names, cells, folder, inputs, "give a template with {index}")


def stem(path: Named) -> str:
    """The name of an input without its extension; of COPC, which has two, without both."""
    name = path.stem
    return name[:-5] if name.lower().endswith(".copc") and len(name) > 5 else name


def _numbers(low: Floats, index: int) -> dict[str, Any]:
    places = {name: math.floor(value) for name, value in zip("xy", low.tolist(), strict=False) if math.isfinite(value)}
    return {**places, "index": index}


def _names(template: str, values: Sequence[Mapping[str, Any]], suffixes: Sequence[str], given: bool) -> list[str]:
    fields = {name for value in values for name in value}
    problems = _wrong(template, fields)
    if problems:
        raise SpecError([f"template '{template}': {problem}" for problem in problems])
    names = []
    ends = given and by_extension("writers", Path(template)) is not None
    for value, suffix in zip(values, suffixes, strict=True):
        try:
            names.append(template.format(**value) + ("" if ends else suffix))
        except KeyError as error:
            place = f"{value['stem']}{suffix}" if "stem" in value else f"number {value['index']}"
            problems.append(f"{place}: has no points, so no {{{error.args[0]}}}; leave it out, or use {{index}}")
    if problems:
        raise SpecError(problems)
    return names


def _wrong(template: str, fields: Iterable[str]) -> list[str]:
    """What is wrong with the fields of ``template``."""
    known = sorted({*fields, "x", "y", "index"})
    try:
        parsed = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        return [f"is no template ({error}); write {{{{ and }}}} for braces in a name"]
    problems = []
    for name, spec, conversion in parsed:
        if name not in known:
            listed = ", ".join(f"{{{field}}}" for field in known)
            problems.append(f"unknown field '{{{name}}}'{did_you_mean(name or '', known)}; there are {listed}")
        elif conversion or (name == "stem" and spec) or not _WIDTH.fullmatch(spec or ""):
            problems.append(
                f"field '{{{name}}}' is written in a way that is not known; numbers take a width, as {{x:06}}"
            )
    return problems


def _checked(
    names: Sequence[str], sources: Sequence[str], folder: Path, inputs: Iterable[Named], remedy: str
) -> list[Path]:
    problems: list[str] = []
    first: dict[str, str] = {}
    taken = {identity(path): path for path in inputs}
    paths = []
    for name, source in zip(names, sources, strict=True):
        path = folder / name
        paths.append(path)
        if name != os.path.basename(name) or "\\" in name or "\0" in name:
            problems.append(f"{source}: its output '{name}' would leave the folder {folder}; give a plain name")
            continue
        if len(os.fsencode(name)) > _LONGEST:
            problems.append(f"{source}: its output '{name[:40]}...' has too long a name; give a shorter template")
            continue
        # A link under the name itself is replaced; one on the way to it leads there.
        real = os.path.join(os.path.realpath(folder), name)
        if real in first:
            problems.append(f"{source}: its output {path} is that of {first[real]} too; {remedy}")
        elif path.exists() and identity(path) in taken:
            problems.append(
                f"{source}: its output {path} would replace the input {taken[identity(path)]}; "
                "choose another folder, or a template"
            )
        first.setdefault(real, source)
    if problems:
        more = len(problems) - _LISTED
        raise SpecError(problems[:_LISTED] + ([f"and {more:,} more of the kind"] if more > 0 else []))
    return paths
