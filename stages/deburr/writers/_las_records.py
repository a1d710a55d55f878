"""The variable length records of a LAS file to be written: copied, but for those that a rewrite makes void."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deburr.core.errors import WriteError
from deburr.formats.las.crs import CRS_RECORDS, crs_records, is_epsg
from deburr.formats.las.header import Header
from deburr.formats.las.points import Layout
from deburr.formats.las.records import EXTRA_BYTES, LASZIP, Vlr

if TYPE_CHECKING:
    from deburr.writers._las_target import Asked
    from deburr.writers.las import LasWriter


def plan_records(
    writer: LasWriter,
    asked: Asked,
    layout: Layout,
    header: Header,
    forward: frozenset[str],
    warnings: list[str],
) -> tuple[tuple[Vlr, ...], list[Vlr]]:
    """The records to write, without LASzip's, which the compressor brings, and COPC's, which a rewrite makes void."""
    source = asked.source
    crs = writer.crs or asked.first.crs
    vlrs, evlrs = (list(source.vlrs), list(source.evlrs)) if source is not None else ([], [])
    new_crs = crs is not None and crs != (source.crs if source is not None else None)
    stays = CRS_RECORDS | {EXTRA_BYTES, *(("LASF_Spec", n) for n in range(100, 356))}
    for records in (vlrs, evlrs):
        records[:] = [
            r
            for r in records
            if r.id != LASZIP
            and r.id[0] != "copc"
            and not (new_crs and r.id in CRS_RECORDS)
            and ("vlr" in forward or r.id in stays or r.has_waveforms)
        ]
    if not asked.intact:
        _drop_index(vlrs, evlrs, warnings)
    if source is None or layout.extras != source.layout.extras:
        _describe_extras(layout, vlrs, evlrs)
    if new_crs and crs is not None:
        in_degrees = bool((asked.low[:2] >= (-360, -90)).all() and (asked.high[:2] <= (360, 90)).all())
        vlrs += crs_records(crs, in_degrees)
        _mark_crs(crs, layout, header, warnings)
    elif source is not None and source.layout.format < 6 <= layout.format and crs is not None and is_epsg(crs):
        warnings.append(f"LAS asks for WKT in point format {layout.format}; {crs} stays as GeoTIFF keys: see 'a_srs'")
    elif source is None and layout.format >= 6:
        header.global_encoding.wkt = True
    if header.minor < 4:
        _squeeze(header, vlrs, evlrs, warnings)
    if any(len(v.data) > 65535 for v in vlrs):
        raise WriteError(f"{writer.filename}: a record of over 65,535 bytes does not fit; give a shorter 'a_srs'")
    return tuple(vlrs), evlrs


def _drop_index(vlrs: list[Vlr], evlrs: list[Vlr], warnings: list[str]) -> None:
    """A spatial index inside the file (LAStools) is wrong once points moved or went."""
    index = ("LAStools", 30)
    if all(r.id != index for r in (*vlrs, *evlrs)):
        return
    for records in (vlrs, evlrs):
        records[:] = [r for r in records if r.id != index]
    warnings.append("the LAStools spatial index is void for the new points and was left out; run lasindex again")


def _describe_extras(layout: Layout, vlrs: list[Vlr], evlrs: list[Vlr]) -> None:
    """One record for all extra bytes, in the place of the first there was."""
    place = next((i for i, v in enumerate(vlrs) if v.id == EXTRA_BYTES), len(vlrs))
    old = vlrs[place] if place < len(vlrs) else Vlr(b"LASF_Spec", 4, b"", b"Extra Bytes Record")
    for records in (vlrs, evlrs):
        records[:] = [r for r in records if r.id != EXTRA_BYTES]
    if layout.extras:
        data = b"".join(e.descriptor for e in layout.extras)
        vlrs.insert(place, replace(old, data=data))


def _mark_crs(crs: str, layout: Layout, header: Header, warnings: list[str]) -> None:
    """Set or clear the WKT bit for a new CRS."""
    if header.minor >= 4:
        header.global_encoding.wkt = not is_epsg(crs)
    elif not is_epsg(crs):
        warnings.append(
            "before LAS 1.4, few programs look for WKT; set 'minor_version' to 4, or give the CRS as EPSG:n"
        )
    if is_epsg(crs) and layout.format >= 6:
        warnings.append(f"LAS asks for WKT in point format {layout.format}; {crs} was written as GeoTIFF keys")


def _squeeze(header: Header, vlrs: list[Vlr], evlrs: list[Vlr], warnings: list[str]) -> None:
    """Before LAS 1.4 only waveforms stand behind the points: other records go to the front, if they fit there."""
    stays = [r for r in evlrs if r.has_waveforms and header.minor == 3]
    for record in evlrs:
        if record not in stays and len(record.data) <= 65535:
            vlrs.append(record)
        elif record not in stays:
            warnings.append(f"LAS 1.{header.minor} has no place for the record {record.id}, which was left out")
    evlrs[:] = stays
