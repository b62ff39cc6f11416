"""What a response is checked for: pure functions from a response to what is wrong, in a few words, or None."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, cast

from firsthandapi._base.loose_json import members

from .exchange import Check, Response
from .shapes import ERROR, Kind

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
# An unknown path.
NOWHERE = "/v1/nowhere"
# Clocks differ a little.
_MOST_AWAY = 600


def status(*codes: int) -> Check:
    """One of these statuses."""
    return lambda reply: None if reply.status in codes else _instead(reply, " or ".join(map(str, codes)))


def succeeded(reply: Response) -> str | None:
    """Any 2xx."""
    return None if reply.ok else _instead(reply, "success")


def _instead(reply: Response, expected: str) -> str:
    kind: Any = members(reply.object.get("error")).get("type", "without an error type")
    return f"{reply.status}{'' if reply.status < 400 else f' {kind}'[:60]} instead of {expected}"


def is_json(reply: Response) -> str | None:
    """A JSON body."""
    return "the body is no JSON" if reply.json is None else None


def shaped(kind: Kind) -> Check:
    """A body of this shape."""
    return lambda reply: is_json(reply) or kind(reply.json)


def shows(_values: dict[str, Any] | None = None, **more: Any) -> Check:
    """A body with these fields, each with this value; one that it leaves out may be optional there."""
    values = {**(_values or {}), **more}
    return lambda reply: _differing(reply, {name: values[name] for name in values if name in reply.object})


def same(earlier: dict[str, Any], *names: str) -> Check:
    """A body with the same values of these fields as an earlier one."""
    return lambda reply: _differing(reply, {name: earlier.get(name) for name in names})


def _differing(reply: Response, expected: dict[str, Any]) -> str | None:
    for name, value in expected.items():
        if reply.object.get(name) != value:
            return f"`{name}` is {reply.object.get(name)!r:.200}, not {value!r:.200}"
    return None


def empty(reply: Response) -> str | None:
    """No body."""
    return f"a body of {len(reply.body)} bytes" if reply.body else None


def xml_error(reply: Response) -> str | None:
    """An error of the download host, as S3 writes it."""
    return None if b"<Error>" in reply.body else "an error that is no XML with <Error>"


def listed(shape: Kind, most: int = 100) -> Check:
    """A page: the envelope of a list, with at most so many items of this shape."""

    def check(reply: Response) -> str | None:
        if fault := status(200)(reply) or is_json(reply) or page(reply.json):
            return fault
        items: list[Any] = reply.object["data"]
        if len(items) > most:
            return f"{len(items)} items, more than asked for: at most {most}"
        return next((fault for item in items if (fault := shape(item))), None)

    return check


def page(value: Any) -> str | None:
    """The envelope of a list."""
    if not isinstance(value, dict):
        return "a list is no object"
    body = cast("dict[str, Any]", value)
    more, cursor = body.get("has_more"), body.get("next_cursor")
    faults = {
        '`object` is not "list"': body.get("object") != "list",
        "`data` is not a list": not isinstance(body.get("data"), list),
        "`has_more` is not a boolean": not isinstance(more, bool),
        "`has_more` is true without a `next_cursor`": more and not (isinstance(cursor, str) and cursor),
        "`has_more` is false with a `next_cursor`": not more and cursor is not None,
        "`next_cursor` is missing": "next_cursor" not in body,
    }
    return next((fault for fault, is_so in faults.items() if is_so), None)


def refused(
    expected: int | tuple[int, ...], *types: str, field: str | None = None, extras: tuple[str, ...] = ()
) -> Check:
    """The error envelope with one of these statuses and types, and `details` that name the field.

    `extras` are fields of the error, in `error` or beside it.
    """
    statuses = (expected,) if isinstance(expected, int) else expected

    def check(reply: Response) -> str | None:
        if fault := status(*statuses)(reply) or is_json(reply) or envelope(reply):
            return fault
        error: Any = reply.object["error"]
        allowed = types or TYPES.get(reply.status, ())
        if allowed and error["type"] not in allowed:
            return f"an error of the type {error['type']} instead of {' or '.join(allowed)}"
        if field is not None:
            named = [detail["field"] for detail in error.get("details") or ()]
            if not any(name == field or name.startswith(f"{field}.") for name in named):
                return f"`error.details` names {', '.join(named) or 'no field'} instead of {field}"
        lacking = [name for name in extras if name not in error and name not in reply.object]
        return f"an error without {', '.join(lacking)}" if lacking else None

    return check


def has_headers(*names: str) -> Check:
    """These headers, each a whole number."""

    def check(reply: Response) -> str | None:
        for name in names:
            value = reply.headers.get(name)
            if value is None:
                return f"no header {name}"
            if not value.removeprefix("-").isdecimal():
                return f"the header {name} is no whole number: {value[:40]!r}"
        return None

    return check


def has_header(name: str, *values: str | None) -> Check:
    """This header with one of these values; None if it is missing."""
    return lambda reply: (
        None
        if reply.headers.get(name) in values
        else f"the header {name} is {reply.headers.get(name, 'missing')[:80]}, not {values[-1]!r}"
    )


def within(least: float, most: float) -> Check:
    """A response that took between so many seconds."""
    return lambda reply: (
        None
        if least <= reply.seconds <= most
        else f"after {reply.seconds:.1f} s, not {least:g} to {most:g} s"
    )


def same_as(first: Response) -> Check:
    """The status and the body of an earlier response."""

    def check(reply: Response) -> str | None:
        if reply.status != first.status:
            return _instead(reply, f"{first.status} again")
        is_same = reply.json == first.json and bool(reply.body) == bool(first.body)
        return None if is_same else f"another body than the first one, which was {first.text}"

    return check


def only(fits: Callable[[dict[str, Any]], bool]) -> Check:
    """A page on which each item fits the filter."""

    def check(reply: Response) -> str | None:
        wrong = next((item.get("id") for item in reply.items if not fits(item)), None)
        return None if wrong is None else f"an item that does not fit the filter: {wrong}"

    return check


# --- what holds of every response ------------------------------------------------------------------------------------


def envelope(reply: Response) -> str | None:
    """Every error comes in the envelope, with a type, a message, and a request id."""
    fault = ERROR(reply.object.get("error")) if reply.status >= 400 else None
    return fault and f"an error {fault}"


def uncompressed(reply: Response) -> str | None:
    """No body is compressed unless the request accepts that."""
    return (
        f"the body came compressed with {reply.encoding}, though the request has Accept-Encoding: identity; "
        "a gateway in front of the server may do that: switch it off there"
        if reply.encoding
        else None
    )


def json_text(reply: Response) -> str | None:
    """JSON is UTF-8 without a byte order mark (BOM), with each name once and without NaN."""
    if reply.json is None:
        return None
    if reply.content.startswith(codecs.BOM_UTF8):
        return "a byte order mark (BOM) before the JSON"
    try:
        json.loads(reply.content.decode(), parse_constant=_no_number, object_pairs_hook=_once)
    except UnicodeDecodeError:
        return "JSON that is not UTF-8"
    except ValueError as error:
        return f"JSON that not every parser reads: {error}"
    return None


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has a name twice")
    return members


def json_type(reply: Response) -> str | None:
    """JSON comes as application/json."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.json is None or kind == "application/json":
        return None
    return f"JSON with another content type: {kind[:60] or 'none'}"


def account_headers(reply: Response) -> str | None:
    """The rate-limit and credits headers are on every authenticated response, errors too."""
    # A path or a method that does not exist belongs to nobody's limit.
    is_nowhere = reply.status == 405 or reply.request.url.endswith(NOWHERE)
    if reply.request.key.secret is None or reply.status == 401 or is_nowhere:
        return None
    return has_headers(*RATE_HEADERS, CREDITS_HEADER)(reply)


def date(reply: Response) -> str | None:
    """The header Date, if it is sent, is the time."""
    if (header := reply.headers.get("date")) is None:
        return None
    try:
        away = parsedate_to_datetime(header).timestamp() - time.time()
    except ValueError:
        return f"the header Date is no HTTP date: {header[:40]!r}"
    return None if abs(away) <= _MOST_AWAY else f"the header Date is {away:+,.0f} s from this machine's time"


def request_id(reply: Response) -> str | None:
    """The request id of an error is the same in the header, if it is sent, and the body."""
    if reply.status < 400 or envelope(reply):
        return None
    id, header = reply.object["error"]["request_id"], reply.headers.get("x-request-id")
    return None if header in (None, id) else f"the header has the request id {header[:40]}, the body {id}"


EVERY_RESPONSE: tuple[Check, ...] = (
    *(envelope, request_id, uncompressed, json_text, json_type, account_headers, date),
)
