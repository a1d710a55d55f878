"""What other packages bring is loaded when it is asked for; what is wrong with one is said, and does no harm."""

from __future__ import annotations

from importlib.metadata import entry_points
from math import e, tau
from pathlib import Path

import pytest

from deburr.core import entries
from deburr.core.entries import Entries, Point
from deburr.core.errors import SpecError

POINTS = [
    Point("tau", "math:tau", "circles"),
    Point("e", "math:e", "growth"),
    Point("pi", "math:pi", "circles"),
    Point("twice", "math:pi", "circles"),
    Point("twice", "math:tau", "growth"),
    Point("gone", "math:gone", "growth"),
    Point("small", "math:e", "growth"),
]


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> Entries[float]:
    monkeypatch.setattr(entries, "points", lambda group: POINTS if group == "numbers" else [])
    return Entries("numbers", "number", lambda: ("pi",), lambda p, found: "is too small" if p.name == "small" else None)


def test_names_come_in_order_and_own_ones_are_nobody_s(numbers: Entries[float]) -> None:
    assert numbers.names == ("e", "gone", "small", "tau", "twice")
    assert numbers.sound() == {"e": e, "tau": tau}
    assert numbers.foreign


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone", r"number 'gone' of package growth cannot be loaded \(AttributeError: .*gone.*\); repair the package"),
        ("small", "number 'small' of package growth is too small"),
        ("twice", "number 'twice' is brought by package circles and package growth: which is meant"),
    ],
)
def test_what_cannot_be_used_is_said_each_time(numbers: Entries[float], name: str, sentence: str) -> None:
    for _ in range(2):
        with pytest.raises(SpecError, match=sentence):
            numbers.get(name)


def test_all_that_is_broken_is_told_at_once(numbers: Entries[float]) -> None:
    said = numbers.broken()
    assert [sentence.split("'")[1] for sentence in said] == ["gone", "pi", "small", "twice"]
    assert said[1] == "number 'pi' of package circles is not used: deburr has one of that name itself"


def test_nothing_is_broken_where_nobody_brings_anything(numbers: Entries[float]) -> None:
    assert Entries("other", "number").broken() == []
    assert not Entries("other", "number").foreign


@pytest.mark.parametrize("group", ["console_scripts", "pytest11", "deburr.hosts", "distutils.commands"])
def test_they_are_those_that_python_finds(group: str) -> None:
    found = {(point.name, point.value) for point in entries.points(group)}
    assert found == {(point.name, point.value) for point in entry_points(group=group)}
    assert found or group == "distutils.commands"


def test_a_file_of_entry_points_is_read_as_it_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[other]\na = x:y\n\n[numbers]\n# b = x:y\n tau = math:tau [fast]\nwhole=math\n[more]\nc = x:y\n"
    for folder in (
        "first/circles_of_mine-2.0.dist-info",
        "second/Circles.Of_Mine-1.dist-info",
        "second/torn.egg-info",
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "entry_points.txt").write_text(
            text if "torn" not in folder else "[numbers]\nbare\n = \nsquare = math:sqrt\n"
        )
    (tmp_path / "first" / "bytes-1.dist-info").mkdir()
    (tmp_path / "first" / "bytes-1.dist-info" / "entry_points.txt").write_bytes(b"[numbers]\na = \xff\n")
    monkeypatch.setattr("sys.path", [str(tmp_path / "first"), str(tmp_path / "nowhere"), str(tmp_path / "second")])
    found = list(entries.points("numbers"))
    # The second package has the name of the first, as Python has it.
    assert found[:2] == [Point("tau", "math:tau [fast]", "circles_of_mine"), Point("whole", "math", "circles_of_mine")]
    assert found[2:] == [Point("square", "math:sqrt", "torn")]
    assert found[0].load() == tau
    assert found[1].load().tau == tau
