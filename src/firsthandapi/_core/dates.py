"""HTTP dates, read without trust."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_http_date(text: str) -> datetime | None:
    """An HTTP-date (RFC 9110) as an aware datetime, or None if it is not one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # 6 ms that only a response with a date pays

    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
