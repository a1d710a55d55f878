"""PDAL as a host: its stages take part in deburr's pipelines where its Python bindings are installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any, ClassVar, cast

from pydantic import ConfigDict, Field, create_model

from deburr.core.cloud import PointCloud
from deburr.core.host import Host
from deburr.core.stage import Filter, Reader, Stage, Writer
from deburr.plugins.pdal.names import KNOWN

#: Stages whose output is several point views: all behind them see one view at a time.
_CUTS = frozenset(
    f"filters.{name}" for name in ("chipper", "divider", "groupby", "returns", "separatescanline", "splitter")
)
#: Stages that run code which stands in the pipeline or in a file that it names; no pipeline of deburr's runs code.
_CODE = frozenset({"filters.julia", "filters.matlab", "filters.python", "readers.numpy"})
#: Options that deburr's stages have as well, or that are deburr's business.
_SHARED = frozenset({"tag", "user_data", "inputs", "type"})
#: Seconds that PDAL's command may take to list its stages; it takes a twentieth of one.
_PATIENCE = 60


class Pdal(Host):
    """PDAL, through `import pdal`; its command tells which stages and options there are."""

    name = "PDAL"

    @cached_property
    def _found(self) -> tuple[str | None, str]:
        """The version, or None and why there is none."""
        try:
            import pdal

            return str(pdal.info.version), ""
        except (ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
            # Any folder of that name on Python's path can be imported as `pdal`, too, and has no `info`.
            return None, " ".join(str(error).split())

    def version(self) -> str | None:
        """Of libpdal."""
        return self._found[0]

    def types(self) -> frozenset[str]:
        """Of the PDAL that is here, or of all PDALs of the last years."""
        return KNOWN if self.version() is None else frozenset(self._drivers)

    def remedy(self) -> str:
        """Why the bindings cannot be imported, and how to get them."""
        return (
            f"whose Python bindings cannot be used here ({self._found[1]}); install them, for example by "
            "'conda install -c conda-forge python-pdal', and ask 'pipeline pdal-doctor' if that does not help"
        )

    def stage_class(self, type_name: str) -> type[Stage] | None:
        """A class whose fields are the options that PDAL lists; of stages for which it lists none, any option."""
        if type_name.partition(".")[0] not in _BASES or self.version() is None or type_name not in self._drivers:
            return None
        return _class_of(type_name, self._options.get(type_name, ()))

    def by_extension(self, kind: str, extension: str) -> str | None:
        """As PDAL infers it; text needs an extension too."""
        if self.version() is None:
            return None
        types = (name for name, known in self._drivers.items() if name.startswith(f"{kind}.") and extension in known)
        return next(types, None)

    def cuts(self, stage: Stage) -> bool:
        """filters.splitter, filters.chipper and their like."""
        return stage.type_name in _CUTS

    def joins(self, stage: Stage) -> bool:
        """filters.merge."""
        return stage.type_name == "filters.merge"

    def run(self, stages: Sequence[Stage], cloud: PointCloud | None) -> PointCloud:
        """Run ``stages`` in one PDAL pipeline, its writers in another."""
        from deburr.plugins.pdal.host.bridge import run

        return run(stages, cloud, str(self.version()))

    @cached_property
    def _drivers(self) -> Mapping[str, frozenset[str]]:
        """Each stage type, and the extensions that lead to it."""
        try:
            from pdal import libpdalpython

            found = libpdalpython.getDrivers()
        except (ImportError, AttributeError):  # not every version has it; there may be no command beside the others
            found = _listed("--drivers")
        return {one["name"]: frozenset(one.get("extensions") or ()) for one in found}

    @cached_property
    def _options(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """The options of each type that PDAL can list, with their descriptions."""
        return {
            name: tuple((one["name"], _described(one)) for one in options)
            for name, options in _listed("--options", "all")
            if options  # null where PDAL itself cannot read what a stage says of them
        }


def _described(option: Mapping[str, Any]) -> str:
    default = f" (PDAL's default: {option['default']})" if option.get("default") else ""
    return f"{option.get('description', '')}{default}"


def _listed(*arguments: str) -> list[Any]:
    command = ["pdal", *arguments, "--showjson"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return []  # `pdal-doctor` says why; PDAL itself checks options when it runs
    return found if isinstance(found, list) else []


HOST = Pdal()


def _refused(stage: Stage) -> list[str]:
    if stage.type_name not in _CODE:
        return []
    return [
        f"{stage.type_name} runs code that the pipeline brings along, which is never done here; run it with "
        "'pdal pipeline', or take deburr's own stages"
    ]


def _named(stage: Stage, ends: bool) -> list[str]:
    """The files that ``stage`` reads or writes: those that exist of all that a filter's options name, and if ``ends``,
    that of a reader or writer."""
    if isinstance(stage, Reader | Writer):
        return [stage.filename] if ends and stage.filename else []  # without patterns, every writer is compared with it
    options = {} if stage.host is None else stage.model_dump(exclude_unset=True, exclude={"tag", "user_data"})
    return [value for value in options.values() if isinstance(value, str) and os.path.isfile(value)]


class PdalFilter(Filter):
    """A filter that PDAL runs."""

    host: ClassVar[Host | None] = HOST

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse filters that run code."""
        return _refused(self)

    def run(self, cloud: PointCloud) -> PointCloud:
        """Run it alone."""
        return HOST.run([self], cloud)


class PdalReader(Reader):
    """A reader that PDAL runs."""

    host: ClassVar[Host | None] = HOST
    filename: str = Field("", description="what to read")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse readers that run code."""
        return _refused(self)

    def read(self) -> PointCloud:
        """Run it alone."""
        return HOST.run([self], None)


class PdalWriter(Writer):
    """A writer that PDAL runs. ``#`` in ``filename`` stands for the number of the part of a cloud that was cut."""

    host: ClassVar[Host | None] = HOST
    filename: str = Field("", description="what to write")

    @property
    def path(self) -> str | None:
        """The local file, if it is one."""
        remote = not self.filename or "://" in self.filename or self.filename.startswith(("/vsi", "STDOUT", "/dev/"))
        return None if remote else self.filename

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """Refuse a name that is, or a pattern that may become, that of a file that is read or written before it."""
        if self.path is None:
            return []
        folder, name = os.path.split(os.path.realpath(self.path))
        pattern = re.compile(r"\d+".join(re.escape(part) for part in name.split("#", 1)))
        return [
            f"output '{self.path}' is or may become '{other}', which is read or written before; choose another output"
            for other in dict.fromkeys(file for stage in before for file in _named(stage, "#" in name))
            if (its := os.path.split(os.path.realpath(other)))[0] == folder and pattern.fullmatch(its[1])
        ]

    def write(self, cloud: PointCloud) -> PointCloud:
        """Run it alone."""
        return HOST.run([self], cloud)


_BASES: Mapping[str, type[Stage]] = {"readers": PdalReader, "filters": PdalFilter, "writers": PdalWriter}


@cache
def _class_of(type_name: str, options: tuple[tuple[str, str], ...]) -> type[Stage]:
    """The class of a stage type of PDAL."""
    base = _BASES[type_name.partition(".")[0]]
    # By alias: PDAL's names may be Python's or pydantic's.
    fields: dict[str, Any] = {
        f"option_{number}": (Any, Field(None, alias=name, description=text))
        for number, (name, text) in enumerate(options)
        if name not in _SHARED and name not in base.model_fields
    }
    if not options:
        base = type(base.__name__, (base,), {"model_config": ConfigDict(extra="allow"), "__module__": __name__})
    made = cast("type[Stage]", create_model(f"Pdal_{type_name.replace('.', '_')}", __base__=base, **fields))
    made.type_name = type_name
    made.__doc__ = f"{type_name} of PDAL, which runs it; see https://pdal.io/stages/{type_name}.html"
    return made
