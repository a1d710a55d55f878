"""LZF, which compressed PCD files hold: both ways, by deburr's own code and by the C of python-neo-lzf."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.formats.pcd import lzf

_DATA = st.one_of(
    st.binary(max_size=600),
    st.lists(st.sampled_from([b"\0" * 300, b"abc", b"abcd" * 90, b"x", b"\xff\0"]), max_size=40).map(b"".join),
)


@given(_DATA)
def test_what_is_packed_is_unpacked(data: bytes) -> None:
    own = lzf._packed(data)
    assert lzf._unpacked(own, len(data)) == data
    assert lzf.unpack(own, len(data)) == data
    assert lzf._unpacked(lzf.pack(data), len(data)) == data


def test_by_hand() -> None:
    # Three bytes as they are; then six from three before; then 20 from the last one.
    packed = bytes([2]) + b"abc" + bytes([4 << 5, 2, 7 << 5, 11, 0])
    assert lzf._unpacked(packed, 29) == b"abc" + b"abcabc" + b"c" * 20
    assert len(lzf._packed(b"\0" * 10_000)) < 200


@pytest.mark.parametrize(
    ("packed", "size", "said"),
    [
        (b"\x02ab", 3, "breaks off"),
        (b"\x00a\x20", 4, "breaks off"),
        (b"\x00a\xe0", 4, "breaks off"),
        (b"\x00a\x20\x01", 4, "before its beginning"),
        (b"\x02abc", 2, "more than the 2 bytes"),
        (b"\x02abc", 4, "holds 3 bytes instead of 4"),
        (b"\x02abc", 4_000_000_000, "cannot hold 4,000,000,000"),
        (b"", 0, ""),
    ],
)
def test_what_is_damaged(packed: bytes, size: int, said: str) -> None:
    if not said:
        assert lzf.unpack(packed, size) == b""
        return
    with pytest.raises(lzf.Damaged, match=said):
        lzf.unpack(packed, size)
