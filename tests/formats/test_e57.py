"""E57: checksums, pages, and records in bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from e57_files import apart, integer, made, together
from hypothesis import given, settings
from hypothesis import strategies as st

from deburr.core.errors import ReadError
from deburr.formats.e57.file import load
from deburr.formats.e57.pages import DATA, PAGE, PageWriter, checksums, open_pages
from deburr.formats.e57.records import Field, encode
from deburr.formats.e57.tree import as_xml, parse

X, Y, Z = (Field(f"cartesian{axis}", "double") for axis in "XYZ")


def test_checksums_are_crc_32c() -> None:
    # The examples of RFC 3720, appendix B.4.
    rows = np.stack([np.zeros(32, np.uint8), np.full(32, 255, np.uint8), np.arange(32, dtype=np.uint8)])
    assert [hex(value) for value in checksums(rows)] == ["0x8a9136aa", "0x62a8ab43", "0x46dd794e"]


def crc_32c(data: bytes) -> int:
    """Bit by bit, as it is defined."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 * (value & 1)
    return value ^ 0xFFFFFFFF


@pytest.mark.parametrize("length", [4, 289, 290, 291, 444, 445, 600, DATA])
def test_checksums_of_any_length_are_those_of_the_definition(length: int) -> None:
    rows = np.random.default_rng(length).integers(0, 256, (3, length), dtype=np.uint8)
    before = rows.copy()
    assert checksums(rows).tolist() == [crc_32c(row.tobytes()) for row in rows]
    assert checksums(rows[:1]).tolist() == [crc_32c(before[0].tobytes())]
    assert (rows == before).all()


@given(st.lists(st.binary(max_size=3 * DATA), max_size=6))
def test_pages_give_back_what_was_written(parts: list[bytes]) -> None:
    stream = io.BytesIO()
    pages, places = PageWriter(stream), []
    for part in parts:
        places.append(pages.at)
        pages.write(part)
    pages.close(pages.at, 0)
    data = stream.getvalue()
    assert len(data) % PAGE == 0
    raw = np.frombuffer(data, np.uint8).reshape(-1, PAGE)
    assert (checksums(raw[:, :DATA]) == raw[:, DATA:].copy().view(">u4")[:, 0]).all()
    logical = raw[:, :DATA].tobytes()
    assert all(logical[place : place + len(part)] == part for place, part in zip(places, parts, strict=True))


@st.composite
def tables(draw: st.DrawFn) -> dict[Field, np.ndarray]:
    """Coordinates, and fields of any number of bits."""
    count = draw(st.integers(1, 400))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    table = {one: random.normal(size=count) for one in (X, Y, Z)}
    for number, bits in enumerate(draw(st.lists(st.integers(0, 64), max_size=6))):
        low = draw(st.integers(-(2**63), 2**63 - 2**bits))
        one = integer(f"x:f{number}", low, low + 2**bits - 1)
        shifts = random.integers(0, 2**bits, count, dtype=np.uint64, endpoint=False) if bits < 64 else (
            random.integers(0, 2**64 - 1, count, dtype=np.uint64, endpoint=True)
        )  # fmt: skip
        table[one] = (shifts + np.uint64(low % 2**64)).view(np.int64)
    return table


@settings(deadline=None, max_examples=60)
@given(tables())
def test_records_of_any_number_of_bits(
    tmp_path_factory: pytest.TempPathFactory, table: dict[Field, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("e57") / "in.e57"
    path.write_bytes(made([table]))
    with path.open("rb") as stream:
        (scan,) = load(stream, str(path)).scans
    assert list(scan.fields) == list(table)
    for one, raw in table.items():
        assert scan.raw[one.path].tolist() == raw.tolist()


def test_bits_lie_as_the_format_says() -> None:
    # Five bits each, the first in the lowest: 1 | 2 << 5 | 3 << 10, in two bytes; the packet is filled to four.
    (section,) = [encode([integer("a", 10, 41)], {"a": np.array([11, 12, 13])}, 3, 48)]
    assert section[:8] == b"\1" + bytes(7)
    assert int.from_bytes(section[8:16], "little") == len(section)
    assert int.from_bytes(section[16:24], "little") == 48 + 32
    packet = section[32:44]
    value = 1 | 2 << 5 | 3 << 10
    assert packet == bytes([1, 0, 11, 0, 1, 0, 2, 0]) + value.to_bytes(2, "little") + bytes(2)


def test_many_packets(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = {one: random.normal(size=50_001) for one in (X, Y, Z)} | {integer("x:a", 0, 6): np.arange(50_001) % 7}
    path = tmp_path / "in.e57"
    path.write_bytes(made([table]))
    with path.open("rb") as stream:
        (scan,) = load(stream, str(path)).scans
    assert (scan.raw["x:a"] == np.arange(50_001) % 7).all()
    assert scan.raw["cartesianZ"].tobytes() == table[Z].tobytes()


def test_the_tree_is_kept_as_it_is_spelt(tmp_path: Path) -> None:
    path = tmp_path / "in.e57"
    path.write_bytes(
        made([{one: [1.0] for one in (X, Y, Z)}], more='<description type="String"> &amp; \n "x" </description>')
    )
    with path.open("rb") as stream:
        root = parse(open_pages(stream, str(path)))
    assert root.find("x:note").text == "a < b"  # type: ignore[union-attr]
    again = together(b"", as_xml(root))
    path.write_bytes(again)
    with path.open("rb") as stream:
        other = parse(open_pages(stream, str(path)))
    nodes = [[(n.name, n.attributes, n.text) for n in tree.walk()] for tree in (root, other)]
    assert nodes[0] == nodes[1]


GOOD = made(
    [{**{one: [1.0, 2.0, 3.0] for one in (X, Y, Z)}, integer("intensity", 0, 255): [1, 2, 3]}], image=b"jpeg" * 9
)


def changed(old: str, new: str) -> bytes:
    between, xml = apart(GOOD)
    assert old.encode() in xml
    return together(between, xml.replace(old.encode(), new.encode()))


BAD = {
    "cut": (GOOD[:-PAGE], "cut off"),
    "empty": (b"", "not an E57"),
    "another": (b"ply\n" * 500, "not an E57"),
    "a byte": (GOOD[:100] + b"?" + GOOD[101:], "checksum of its page 0"),
    "version": (GOOD[:8] + b"\2" + GOOD[9:], "version 2"),
    "entities": (changed("<e57Root", '<!DOCTYPE a [<!ENTITY b "c">]><e57Root'), "document type"),
    "10^9 points": (changed('recordCount="3"', 'recordCount="1000000000"'), "1000000000 records"),
    "some more": (changed('recordCount="3"', 'recordCount="300"'), "300 records"),
    "no number": (changed('recordCount="3"', 'recordCount="' + "9" * 400 + '"'), "no valid recordCount"),
    "elsewhere": (changed('fileOffset="48"', 'fileOffset="1000000"'), "which it does not have"),
    "in a checksum": (changed('fileOffset="48"', 'fileOffset="1021"'), "where there are none"),
    "no section": (changed('fileOffset="48"', 'fileOffset="52"'), "where it says"),
    "no places": (changed("cartesianX", "cartesianW"), "neither cartesian nor spherical"),
    "limits": (changed('maximum="255"', 'maximum="-1"'), "limits of its field"),
    "no limits": (changed('maximum="255"', 'maximum="x"'), "limits of its field"),
    "text": (changed('type="Integer" minimum="0" maximum="255"', 'type="String"'), "of type String"),
    "image": (changed('length="36"', 'length="3600"'), "an image that it does not have"),
    "no xml": (together(b"", b"<e57Root"), "XML cannot be read"),
    "deep": (together(b"", b"<e57Root>" * 60), "nested too deep"),
    "other xml": (together(b"", b"<a/>"), "none of E57"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    data, said = BAD[name]
    path = tmp_path / "in.e57"
    path.write_bytes(data)
    with path.open("rb") as stream, pytest.raises(ReadError) as caught:
        load(stream, str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message


def test_the_same_records_a_thousand_times_are_refused(tmp_path: Path) -> None:
    between, xml = apart(made([{one: np.zeros(5000) for one in (X, Y, Z)}]))
    begin, end = xml.index(b"<vectorChild"), xml.index(b"</data3D>")
    path = tmp_path / "in.e57"
    path.write_bytes(together(between, xml[:begin] + xml[begin:end] * 1000 + xml[end:]))
    with path.open("rb") as stream, pytest.raises(ReadError, match="more room than it has"):
        load(stream, str(path))
