"""writers.copc: LAZ with an octree, of which programs read windows and draw from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal

from pydantic import Field

from deburr.core.cloud import PointCloud
from deburr.core.kept import Kept
from deburr.core.stage import Stage
from deburr.writers.las import LasWriter

if TYPE_CHECKING:
    from deburr.writers._las_target import Asked, Target

#: The point format of COPC that has a place for what each point format holds, but for waveforms.
_FORMATS = (6, 6, 7, 7, 6, 7, 6, 7, 8, 6, 8)


class CopcWriter(LasWriter):
    """Write a COPC file: LAZ of LAS 1.4 whose points stand in the order of an octree, with an index behind them.

    Points are the same, with all their attributes, and in another order. They are all held in memory. Options and
    what is taken over from the file that was read are those of `writers.las`.
    """

    type_name: ClassVar[str] = "writers.copc"
    extensions: ClassVar[tuple[str, ...]] = ("copc.laz",)
    kept: ClassVar[Mapping[str, Kept]] = {}

    minor_version: Literal[4] | None = Field(None, description="LAS 1.4: there is no other COPC")
    dataformat_id: Literal[6, 7, 8] | None = Field(None, description="point format; default: what the input's needs")
    compression: Literal[True, "laszip", "lazperf"] | None = Field(None, description="COPC is always compressed")

    def check(self, before: tuple[Stage, ...]) -> list[str]:
        """As `writers.las`; and the name must be one by which programs know COPC."""
        errors = super().check(before)
        if not self.filename.lower().endswith(".copc.laz"):
            errors.append("option 'filename' must end in .copc.laz, by which programs know that there is an index")
        return errors

    @property
    def compressed(self) -> bool:
        """Always."""
        return True

    def _planned(self, asked: Asked) -> Target:
        from deburr.writers._las_target import plan

        number = self.dataformat_id
        if number is None and asked.source is not None and "dataformat_id" not in self.model_fields_set:
            number = _FORMATS[asked.source.layout.format]  # type: ignore[assignment]
        target = plan(self.model_copy(update={"minor_version": 4, "dataformat_id": number}), asked)
        _drop_waveforms(target)
        return target

    def _emit(self, file: BinaryIO, parts: Iterable[PointCloud], target: Target, total: int) -> None:
        from deburr.writers._copc_body import emit

        emit(file, parts, target, total)


def _drop_waveforms(target: Target) -> None:
    """COPC's point formats have no place for them, nor for what describes them."""
    header = target.header
    described = {("LASF_Spec", number) for number in range(100, 356)}
    records = tuple(one for one in header.records if one.id not in described and not one.has_waveforms)
    evlrs = [one for one in target.evlrs if one.id not in described and not one.has_waveforms]
    told = header.global_encoding
    if len(records) + len(evlrs) < len(header.records) + len(target.evlrs) or told.waveform_data_packets_external:
        target.warn("COPC has no place for waveforms, which were left out")
    header.records, target.evlrs = records, evlrs
    told.waveform_data_packets_internal = told.waveform_data_packets_external = False
