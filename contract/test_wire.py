"""What must hold of every response, whatever it is a response to: each one that a check gets is looked at."""

from __future__ import annotations

import codecs
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

from ._checks import CREDITS_HEADER, RATE_HEADERS, has_headers
from ._exchange import Check, Exchange
from ._shapes import ERROR

# An unknown path.
NOWHERE = "/v1/conformance"
# Clocks differ a little.
_MOST_AWAY = 600


def rules() -> dict[str, Check]:
    """By the id of a promise, what finds that a response breaks it; its docstring is the promise."""
    seen: set[str] = set()

    def request_ids(it: Exchange) -> str | None:
        """Each error has its own request id, the same in the header and the body."""
        if it.status < 400 or envelope(it):
            return None
        body, header = it.object["error"]["request_id"], it.headers.get("x-request-id")
        if header not in (None, body):
            return f"the request id in the header is not that of the body: {header[:40]} and {body}"
        if body in seen:
            return "two errors with the same request id"
        seen.add(body)
        return None

    return {
        "json.text": json_text,
        "json.type": json_type,
        "headers.everywhere": headers,
        "headers.date": date,
        "errors.envelope": envelope,
        "errors.request_ids": request_ids,
    }


def json_text(it: Exchange) -> str | None:
    """JSON is UTF-8 without a byte order mark (BOM), with each name once and without NaN."""
    if it.json is None:
        return None
    if it.body.startswith(codecs.BOM_UTF8):
        return "a byte order mark (BOM) before the JSON"
    try:
        json.loads(it.body.decode(), parse_constant=_no_number, object_pairs_hook=_once)
    except UnicodeDecodeError:
        return "JSON that is not UTF-8"
    except ValueError as error:
        return f"JSON that not every parser reads: {error}"
    return None


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def json_type(it: Exchange) -> str | None:
    """JSON comes as application/json."""
    kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
    if it.json is None or kind == "application/json":
        return None
    return f"JSON with another content type: {kind[:60] or 'none'}"


def headers(it: Exchange) -> str | None:
    """The rate-limit and credits headers are on every authenticated response, errors too."""
    # A path or a method that does not exist belongs to nobody's limit.
    is_nowhere = it.status == 405 or it.asked.url.endswith(NOWHERE)
    if it.asked.credential.secret is None or it.status == 401 or is_nowhere:
        return None
    return has_headers(*RATE_HEADERS, CREDITS_HEADER)(it)


def date(it: Exchange) -> str | None:
    """The header Date, if it is sent, is the time."""
    given = it.headers.get("date")
    if given is None:
        return None
    try:
        away = parsedate_to_datetime(given).timestamp() - time.time()
    except ValueError:
        return f"the header Date is no HTTP date: {given[:40]!r}"
    return (
        None
        if abs(away) <= _MOST_AWAY
        else f"the header Date is not the time of this machine: {away:+,.0f} s"
    )


def envelope(it: Exchange) -> str | None:
    """Every error comes in the envelope, with a type, a message, and a request id."""
    if it.status < 400:
        return None
    wrong = ERROR(it.object.get("error"))
    return wrong and f"an error {wrong}"
