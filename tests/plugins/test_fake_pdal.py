"""The stand-in for PDAL notices each broken rule; a script that keeps them all passes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fake_pdal import Columns, FakePdal, HostError

POINTS: Columns = {
    "X": np.array([1.0, 2.0, 3.0]),
    "Y": np.zeros(3),
    "Z": np.array([5.0, 6.0, 7.0]),
    "Classification": np.array([2, 7, 2], np.uint8),
}


def run(body: str, head: str = "import numpy as np") -> Columns:
    return FakePdal(f"{head}\ndef f(ins, outs):\n    {body}", "f").run(POINTS)


def test_a_sound_script_changes_what_it_says() -> None:
    after = run("outs['Z'] = ins['Z'] + 1; return True")
    assert after["Z"].tolist() == [6.0, 7.0, 8.0]
    assert after["X"].tolist() == [1.0, 2.0, 3.0]


def test_inputs_given_back_are_copied_in_time() -> None:
    assert run("outs['X'] = ins['Z']; return True")["X"].tolist() == [5.0, 6.0, 7.0]


def test_mask_keeps_points() -> None:
    assert run("outs['Mask'] = ins['Classification'] == 2; return True")["Z"].tolist() == [5.0, 7.0]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("return False", "must return True"),
        ("pass", "must return True, not None"),
        ("return 1", "must return True"),
        ("outs['Z'] = np.zeros(6)[::2]; return True", "not contiguous"),
        ("outs['Z'] = np.zeros(3, '>f8'); return True", "byte order"),
        ("outs['Z'] = np.zeros(3, 'f4'); return True", "its dimension of float64"),
        ("outs['Classification'] = np.zeros(3, 'i1'); return True", "its dimension of uint8"),
        ("outs['Z'] = np.zeros(4); return True", "shape"),
        ("outs['Z'] = [1, 2, 3]; return True", "no array"),
        ("outs['Height'] = np.zeros(3); return True", "no dimension Height"),
        ("outs['Mask'] = np.ones(3, bool); outs['Z'] = ins['Z']; return True", "only output"),
        ("outs['Mask'] = np.ones(3, 'u1'); return True", "its dimension of bool"),
        ("outs['Mask'] = np.ones(2, bool); return True", "shape"),
        ("kept.append(ins['Z'][1:]); return True", "still refers"),
        ("kept.append(lambda: ins); return True", None),
    ],
)
def test_broken_rules(body: str, rule: str | None) -> None:
    if rule is None:  # the dictionary alone, emptied, does no harm
        run(body, "kept = []")
        return
    with pytest.raises(HostError, match=rule):
        run(body, "import numpy as np; kept = []")


def test_metadata() -> None:
    told = "{'name': 'a', 'value': '1', 'type': 'integer', 'children': [{'name': 'b', 'value': 'c', 'type': TYPE}]}"
    text = f"def f(ins, outs):\n    global out_metadata; out_metadata = {told}; return True"
    host = FakePdal(text.replace("TYPE", "'string'"), "f")
    host.run(POINTS)
    assert host.metadata["children"][0]["name"] == "b"
    for wrong, rule in (("''", "name and a type"), ("3", "hold text")):
        with pytest.raises(HostError, match=rule):
            FakePdal(text.replace("TYPE", wrong), "f").run(POINTS)


@pytest.mark.parametrize(
    "text",
    [
        "def f(ins): return True",
        "def f(ins, outs, more): return True",
        "def f(*args): return True",
        "def f(ins, outs, **more): return True",
        "f = lambda ins, *outs: True",
        "class F:\n    def __call__(self, ins, outs): return True\nf = F()",
    ],
)
def test_functions_that_crash_pdal(text: str) -> None:
    with pytest.raises(HostError, match="exactly two"):
        FakePdal(text, "f")


def test_a_module_of_that_name_comes_back() -> None:
    import json

    FakePdal("import sys\nassert sys.modules['json'].__dict__ is globals()\ndef f(ins, outs): return True", "f",
             module="json")  # fmt: skip
    assert sys.modules["json"] is json


def test_globals_are_there_during_the_call_only() -> None:
    host = FakePdal(
        "before = 'pdalargs' in globals()\ndef f(ins, outs):\n    assert not before\n"
        "    assert pdalargs == {'a': 1} and metadata['name'] == 'root' and spatialreference['srs']['wkt'] == 'W'\n"
        "    return True",
        "f",
        pdalargs={"a": 1},
        wkt="W",
    )
    host.run(POINTS)
    assert not {"pdalargs", "metadata"} & vars(host._module).keys()
