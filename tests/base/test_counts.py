"""Numbers with their nouns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._base.counts import count_of, dollars, money


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2000, "2,000 files")]
)
def test_a_noun_agrees_with_its_number(number: int, text: str) -> None:
    """Only 1 is singular; thousands are separated."""
    assert count_of(number) == text


def test_any_noun_is_counted() -> None:
    """The noun is the caller's."""
    assert (count_of(1, "attempt"), count_of(3, "attempt")) == ("1 attempt", "3 attempts")


@given(st.integers() | st.sampled_from([0, 99, 100, -1, -100]))
def test_dollars_are_cents(cents: int) -> None:
    """Whatever their sign and size: the text is read back as the number, and cents have two digits."""
    text = dollars(cents)
    assert text.removeprefix("-").startswith("$")
    assert text[-3] == "."
    assert int(text.replace("$", "").replace(",", "").replace(".", "")) == cents
    assert text.startswith("-") is (cents < 0)


def test_thousands_of_dollars_are_separated() -> None:
    """As people write them."""
    assert (dollars(-123_456_789), dollars(5), dollars(0)) == ("-$1,234,567.89", "$0.05", "$0.00")


@pytest.mark.parametrize(
    ("currency", "text"), [(None, "$5.00"), ("USD", "$5.00"), ("EUR", "5.00 EUR"), ("e", "$5.00")]
)
def test_another_currency_has_its_code(currency: str | None, text: str) -> None:
    """What is no code stands for US dollars, as a service may send anything."""
    assert (money(500, currency), money(-500, currency)) == (text, f"-{text}")
