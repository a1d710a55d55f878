"""Whatever comes in through a door is let in whole and meant so, or refused in a sentence: in time, in memory.

``DEBURR_FUZZ`` says how many cases each door gets (`make fuzz`: 100,000). Case ``n`` of a door is the same everywhere.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import resource
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import doors
import e57_files
import mutate
import numpy as np
import pytest
import torch
from pcds import pcd
from texts import PTX

from deburr.batch.ledger import Ledger, key_of
from deburr.core.errors import DeburrError
from deburr.formats.e57.records import Field
from deburr.train.checkpoint import seal

CASES = int(os.environ.get("DEBURR_FUZZ", "2000"))
#: Cases of a door that are worth as much time as those of others:
#: torch takes 30 ms to read a checkpoint, as a disk does to keep a line.
COSTS = {"checkpoint": 8, "ledger": 2}
#: Places that a nasty value is put into behind a door, each time others: all see a part of the values. One where
#: cases cost more.
PLACES = 3
#: Seconds that a case may take, and MB that a door's cases may take besides what was taken before.
LONGEST, MOST = 10, 1000
#: Characters of what is said.
SAID = 220_000

SPEC = {
    "pipeline": [
        {"type": "readers.las", "filename": "a.las", "count": 5, "override_srs": "EPSG:25832"},
        {"type": "filters.outlier", "method": "statistical", "mean_k": 8, "multiplier": 2.5, "tag": "cut"},
        {"type": "filters.noise", "kind": "gaussian", "sigma": 0.03, "seed": 1},
        {"type": "filters.spd", "noise": "auto", "classes": [2, 6], "where": "Z > 3 && Classification == 2",
         "dimensions": ["Displacement"], "strength": ".5", "user_data": {"a": [1, 2]}},
        {"type": "filters.metrics", "neighbors": 16},
        {"type": "writers.las", "filename": "b.laz", "scale_x": 0.001, "offset_x": "auto", "forward": "all"},
    ]
}  # fmt: skip
RECIPE = {
    "output": "x.safetensors", "seed": 1, "steps": 6000, "landscape_share": 0.5, "scan_share": 0.1, "most": 4000,
    "solid_noise": [0.05, 2.0], "networks": ["score", "noise"], "learning_rate": 2e-4, "objective": "self_supervised",
    "files": ["a/*.laz"], "noise": 0.5, "channels": 48, "threads": 2,
}  # fmt: skip
THEIRS = {
    "pipeline": [
        "a.las",
        {"type": "readers.las", "filename": "b.las", "tag": "B"},
        {"type": "filters.merge", "inputs": ["B"]},
        {"type": "filters.outlier", "method": "radius", "radius": 1.5, "min_k": 4},
        {"type": "filters.range", "limits": "Classification![7:7],Z[0:100]"},
        {"type": "filters.smrf", "where": "Classification != 7"},
        {"type": "writers.gdal", "filename": "d.tif", "resolution": 0.5},
    ]
}
WKT = (
    b'COMPD_CS["mixed",PROJCS["WGS 84 / UTM zone 32N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,'
    b'298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    b'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",9],PARAMETER["scale_factor",0.9996],'
    b'PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1],AUTHORITY["EPSG","32632"]],'
    b'VERT_CS["NAVD88",VERT_DATUM["NAVD88",2005],UNIT["US survey foot",0.304800609601219]]]'
)
CONIC = (
    b'PROJCRS["L",BASEGEODCRS["R",DATUM["R",ELLIPSOID["GRS 1980",6378137,298.257222101,LENGTHUNIT["metre",1.0]]]],'
    b'CONVERSION["L",METHOD["Lambert Conic Conformal (2SP)",ID["EPSG",9802]],PARAMETER["Latitude of false origin",46.5,'
    b'ANGLEUNIT["degree",0.0174532925199433]],PARAMETER["Longitude of false origin",3,ANGLEUNIT["degree",'
    b'0.0174532925199433]],PARAMETER["Latitude of 1st standard parallel",49,ANGLEUNIT["degree",0.0174532925199433]],'
    b'PARAMETER["Latitude of 2nd standard parallel",44,ANGLEUNIT["degree",0.0174532925199433]],PARAMETER["Easting at '
    b'false origin",700000,LENGTHUNIT["metre",1.0]]],CS[Cartesian,2],AXIS["e",east,LENGTHUNIT["metre",1.0]],'
    b'AXIS["n",north,LENGTHUNIT["metre",1.0]]]'
)
GEODETIC = (
    b'GEODCRS["WGS 84",DATUM["W",ELLIPSOID["WGS 84",6378137,298.257223563,LENGTHUNIT["metre",1]]],'
    b'CS[Cartesian,3],AXIS["(X)",geocentricX,LENGTHUNIT["metre",1]],ID["EPSG",4978]]'
)
_WORDS = re.compile(rb'"[^"]*"|[\[\](),]|[^\s\[\](),"]+')
_LINES = re.compile(rb"[^\n]*\n|[^\s]+")
_CELLS = re.compile(rb"[^\n]*\n|[^\s,;]+|[\s,;]")


def _ply(kind: str) -> bytes:
    head = (
        f"ply\nformat {kind} 1.0\ncomment made by hand\nelement vertex 5\nproperty double x\nproperty double y\n"
        "property float z\nproperty uchar red\nproperty short label\nelement face 2\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    rows = [(i + 0.25, 2.0 * i, i / 4, 10 * i, -i) for i in range(5)]
    faces = [(3, 0, 1, 2), (4, 0, 1, 2, 3)]
    if kind == "ascii":
        return (head + "".join(" ".join(map(str, row)) + "\n" for row in (*rows, *faces))).encode()
    order = "<" if "little" in kind else ">"
    body = b"".join(struct.pack(f"{order}ddfBh", *row) for row in rows)
    return head.encode() + body + b"".join(struct.pack(f"{order}B{face[0]}i", *face) for face in faces)


PLY = [_ply(kind) for kind in ("ascii", "binary_little_endian", "binary_big_endian")]


_ROWS = "1.50 2.25 3.125 100 200 30 4\n-1 2e1 .5 7 0 255 1\nnan 1 2 3 4 5 6\n10.125 20 30.5 1 2 3 65535\n"
#: Tables with names and without, of all separators, PTS, and PTX.
TEXTS = [
    _ROWS.encode(),
    ("X,Y,Z,Intensity,r,g,b\r\n" + _ROWS.replace(" ", ",").replace("\n", "\r\n")).encode(),
    ("\ufeff# made by hand\nx;y;z;class;höhe;nx;Art\n" + _ROWS.replace(" ", ";").replace(".", ",")).encode(),
    ("//X\tY\tZ\ta\tb\tc\td\n4\n" + _ROWS.replace(" ", "\t")).encode(),
    ("4\n" + _ROWS + "2\n" + "".join(_ROWS.splitlines(keepends=True)[:2])).encode(),
    PTX,
]


def _pcd(kind: str) -> bytes:
    xyz = [(name, np.array([0.25, 1.5, np.nan, 4.0, -5.0, 6.0], "<f4")) for name in "xyz"]
    rgb, wide = np.arange(6, dtype="<u4") * 70_000, np.arange(12, dtype="<i2").reshape(6, 2)
    return pcd([*xyz, ("rgb", rgb), ("_", np.zeros(6, "<u1")), ("label", wide), ("t", np.arange(6) / 3)], kind, (3, 2))


PCD = [_pcd(kind) for kind in ("ascii", "binary", "binary_compressed")]


def _mutated_text(chance: random.Random) -> bytes:
    base = chance.choice(TEXTS)
    return bytes(mutate.of_bytes(base, chance) if chance.random() < 0.3 else mutate.of_text(base, chance, _CELLS))


def _mutated_pcd(chance: random.Random) -> bytes:
    base = chance.choice(PCD)
    at = base.index(b"\n", base.index(b"DATA ")) + 1
    head, body = base[:at], base[at:]
    if chance.random() < 0.7:
        head = mutate.of_text(head, chance, _LINES)
    if chance.random() < 0.5:
        body = mutate.of_text(body, chance, _LINES) if base is PCD[0] else mutate.of_bytes(body, chance)
    return head + body


OBJ = (
    b"v 0 0 0\nv 4 0 0 1.0\nv 4 2 0\nv 2 2 0.5\nv 2 4 0\nv 0 4 0\nvt 0 0\nvn 0 0 1\nusemtl a\n"
    b"f 1 2 3 4 5 6\nf 2/1/1 3/1 4//1\nf -1 -3 \\\n -2 # end\n"
)
_FACET = "facet normal 0 0 1\nouter loop\nvertex 0 0 {0}\nvertex 4 0 {0}\nvertex 4 4 {0}\nendloop\nendfacet\n"
STL = f"solid s\n{_FACET.format(0)}{_FACET.format(1e3)}endsolid s\n".encode()
STL_BINARY = b"made by hand".ljust(80) + struct.pack("<I", 3) + struct.pack("<12fH", *range(12), 0) * 3
_MESH_WORDS = re.compile(rb"[\w.+-]+|\n|/")


def _mutated_mesh(chance: random.Random) -> bytes:
    kind = chance.choice((OBJ, OBJ, STL, STL_BINARY, PLY))
    if isinstance(kind, list):
        return _mutated_ply(chance)
    if kind is STL_BINARY or chance.random() < 0.2:
        return bytes(mutate.of_bytes(kind, chance))
    return bytes(mutate.of_text(kind, chance, _MESH_WORDS))


def _e57() -> bytes:
    """Two scans, one of them of steps and with a pose, one spherical; every kind of field; an image."""
    integer = e57_files.integer
    rows = np.arange(5)
    steps = {integer(f"cartesian{axis}", -1000, 1000, 0.01, 5.0): rows * 7 for axis in "XYZ"}
    first = {
        **steps, Field("intensity", "single"): rows / 4, integer("colorRed", 0, 255): rows,
        integer("x:a", 3, 3): rows * 0 + 3,
        integer("cartesianInvalidState", 0, 2): rows % 3, integer("rowIndex", 0, 9): rows,
        **{Field(f"nor:normal{axis}", "single"): rows * 0 + 0.5 for axis in "XYZ"},
    }  # fmt: skip
    places = ("Range", "Azimuth", "Elevation")
    second = {
        **{Field(f"spherical{name}", "double"): rows / 8 for name in places},
        integer("returnIndex", 0, 1): rows % 2,
    }
    pose = (0.5, 0.5, 0.5, 0.5, 500_000.0, 5_400_000.0, 100.0)
    return e57_files.made([first, second], [pose], image=b"jpeg" * 9, crs="EPSG:25832")


E57 = e57_files.apart(_e57())
_TAGS = re.compile(rb'"[^"]*"|<[^>]*>|[^<>"]+')


def _mutated_e57(chance: random.Random) -> bytes:
    """Bytes or words of what lies in the pages, with right checksums; seldom with wrong ones."""
    between, xml = E57
    if chance.random() < 0.7:
        xml = mutate.of_text(xml, chance, _TAGS)
    if chance.random() < 0.5:
        between = mutate.of_bytes(between, chance)
    data = e57_files.together(between, xml)
    return mutate.of_bytes(data, chance) if chance.random() < 0.05 else data


def _mutated_ply(chance: random.Random) -> bytes:
    base = chance.choice(PLY)
    at = base.index(b"end_header\n") + len(b"end_header\n")
    head, body = base[:at], base[at:]
    if chance.random() < 0.7:
        head = mutate.of_text(head, chance, _LINES)
    if chance.random() < 0.5:
        body = mutate.of_text(body, chance, _LINES) if base is PLY[0] else mutate.of_bytes(body, chance)
    return head + body


def _mutated_checkpoint(chance: random.Random) -> bytes:
    """Bytes of the file changed, or values of what it holds; of these, half sealed again."""
    base: bytes = doors.sealed()
    if chance.random() < 0.5:
        return bytes(mutate.of_bytes(base, chance))
    state = _copied(_state())
    for _ in range(chance.choice((1, 1, 2))):
        _change(state, chance)
    if isinstance(state, dict) and chance.random() < 0.7:
        state.pop("digest", None)
        state = seal(state)
    return bytes(doors.packed(state))


@cache
def _state() -> dict[str, Any]:
    return dict(torch.load(io.BytesIO(doors.sealed()), weights_only=True))


def _copied(value: Any) -> Any:
    """The same containers anew, with the same tensors."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _change(value: Any, chance: random.Random) -> None:
    """Change one entry somewhere in nested dictionaries and lists."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = chance.choice(keys)
    found = value[key]
    if isinstance(found, dict | list) and found and chance.random() < 0.8:
        return _change(found, chance)
    tensors = (torch.zeros(0), torch.zeros(3, 3), torch.full((2,), torch.nan), torch.tensor(1), torch.tensor(torch.inf))
    if isinstance(value, dict) and chance.random() < 0.2:
        del value[key]
    elif isinstance(found, torch.Tensor) and chance.random() < 0.5:
        value[key] = chance.choice(
            (found.to(torch.float64), found[..., None], found * torch.nan, found.reshape(-1)[:1])
        )
    else:
        value[key] = chance.choice((*tensors, *mutate.NASTY))
    return None


def _mutated_override(chance: random.Random) -> bytes:
    option = chance.choice((b"noise", b"classes", b"where", b"dimensions", b"steps", b"tag", b"x"))
    nasty = mutate.as_bytes(chance.choice(mutate.NASTY))
    return b"filters.spd." + option + b"=" + chance.choice((mutate.of_json([0.03, [2, 6]], chance), nasty))


VPC = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature", "stac_version": "1.0.0", "id": name, "bbox": [0.0, 0.0, 1.0, 1.0],
            "assets": {"data": {"href": f"./{name}"}}, "geometry": {"type": "Polygon", "coordinates": [[[0.0, 0.0]]]},
            "properties": {"pc:count": 5, "proj:bbox": [0, 0, 0, 1, 1, 1], "proj:wkt2": ""},
        }
        for name in ("a.las", "b.laz")
    ],
}  # fmt: skip
#: A record of each kind, as runs write them.
RECORDS: dict[str, Any] = {
    "input": {"stamp": [10, 20, 30], "sha256": "0" * 64},
    "survey": {"id": "survey-1-a", "points": 5, "key": "1" * 64, "near": "", "seconds": 0.5, "sums": "s.json",
               "halo": 1.5, "read": 6, "attempts": 1, "unproved": 0},
    "clean": {"id": "a", "points": 5, "key": "2" * 64, "near": "3" * 64, "seconds": 0.5, "halo": 1.5, "read": 6,
              "attempts": 1, "unproved": 0, "moved": 3, "displacement_rms": 0.1, "displacement_max": 0.2,
              "displacements": {}, "noise_before": 0.1, "noise_after": None, "pieces": {"0": "p-0"},
              "stages": [{"figures": {"points": 5}, "warnings": ["w"], "sums": {}}]},
    "write": {"id": "write-a", "points": 5, "key": "4" * 64, "near": "", "seconds": 0.1,
              "written": [{"path": "a.las", "size": 10, "mtime_ns": 5, "ctime_ns": 6, "sha256": "5" * 64, "count": 5,
                           "bounds": [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], "figures": {}, "warnings": []}]},
    "known": {"known": [{"spacing": 0.5}, {}]},
    "failed": {"error": None},
    "memory": {"bytes": 1_000_000},
}  # fmt: skip


def ledger_of(records: dict[str, Any], seal: bool = True) -> bytes:
    """A ledger of these records, each under its kind; without a ``seal``, with those of `RECORDS`."""
    lines: list[Any] = [{"deburr ledger": 1}]
    for kind, record in records.items():
        told = record if seal else RECORDS[kind]
        lines.append({"kind": kind, "key": kind, "record": record, "sum": key_of(kind, kind, told)[:16]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _mutated_ledger(chance: random.Random) -> bytes:
    """Bytes of the file changed, or values of a record; of these, most sealed as if a run had written them."""
    if chance.random() < 0.3:
        return bytes(mutate.of_bytes(ledger_of(RECORDS), chance))
    kind = chance.choice(list(RECORDS))
    try:
        record = json.loads(mutate.of_json(RECORDS[kind], chance))
    except ValueError:
        record = None
    return ledger_of({**RECORDS, kind: record}, chance.random() < 0.8)


_OPTIONS = b'noise=0.03\x1eclasses=[2, 6]\x1ewhere=Z > 3\x1edimensions=["Displacement"]'
_OPTION = re.compile(rb"[^\x1e=]+|=")

#: Name of a door -> what makes its cases. The door is the function of that name in doors.py.
MADE: dict[str, Callable[[random.Random], bytes]] = {
    "spec": lambda chance: mutate.of_json(SPEC, chance),
    "override": _mutated_override,
    "crs_text": lambda chance: mutate.of_text(chance.choice((WKT, CONIC, GEODETIC)), chance, _WORDS),
    "ply": _mutated_ply,
    "text": _mutated_text,
    "pcd": _mutated_pcd,
    "e57": _mutated_e57,
    "mesh": _mutated_mesh,
    "recipe": lambda chance: mutate.of_json(RECIPE, chance),
    "checkpoint": _mutated_checkpoint,
    "vpc": lambda chance: mutate.of_json(VPC, chance),
    "ledger": _mutated_ledger,
    "pdal_options": lambda chance: mutate.of_text(_OPTIONS, chance, _OPTION),
    "pdal_pipeline": lambda chance: mutate.of_json(THEIRS, chance),
}


@contextmanager
def _watched(what: str) -> Iterator[None]:
    """One case: an error of deburr's own that can be shown, or none; and within `LONGEST` seconds."""

    def late(*_: object) -> None:
        raise AssertionError(f"{what}: takes more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    except DeburrError as error:
        said = str(error)
        assert said, what
        assert len(said) <= SAID, what
        assert all(line.isprintable() for line in said.split("\n")), what
        assert all(len(line) <= 2000 for line in said.split("\n")), what
    except (Exception, RecursionError) as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", MADE)
def test_mutated_input(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    door, make = getattr(doors, name), MADE[name]
    before = _memory()
    for number in range(CASES // COSTS.get(name, 1)):
        data = make(random.Random(f"{name} {number}"))
        with _watched(f"case {number} of {name}"):
            door(data, tmp_path)
    assert _memory() - before < MOST


def _turn(number: int, places: Sequence[Callable[[], bytes]], some: int) -> Iterator[tuple[int, bytes]]:
    """So many of the places, by turns."""
    for place in {(some * number + i) % len(places) for i in range(some)}:
        yield place, places[place]()


def _everywhere(name: str, value: Any) -> Sequence[Callable[[], bytes]]:
    """What puts ``value`` into each of the places that a door has for it."""
    raw = mutate.as_bytes(value)
    return [lambda: raw, *_inside(name, value, raw)]


def _inside(name: str, value: Any, raw: bytes) -> Iterator[Callable[[], bytes]]:  # noqa: C901 (a list of doors)
    bases: dict[str, Any] = {"spec": SPEC, "recipe": RECIPE, "pdal_pipeline": THEIRS}
    if name == "vpc":
        for place in [("type",), ("features",), ("features", 0)] + [
            ("features", 0, *place)
            for place in [("assets",), ("assets", "data"), ("assets", "data", "href"), ("properties",), ("geometry",)]
        ]:
            yield partial(_placed, VPC, place, value)
    elif name in bases:
        base = bases[name]
        places: list[tuple[Any, ...]] = [(key,) for key in base]
        if "pipeline" in base:
            places = [("pipeline", i) for i in range(len(base["pipeline"]))]
            places += [(*place, key) for place in places for key in _keys(base["pipeline"][place[1]])]
        for place in places:
            yield partial(_placed, base, place, value)
        if isinstance(value, str):
            yield partial(_placed, base, ("pipeline", 1, value) if "pipeline" in base else (value,), value)
    elif name == "crs_text":
        for old in (b'"mixed"', b"6378137", b'"metre",1', b"9]", b'"WGS 84 / UTM zone 32N"', b"PROJCS", b'"32632"'):
            yield partial(WKT.replace, old, raw)
            yield partial(WKT.replace, old, b'"' + raw + b'"')
    elif name == "ply":
        for old in (
            b"vertex 5",
            b"5\n",
            b" red",
            b"made by hand",
            b"double x",
            b"ascii",
            b"face",
            b"0.25",
            b" uchar int",
        ):
            yield partial(PLY[0].replace, old, raw, 1)
    elif name == "text":
        for base in TEXTS:
            for old in (b"1", b"2.25", b"2,25", b" ", b";", b"\t", b"\n", b"x", b"Z", b"0 0 0", b"4\n"):
                yield partial(base.replace, old, raw, 1)
    elif name == "pcd":
        for base in PCD:
            for old in (
                b"6\n",
                b"x y",
                b" 4",
                b" F",
                b"COUNT 1",
                b"rgb",
                b"label",
                b"ascii",
                b"binary",
                b"0.25",
                b"3\n",
            ):
                yield partial(base.replace, old, raw, 1)
    elif name == "mesh":
        for base in (OBJ, STL):
            for old in (b"v 4", b" 2 2", b"0.5", b"vertex", b"endloop", b"f 1", b"/1/1", b"-3", b"\n", b"usemtl"):
                yield partial(base.replace, old, raw)
    elif name in ("override", "pdal_options"):
        for option in (b"noise", b"classes", b"where", b"dimensions", b"steps", b"device", b"weights"):
            yield partial(bytes.join, b"", ((b"filters.spd." if name == "override" else b""), option, b"=", raw))
        yield partial(bytes.join, b"", (raw, b"=1"))
    elif name == "ledger":
        for kind, record in RECORDS.items():
            yield partial(ledger_of, {**RECORDS, kind: value})
            for key in record:
                yield partial(ledger_of, {**RECORDS, kind: {**record, key: value}})
    elif name == "checkpoint":
        base = _state()
        for key in base:
            yield partial(doors.packed, {**base, key: value})
            if key != "digest":
                changed = {k: v for k, v in base.items() if k != "digest"} | {key: value}
                yield partial(_sealed, changed)


def _keys(stage: Any) -> list[str]:
    return list(stage) if isinstance(stage, dict) else []


def _sealed(state: dict[str, Any]) -> bytes:
    return bytes(doors.packed(seal(state)))


def _placed(base: Any, place: tuple[Any, ...], value: Any) -> bytes:
    """The JSON of ``base`` with ``value`` at ``place``."""
    found = json.loads(json.dumps(base))
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return json.dumps(found).encode()


@pytest.mark.parametrize("name", [*MADE, "environment"])
def test_nasty_values_in_every_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before, some = _memory(), 1 if name in COSTS else PLACES
    for number, value in enumerate(mutate.NASTY):
        for place, data in _turn(number, _everywhere(name, value), some):
            with _watched(f"value {number} ({str(value)[:40]!r}) in place {place} of {name}"):
                getattr(doors, name)(data, tmp_path)
    assert _memory() - before < MOST


def test_what_is_not_damaged_is_let_in(tmp_path: Path) -> None:
    """What cases are made of, or nothing behind the doors would be tried."""
    doors.vpc(json.dumps(VPC).encode(), tmp_path)
    (tmp_path / "ledger.jsonl").write_bytes(ledger_of(RECORDS))
    told = Ledger(tmp_path / "ledger.jsonl")
    assert all(told.of_kind(kind) for kind in RECORDS)


def test_there_are_about_two_hundred_nasty_values() -> None:
    assert len(mutate.NASTY) >= 200


def test_a_checkpoint_is_taken_only_as_it_was_written(tmp_path: Path) -> None:
    """Every byte of the file that is turned is noticed, or was of no matter."""
    base = doors.sealed()
    own = doors.trainer()
    path = tmp_path / "x.ckpt"
    path.write_bytes(base)
    own.restore(path)
    wanted = {name: value.clone() for name, value in own.average.items()}
    taken = 0
    for number in range(100):
        chance = random.Random(number)
        data = bytearray(base)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            own.restore(path)
        except DeburrError:
            continue
        taken += 1
        assert all(torch.equal(own.average[name], value) for name, value in wanted.items())
        assert (own.step, own.seconds, own.points, own.running) == (1, 2.5, 100, {"score": 1.25})
    assert taken < 100
