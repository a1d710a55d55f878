"""The language of ``where``: what it means, point by point, and one sentence with the position for all else."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.core.cloud import PointCloud
from deburr.core.where import MOST_LETTERS, MOST_LEVELS, WhereError, parse

CLOUD = PointCloud(
    np.array([[0.0, 10.0, -1.0], [1.0, 20.0, 3.0], [2.0, 30.0, 4.0], [3.0, 40.0, 5.0]]),
    {
        "Classification": np.array([2, 2, 5, 6], np.uint8),
        "ReturnNumber": np.array([1, 2, 1, 1], np.uint8),
        "Red": np.array([60_000, 0, 60_000, 1], np.uint16),
        "Amplitude [dB]": np.array([0.5, np.nan, 2.5, 1.0]),
        "Withheld": np.array([0, 1, 0, 0], np.bool_),
        "Normal": np.zeros((4, 3)),
    },
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Classification == 2 && ReturnNumber == 1", [0]),
        ("Z > 3", [2, 3]),
        ("Z >= 3", [1, 2, 3]),
        ("Z<3.5e0", [0, 1]),
        ("3 <= Z", [1, 2, 3]),
        ("Classification != 2", [2, 3]),
        ("!Classification == 2", [2, 3]),
        ("!(Classification == 2 || Z > 4)", [2]),
        ("!!(Z > 3)", [2, 3]),
        ("Z > -1.5", [0, 1, 2, 3]),
        ("Z == -1", [0]),
        ("--Z == -1", [0]),
        ("X == 0 || X == 1 && Y == 99", [0]),  # && binds tighter than ||
        ("(X == 0 || X == 1) && Y == 20", [1]),
        ("Y / 10 - X == 1", [0, 1, 2, 3]),
        ("X + 2 * 3 == 7", [1]),
        ("(X + 2) * 3 == 9", [1]),
        ("8 - 4 - 2 == X", [2]),
        ("8 / 4 / 2 == X", [1]),
        ("Red + Red > 65535", [0, 2]),  # 16 bits would overflow
        ("Classification - 3 < 0", [0, 1]),  # 8 bits without sign would wrap round
        ("1 / X > 0.9", [0, 1]),  # 1 / 0 is infinite
        ("'Amplitude [dB]' < 2", [0, 3]),  # NaN compares false
        ("Withheld == 1", [1]),
        ("\tZ\n>\n3 ", [2, 3]),
        ("1 == 1", [0, 1, 2, 3]),
        ("1 > .5 && 2. > 3", []),
    ],
)
def test_meaning(text: str, rows: list[int]) -> None:
    found = parse(text).of(CLOUD)
    assert found.dtype == np.bool_
    assert np.flatnonzero(found).tolist() == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "position 1: expected a number, a dimension or '(', found the end"),
        ("   ", "position 4: expected"),
        ("Z >", "position 4: expected a number, a dimension or '(', found the end"),
        ("Z > 3 &&", "position 9: expected"),
        ("Classification = 2", "position 16: '=' is not understood; write '=='"),
        ("Z > 3 & X > 1", "position 7: '&' is not understood; write '&&'"),
        ("Z > 3 and X > 1", "position 7: 'and' is not understood; write '&&'"),
        ("not Z > 3", "position 1: 'not' is not understood; write '!'"),
        ("Z > 3 ; X", "position 7: ';' is not understood; an example: "),
        ('Classification == "2"', "position 19: '\"' is not understood"),
        ("Z > 3 X", "position 7: expected an operator, found 'X'"),
        ("Z > 3)", "position 6: expected an operator, found ')'"),
        ("(Z > 3", "position 7: expected ')', found the end"),
        ("Z", "position 1: a number is no condition; compare it, for example 'Z == 1'"),
        ("Withheld && Z > 3", "position 1: a number is no condition; compare it, for example 'Withheld == 1'"),
        ("Z > 3 || Withheld", "position 10: a number is no condition"),
        ("!Withheld", "position 2: a number is no condition"),
        ("Z + 1", "position 1: a number is no condition"),
        ("1 < Z < 3", "position 7: comparisons cannot be chained; join two of them by '&&'"),
        ("(Z > 3) + 1 > 0", "position 1: a condition cannot be computed with"),
        ("1 + (Z > 3) > 0", "position 5: a condition cannot be computed with"),
        ("(Z > 3) == 1", "position 1: a condition cannot be computed with"),
        ("-(Z > 3)", "position 2: a condition cannot be computed with"),
        ("__import__('os')", "position 11: expected an operator, found '('"),
        ("Z.real > 1", "position 2: '.' is not understood"),
        ("Z ** 2 > 1", "position 4: expected a number"),
        ("(" * 1000 + "Z > 3", f"position {MOST_LEVELS + 1}: more than {MOST_LEVELS} parentheses in each other"),
        ("Z > 3" + " && Z > 3" * 1000, f"position {MOST_LETTERS + 1}: the condition goes on for 9,005 letters"),
    ],
)
def test_what_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(WhereError) as caught:
        parse(text)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Clasification == 2",
            "position 1: the cloud has no dimension 'Clasification'; did you mean 'Classification'?",
        ),
        ("Z > 1 && z < 3", "position 10: the cloud has no dimension 'z'; did you mean 'Z'?"),
        ("Quux == 2", "position 1: the cloud has no dimension 'Quux'; it has X, Y, Z, Classification, "),
        ("Normal == 2", "position 1: 'Normal' is not one number a point"),
    ],
)
def test_what_a_cloud_cannot_answer(text: str, said: str) -> None:
    with pytest.raises(WhereError) as caught:
        parse(text).of(CLOUD)
    assert str(caught.value).startswith(said)


def test_an_empty_cloud_has_no_answers() -> None:
    assert parse("Z > 3 || 1 == 1").of(PointCloud(np.zeros((0, 3)))).shape == (0,)


def test_long_chains_are_read_without_deep_calls() -> None:
    text = " || ".join(["!!(X==9)"] * 200 + ["----Z>4"])
    assert np.flatnonzero(parse(text).of(CLOUD)).tolist() == [3]


numbers = st.one_of(st.integers(0, 9).map(str), st.sampled_from(["X", "Z", "ReturnNumber"]))
sums = st.recursive(numbers, lambda s: st.builds("({} {} {})".format, s, st.sampled_from("+-*"), s), max_leaves=5)
tests = st.builds("({} {} {})".format, sums, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), sums)
conditions = st.recursive(
    tests, lambda c: st.builds("({} {} {})".format, c, st.sampled_from(["&&", "||"]), c) | c.map("(!{})".format)
)


@given(conditions)
def test_it_means_what_python_means(text: str) -> None:
    python = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ").replace(" not =", "!=")
    for row, answer in enumerate(parse(text).of(CLOUD)):
        values: dict[str, Any] = {
            "X": CLOUD.xyz[row, 0], "Z": CLOUD.xyz[row, 2], "ReturnNumber": float(CLOUD.dims["ReturnNumber"][row])
        }  # fmt: skip
        assert operator.truth(eval(python, values)) == answer, python


@given(st.text(alphabet="XZ1.=!<>&|()+-*/' and", max_size=30))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    try:
        assert parse(text).program
    except WhereError as error:
        said = str(error)
        assert said.startswith("position "), said  # both outcomes are right
