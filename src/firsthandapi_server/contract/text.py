"""Identifiers, tokens and timestamps as they appear on the wire."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)


class Said(str):
    """A text for a person in English, which says from what it was made, so that it can be said in another language."""

    __slots__ = ("english", "values")

    english: str
    values: Mapping[str, object]

    def __new__(cls, english: str, values: Mapping[str, object]) -> Self:
        """The text, with `values` for what is in braces."""
        text = super().__new__(cls, english.format(**values) if values else english)
        text.english, text.values = english, values
        return text

    def __getnewargs__(self) -> tuple[str, Mapping[str, object]]:  # type: ignore[override] # those of `__new__` here
        """How a pickle makes it again."""
        return self.english, self.values


def said(english: str, **values: object) -> Said:
    """A text that catalogues translate where it is shown; `values` replace what is in braces, and may be such texts."""
    return Said(english, values)


def new_id(prefix: str, at: float) -> str:
    """`prefix` and a ULID whose time is `at`."""
    return id_of(prefix, (int(at * 1000) & (1 << 48) - 1) << 80 | secrets.randbits(80))


def id_of(prefix: str, number: int) -> str:
    """`prefix` and 128 bits, written like a ULID."""
    return prefix + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def new_secret(prefix: str) -> str:
    """`prefix` and 32 hex digits that nobody can guess."""
    return prefix + secrets.token_hex(16)


def mask(secret: str) -> str:
    """A secret as a list may show it: its kind and its last four characters."""
    kind = secret[: secret.rfind("_") + 1]
    return f"{kind}…{secret[-4:]}"


def iso(at: float) -> str:
    """A Unix time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_iso(text: str) -> float:
    """The Unix time of an ISO 8601 date or date-time; one without an offset is UTC.
    Raises ValueError: it is neither.
    """
    if _ISO.fullmatch(text) is None:
        raise ValueError("must be an ISO 8601 date-time such as 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(text.upper())
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except OverflowError:
        raise ValueError("must be within the years 1 to 9999 in UTC") from None


def floor_ms(at: float) -> float:
    """`at` with the precision of the wire, so that a time read back equals the time kept."""
    return math.floor(at * 1000) / 1000
