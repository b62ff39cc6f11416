"""HTTP dates of any server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def parse_http_date(text: str) -> datetime | None:
    """An HTTP-date (RFC 9110) as an aware datetime, or None if it is not one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # takes 6 ms to import

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def served_at(headers: Mapping[str, str]) -> float | None:
    """The `Date` of a response in Unix seconds; None without one."""
    date = parse_http_date(headers.get("date", ""))
    moment = -1.0 if date is None else date.timestamp()
    return moment if moment >= 0 else None
