"""What a response is checked for: pure functions from an exchange to what is wrong, in a few words, or None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from firsthandapi._base.loose_json import members

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
LIMIT, LEFT, RESET = RATE_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
CREDITS_HEADER = "x-firsthandapi-credits-remaining"


def status(*wanted: int) -> Check:
    """One of these statuses."""
    return lambda it: None if it.status in wanted else _instead(it, " or ".join(map(str, wanted)))


def succeeded(it: Exchange) -> str | None:
    """Any 2xx."""
    return None if it.ok else _instead(it, "success")


def _instead(it: Exchange, wanted: str) -> str:
    kind: Any = members(it.object.get("error")).get("type", "without an error type")
    return f"{it.status}{'' if it.status < 400 else f' {kind}'[:60]} instead of {wanted}: {it.text}"


def is_json(it: Exchange) -> str | None:
    """A JSON body."""
    return f"no JSON: {it.excerpt}" if it.json is None else None


def shaped(kind: Kind) -> Check:
    """A body of this shape."""
    return lambda it: is_json(it) or kind(it.json)


def shows(_wanted: dict[str, Any] | None = None, **more: Any) -> Check:
    """A body with these fields, each with this value; one that it leaves out may be optional there."""
    wanted = {**(_wanted or {}), **more}
    return lambda it: _differing(it, {name: wanted[name] for name in wanted if name in it.object})


def same(before: dict[str, Any], *names: str) -> Check:
    """A body with the same values of these fields as an earlier one."""
    return lambda it: _differing(it, {name: before.get(name) for name in names})


def _differing(it: Exchange, wanted: dict[str, Any]) -> str | None:
    for name, value in wanted.items():
        if it.object.get(name) != value:
            return f"`{name}` is another one: {it.object.get(name)!r}, not {value!r}"
    return None


def empty(it: Exchange) -> str | None:
    """No body."""
    return f"a body: {len(it.body)} bytes" if it.body else None


def xml_error(it: Exchange) -> str | None:
    """An error of the download host, as S3 writes it."""
    return None if b"<Error>" in it.body else f"an error that is no XML with <Error>: {it.excerpt}"


def listed(shape: Kind, most: int = 100) -> Check:
    """A page: the envelope of a list, with at most so many items of this shape."""

    def check(it: Exchange) -> str | None:
        if wrong := status(200)(it) or is_json(it) or page(it.json):
            return wrong
        found: list[Any] = it.object["data"]
        if len(found) > most:
            return f"more items than asked for: {len(found)} instead of at most {most}"
        return next((wrong for item in found if (wrong := shape(item))), None)

    return check


def page(value: Any) -> str | None:
    """The envelope of a list."""
    if not isinstance(value, dict):
        return "a list is no object"
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
            return f"an error {wrong}"
        allowed = types or TYPES.get(it.status, ())
        if allowed and error["type"] not in allowed:
            return f'an error with another type: "{error["type"]}" instead of {" or ".join(allowed)}'
        if field is not None:
            named = [detail["field"] for detail in error.get("details") or ()]
            if not any(name == field or name.startswith(f"{field}.") for name in named):
                return f"`error.details` does not name the field: {', '.join(named) or 'none'} instead of {field}"
        lacking = [name for name in extras if name not in error and name not in it.object]
        return f"an error without {', '.join(lacking)}" if lacking else None

    return check


def has_headers(*names: str) -> Check:
    """These headers, each a whole number."""

    def check(it: Exchange) -> str | None:
        for name in names:
            value = it.headers.get(name)
            if value is None:
                return f"no header {name}: {it.status}"
            if not value.removeprefix("-").isdecimal():
                return f"the header {name} is no whole number: {value[:40]!r}"
        return None

    return check


def has_header(name: str, *values: str | None) -> Check:
    """This header with one of these values; None if it is missing."""
    return lambda it: (
        None
        if it.headers.get(name) in values
        else f"the header {name} is not {values[-1]!r}: {it.headers.get(name, 'missing')[:80]}"
    )


def within(least: float, most: float) -> Check:
    """A response that took between so many seconds."""
    words = f"not within {least:g} to {most:g} s"
    return lambda it: None if least <= it.seconds <= most else f"{words}: after {it.seconds:.1f} s"


def same_as(first: Exchange) -> Check:
    """The status and the body of an earlier response."""

    def check(it: Exchange) -> str | None:
        if it.status != first.status:
            return _instead(it, f"{first.status} again")
        is_same = it.json == first.json and bool(it.body) == bool(first.body)
        return None if is_same else f"another body than the first one: {it.excerpt}"

    return check


def only(fits: Callable[[dict[str, Any]], bool]) -> Check:
    """A page on which each item fits the filter."""

    def check(it: Exchange) -> str | None:
        wrong = next((item.get("id") for item in it.items if not fits(item)), None)
        return None if wrong is None else f"an item that does not fit the filter: {wrong}"

    return check
