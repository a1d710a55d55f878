"""The JSON Schema of report.json, of runs and of batches; `pipeline schema --report` prints it.

The version grows when a name goes, or means something else; names that are added leave it as it is.
"""

from __future__ import annotations

from typing import Any

VERSION = 1

_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_TEXTS = {"type": "array", "items": _TEXT}
_SECONDS = {"type": "number", "minimum": 0}


def _said(description: str, form: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, **form}


def _maybe(form: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [form, {"type": "null"}]}


def _object(required: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(more or {})},
        "required": [*required],
        "additionalProperties": False,
    }


_FIGURES = {"description": "by name; lengths in the cloud's units", "type": "object"}
_DISTANCES = _object(
    {
        "points": _said("how many moved", _COUNT),
        "median": _said("how far, cloud units", _NUMBER),
        "p95": _said("95 % of them moved no further, cloud units", _NUMBER),
        "max": _said("cloud units", _NUMBER),
        "units": _said("the cloud's", _TEXT),
    }
)
_FILE = _object(
    {
        "role": _said("input, output, or the option of a stage that names it", _TEXT),
        "path": _TEXT,
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "bytes": _COUNT,
    }
)
_COMMON = {
    "version": {"const": VERSION},
    "spec_file": _said("the file of the pipeline; null if it was none", _maybe(_TEXT)),
    "spec": {"description": "the pipeline as it ran, overrides included; itself a spec", "type": ["array", "object"]},
    "began": {"description": "ISO 8601, UTC", "type": "string"},
    "seconds": _said("how long all of it took", _SECONDS),
    "versions": {"description": "of deburr and of what it uses", "type": "object"},
}
_STAGE = {
    "type": _TEXT,
    "tag": _maybe(_TEXT),
    "options": _said("all of them, defaults too", {"type": "object"}),
    "figures": _FIGURES,
    "warnings": _said("a sentence each", _TEXTS),
}

_RUN = _object(
    {
        "kind": {"const": "run"},
        **_COMMON,
        "input": {"description": "the file that was read; null where there is none, or several", **_maybe(_FILE)},
        "files": {"description": "all files that were read and written", "type": "array", "items": _FILE},
        "outputs": _said("the paths of the files that were written", _TEXTS),
        "peak_memory_mb": _said("of the process, in MB", _maybe(_NUMBER)),
        "units": _said("of lengths: the cloud's", _TEXT),
        "stages": {
            "type": "array",
            "items": _object(
                {
                    **_STAGE,
                    "step": {"description": "its place in the spec, from 1", "type": "integer", "minimum": 1},
                    "file": {"description": "of the points, where several go through alone", **_maybe(_TEXT)},
                    "runs_in": _said("the program that ran it: deburr or a host", _TEXT),
                    "seconds": _said("null inside what another program ran as one", _maybe(_SECONDS)),
                    "points_in": _maybe(_COUNT),
                    "points_out": _maybe(_COUNT),
                    "moved": _maybe(_DISTANCES),
                }
            ),
        },
    }
)
_BATCH = _object(
    {
        "kind": {"const": "batch"},
        **_COMMON,
        "inputs": _said("the paths of the files that were cleaned", _TEXTS),
        "context": _said("of those that were looked at and not written", _TEXTS),
        "outputs": {
            "description": "of each file: its path, size in bytes, points, bounds, figures and warnings",
            "type": "array",
            "items": {"type": "object", "required": ["path", "size", "count", "bounds", "figures", "warnings"]},
        },
        "units": _said("of lengths: the clouds'", _TEXT),
        "totals": {"description": "points, noise before and after, movement, time, of all tiles", "type": "object"},
        "stages": {"type": "array", "items": _object(_STAGE)},
        "failed": {
            "description": "what could not be done, and why",
            "type": "array",
            "items": _object({"id": _TEXT, "error": _TEXT}),
        },
        "tasks_done": _said("in this run", _COUNT),
        "tasks_resumed": _said("done by runs before", _COUNT),
        "warnings": _TEXTS,
    }
)


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "deburr run or batch report",
        "oneOf": [_RUN, _BATCH],
    }
