"""What a response can be held against: pure functions from an exchange to what is wrong, in a few words, or None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ._exchange import Check, Exchange
from ._shapes import ERROR, Kind

# Which `type` an error with this status may have: §5. An unknown one may be added at any time, but not here: each of
# these is asked for a documented error.
TYPES: dict[int, tuple[str, ...]] = {
    400: ("validation_error", "pricing_violation"),
    401: ("authentication_error", "unauthorized"),
    402: ("insufficient_credits",),
    403: ("authorization_error", "forbidden", "free_tier_job_limit"),
    404: ("not_found",),
    409: ("conflict", "idempotency_error", "idempotency_conflict"),
    429: ("rate_limit_exceeded", "rate_limit_error"),
}
RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
CREDITS_HEADER = "x-firsthandapi-credits-remaining"


def status(*wanted: int) -> Check:
    """One of these statuses."""
    words = " or ".join(map(str, wanted))
    return lambda it: None if it.status in wanted else f"{it.excerpt} instead of {words}"


def succeeded(it: Exchange) -> str | None:
    """Any 2xx."""
    return None if it.ok else f"{it.excerpt} instead of success"


def is_json(it: Exchange) -> str | None:
    """A JSON body that says that it is one."""
    kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
    if it.json is None:
        return f"{it.excerpt}: not JSON"
    return None if kind == "application/json" else f"JSON as {kind or 'no content type'}"


def shaped(kind: Kind) -> Check:
    """A body of this shape."""

    def check(it: Exchange) -> str | None:
        wrong = is_json(it) or kind(it.json)
        return wrong and f"the body {wrong}" if not is_json(it) else wrong

    return check


def body_is(words: str, holds: Callable[[dict[str, Any]], bool]) -> Check:
    """A body for which something holds; `words` say what comes if it does not."""
    return lambda it: None if holds(it.object) else f"{words}: {it.excerpt}"


def empty(it: Exchange) -> str | None:
    """No body."""
    return f"a body of {len(it.body)} bytes" if it.body else None


def listed(shape: Kind, most: int = 100) -> Check:
    """A page: the envelope of a list, with at most so many items of this shape."""

    def check(it: Exchange) -> str | None:
        if wrong := succeeded(it) or is_json(it) or page(it.json):
            return wrong
        found: list[Any] = it.object["data"]
        if len(found) > most:
            return f"{len(found)} items instead of at most {most}"
        for position, item in enumerate(found):
            if wrong := shape(item):
                return f"`data[{position}]` {wrong}"
        return None

    return check


def page(value: Any) -> str | None:
    """The envelope of a list."""
    if not isinstance(value, dict):
        return "the body is no object"
    found = cast("dict[str, Any]", value)
    if found.get("object") != "list":
        return '`object` is not "list"'
    if not isinstance(found.get("data"), list):
        return "`data` is not a list"
    more, cursor = found.get("has_more"), found.get("next_cursor")
    if not isinstance(more, bool):
        return "`has_more` is not a boolean"
    if more and not (isinstance(cursor, str) and cursor):
        return "`has_more` is true without a `next_cursor`"
    if not more and cursor is not None:
        return "`has_more` is false with a `next_cursor`"
    return None if "next_cursor" in found else "`next_cursor` is missing"


def refused(
    wanted: int | tuple[int, ...], *types: str, field: str | None = None, extras: tuple[str, ...] = ()
) -> Check:
    """The error envelope with one of these statuses and types, and `details` that name the field.

    `extras` are fields of the error, in `error` or beside it.
    """
    statuses = (wanted,) if isinstance(wanted, int) else wanted

    def check(it: Exchange) -> str | None:
        if wrong := status(*statuses)(it) or is_json(it):
            return wrong
        error: Any = it.object.get("error")
        if wrong := ERROR(error):
            return f"`error` {wrong}"
        allowed = types or TYPES.get(it.status, ())
        if allowed and error["type"] not in allowed:
            return f'`error.type` is "{error["type"]}" instead of {" or ".join(allowed)}'
        if field is not None:
            named = [detail["field"] for detail in error.get("details") or ()]
            if not any(name == field or name.startswith(f"{field}.") for name in named):
                return f"`error.details` names {', '.join(named) or 'no field'} instead of {field}"
        lacking = [name for name in extras if name not in error and name not in it.object]
        return f"the error has no {', '.join(lacking)}" if lacking else None

    return check


def has_headers(*names: str) -> Check:
    """These headers, each a whole number."""

    def check(it: Exchange) -> str | None:
        for name in names:
            value = it.headers.get(name)
            if value is None:
                return f"no header {name} ({it.status})"
            if not value.removeprefix("-").isdecimal():
                return f"the header {name} is {value[:40]!r}, not a whole number"
        return None

    return check


def header(name: str, value: str) -> Check:
    """This header with this value."""
    return lambda it: (
        None
        if it.headers.get(name) == value
        else f"the header {name} is {it.headers.get(name)!r}, not {value!r}"
    )


def within(least: float, most: float) -> Check:
    """A response that took between so many seconds."""
    return lambda it: (
        None
        if least <= it.seconds <= most
        else f"after {it.seconds:.1f} s instead of {least:g} to {most:g} s"
    )


def same_as(first: Exchange) -> Check:
    """The status and the body of an earlier response."""

    def check(it: Exchange) -> str | None:
        if it.status != first.status:
            return f"{it.excerpt} instead of {first.status} again"
        return (
            None
            if it.json == first.json and bool(it.body) == bool(first.body)
            else f"another body: {it.excerpt}"
        )

    return check
