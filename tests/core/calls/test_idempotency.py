"""Idempotency keys."""

from __future__ import annotations

import enum
import json
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import firsthandapi
from firsthandapi._core.calls.idempotency import check_key, check_since, is_known
from firsthandapi.errors import InvalidArgumentError

HOUR = 3600.0
# Each made with `printf '…' | sha256sum` from the canonical JSON beside it, not with this package.
GOLDEN: list[tuple[tuple[Any, ...], str]] = [
    # ["signs","2026-11"]
    (("signs", "2026-11"), "fh-6d2045f09e6f5ced0e0fca8b2a8e6444770b968d1cfb1e69633c6e05672c8be2"),
    # [1]
    ((1,), "fh-080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22"),
    # ["1"]
    (("1",), "fh-43de3a417d75f4818c5a553268b80ce3a5805109a3bbc6b605e9fb0b8f50b485"),
    # [true]
    ((True,), "fh-1c28f2eb0958c3d15db1f0f0e7f2b8998ca2b8f67ab426a1fbb3d561fe76fad9"),
    # [null]
    ((None,), "fh-1d8fc6ceb1f94c6326d6d5483d258fcb2e179e9869325b245d105c2219bf69fd"),
    # ["é",{"a":[1,2],"b":false}]
    (("é", {"b": False, "a": [1, 2]}), "fh-ebddec2e22c889140d2a1e1a92cba9f919d12fa258d310d62f239c6a4b96d409"),
    # [[],{}]
    (([], {}), "fh-5eed25f9aa1c68139fe47d7ea93769c16d4ddd46c01693921e0b40d9aaa39beb"),
    # ["\"\\\n"]
    (('"\\\n',), "fh-df390028c675c43e0ef4e6f210e2cd74c25291bdd0de616ff225efab71857780"),
]

PARTS = st.recursive(
    st.text(max_size=5) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(("parts", "key"), GOLDEN)
def test_golden_values(parts: tuple[Any, ...], key: str) -> None:
    """A key is the same in every run, on every machine, in every version."""
    assert firsthandapi.idempotency_key(*parts) == key


@given(st.lists(PARTS, min_size=1, max_size=3), st.lists(PARTS, min_size=1, max_size=3))
def test_keys_differ_just_where_parts_do(first: list[Any], second: list[Any]) -> None:
    """Two lists of parts share a key only if they are the same JSON."""
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (firsthandapi.idempotency_key(*first) == firsthandapi.idempotency_key(*second)) is same


def test_the_order_of_a_dict_does_not_matter() -> None:
    """Dicts that are equal give one key."""
    assert firsthandapi.idempotency_key({"a": 1, "b": 2}) == firsthandapi.idempotency_key({"b": 2, "a": 1})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (1.0,),
        (float("nan"),),
        (b"x",),
        (Decimal(1),),
        ({1: "a"},),
        ({"a": 1.5},),
        ([{"a": object()}],),
        ((1, 2),),
        ([(1, 2)],),
        ({"a": (1,)},),
        ({1, 2},),
        ("\ud800",),
        ({"\ud800": 1},),
        (nested(50),),
        ({"a": nested(49)},),
        (10**5000,),
    ],
    ids=lambda parts: f"{len(parts)}-{type(parts[0]).__name__ if parts else 'none'}",
)
def test_what_makes_no_key(parts: tuple[Any, ...]) -> None:
    """What prints differently from machine to machine is refused, always as an InvalidArgumentError."""
    if parts and parts[0] == 10**5000 and not hasattr(sys, "set_int_max_str_digits"):
        return  # this Python prints an int of any length
    with pytest.raises(InvalidArgumentError) as caught:
        firsthandapi.idempotency_key(*parts)
    assert caught.value.field == "parts"
    assert caught.value.__cause__ is None


def test_values_fifty_levels_deep_make_a_key() -> None:
    """Lists and dicts count alike."""
    assert firsthandapi.idempotency_key(nested(49)) != firsthandapi.idempotency_key({"a": nested(48)})


def test_subclasses_of_plain_types() -> None:
    """An IntEnum is the int it is."""
    number = enum.IntEnum("number", {"ONE": 1})
    assert firsthandapi.idempotency_key(number.ONE) == firsthandapi.idempotency_key(1)


@pytest.mark.parametrize("key", ["x", "a" * 255, "a b", "~!@#", firsthandapi.idempotency_key("x")])
def test_good_keys(key: str) -> None:
    """1 to 255 printable ASCII characters make a key."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "a" * 256, " a", "a ", "a\r\nX: y", "a\x00", "é", "\ud800", 5, None, b"x"]
)
def test_bad_keys(key: Any) -> None:
    """What cannot be a header's value is refused, naming the argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_key(key)
    assert caught.value.field == "idempotency_key"


def test_a_time_since_which_a_key_is_used() -> None:
    """In any timezone; None is none."""
    since = datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=9)))
    moment = datetime(2026, 10, 31, 15, tzinfo=UTC).timestamp()
    assert check_since(since, moment + 1) == check_since(since, moment) == moment
    assert check_since(since, moment - 1) == moment - 1  # it is not over yet
    assert check_since(None, moment) is None


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        (datetime(2026, 11, 1), "has no timezone"),
        (date(2026, 11, 1), "is a date"),
        ("2026-11-01", "is a str"),
    ],
)
def test_a_time_that_names_no_moment_is_refused(since: Any, reason: str) -> None:
    """The message says what to pass."""
    with pytest.raises(InvalidArgumentError, match=f"^key_since {reason}: pass an aware datetime") as caught:
        check_since(since, 0.0)
    assert caught.value.field == "key_since"


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, True), (23 * 3600, True), (23 * 3600 + 1, False), (-300, True), (-301, False)],
)
def test_a_key_is_known_for_23_hours(after: float, expected: bool) -> None:
    """A clock that was set back by more than five minutes says nothing of its age."""
    assert is_known(1_000.0, 1_000.0 + after) is expected


@pytest.mark.parametrize(
    ("server_sent_at", "server_now", "expected"),
    [
        (500.0, 500.0 + 23 * HOUR, True),
        (500.0, 500.0 + 23 * HOUR + 1, False),
        (500.0, 200.0, True),
        (500.0, 199.0, False),
        (500.0, None, True),
        # Written down before there was a Date: the local clock's moment stands in, which may be ahead.
        (None, 1_000.0 + 23 * HOUR, True),
        (None, 1_000.0 + 23 * HOUR + 1, False),
        (None, 0.0, True),
        (None, None, True),
    ],
)
def test_both_clocks_must_say_that_a_key_is_young(
    server_sent_at: float | None, server_now: float | None, expected: bool
) -> None:
    """A local clock that was set back makes an old key look young; a service without `Date` leaves it to that clock."""
    times = {"server_sent_at": server_sent_at, "server_now": server_now}
    assert is_known(1_000.0, 1_000.0 + HOUR, **times) is expected
    assert not is_known(1_000.0, 1_001.0 + 23 * HOUR, **times)  # whatever the service says
