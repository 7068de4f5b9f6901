"""expression: C's operators and precedence, and what may be done with addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootwright.asm.expression import Value, character, evaluate, parse, rename, symbols
from bootwright.common.errors import AssemblyError

NAMES = {"a": Value(0x1000, 1), "b": Value(0x1010, 1), "n": Value(5)}


def value(text: str) -> Value:
    return evaluate(parse(text), NAMES.__getitem__)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("24", 24),
        ("0x24", 0x24),
        ("0b101", 5),
        ("'A'", 65),
        ("';'", 59),
        (r"'\n'", 10),
        (r"'\''", 39),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("1 << 4 + 1", 32),
        ("6 & 3 ^ 1 | 8", 11),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7 - 2 - 1", 4),
        ("~0xfff & 0x12345", 0x12000),
        ("- - 3", 3),
        ("-n", -5),
        ("1 + 1 == 2", 1),
        ("1 << 2 < 4", 0),
        ("3 >= 3", 1),
        ("b - a", 16),
        ("(b - a) * 2", 32),
        ("a < b", 1),
        ("b <= 0x1000", 0),
    ],
)
def test_values(text: str, number: int) -> None:
    assert value(text) == Value(number)


def test_addresses_stay_addresses() -> None:
    assert value("a + 4") == Value(0x1004, 1)
    assert value("4 + a - 8") == Value(0xFFC, 1)
    assert value("a + (b - a)") == Value(0x1010, 1)
    assert value("a + b").addresses == 2, "refused where it is used"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a * 2", "* with an address"),
        ("~a", "~ of an address"),
        ("a & 0xfff", "& with an address"),
        ("1 / 0", "division by zero"),
        ("1 << 64", "shift by 64"),
        ("1 << -1", "shift by -1"),
        ("1 +", "a value is missing"),
        ("", "a value is missing"),
        ("(1", "a closing parenthesis is missing"),
        ("1 2", "'2' is not expected here"),
        ("1 $ 2", "cannot read '$ 2'"),
        ("010", "a decimal number does not start with 0"),
        ("0x", "cannot read"),
        ("12ab", "cannot read"),
        ("*3", "'*' is not expected here"),
        ("'é'", "not an ASCII character"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(AssemblyError) as caught:
        value(text)
    assert message in str(caught.value)


def test_symbols_and_rename() -> None:
    tree = parse("-(.loop + n) * 2 - .")
    assert list(symbols(tree)) == [".loop", "n", "."]
    assert list(symbols(rename(tree, lambda name: f"x{name}"))) == ["x.loop", "xn", "x."]
    assert character("A") == 65


@given(
    st.recursive(
        st.integers(0, 1 << 40).map(str),
        lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "&", "|", "^", "<", "=="]), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
    )
)
def test_agrees_with_python_where_both_say_the_same(text: str) -> None:
    assert value(text).number == int(eval(text))
