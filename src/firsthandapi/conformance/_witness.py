"""What must hold of every response, whatever it is a response to: each one that a check gets is looked at."""

from __future__ import annotations

import codecs
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

from ._checks import CREDITS_HEADER, RATE_HEADERS, has_headers
from ._exchange import DiffersError, Exchange
from ._shapes import ERROR

# An unknown path.
NOWHERE = "/v1/conformance"
# Clocks differ a little.
_MOST_AWAY = 600


class Witness:
    """The first response that breaks each rule.

    Attributes:
        found: by the id of the promise, what is wrong with which response.
    """

    def __init__(self) -> None:
        self.found: dict[str, DiffersError] = {}
        self._request_ids: set[str] = set()

    def see(self, it: Exchange) -> None:
        """Look at a response."""
        for id, check in (
            ("json.text", json_text),
            ("json.type", json_type),
            ("headers.everywhere", _headers),
            ("headers.date", date),
            ("errors.envelope", envelope),
            ("errors.request_ids", self._own_id),
        ):
            if id not in self.found and (came := check(it)):
                self.found[id] = DiffersError(came, it)

    def _own_id(self, it: Exchange) -> str | None:
        if it.status < 400 or envelope(it):
            return None
        body, header = it.object["error"]["request_id"], it.headers.get("x-request-id")
        if header not in (None, body):
            return f"the request id in the header is not that of the body: {header[:40]} and {body}"
        if body in self._request_ids:
            return "two errors with the same request id"
        self._request_ids.add(body)
        return None


def json_text(it: Exchange) -> str | None:
    """JSON as every parser reads it."""
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
    """JSON that says that it is JSON."""
    kind = it.headers.get("content-type", "").partition(";")[0].strip().lower()
    if it.json is None or kind == "application/json":
        return None
    return f"JSON with another content type: {kind[:60] or 'none'}"


def _headers(it: Exchange) -> str | None:
    # A path or a method that does not exist belongs to nobody's limit.
    is_nowhere = it.status == 405 or it.asked.url.endswith(NOWHERE)
    if it.asked.credential.secret is None or it.status == 401 or is_nowhere:
        return None
    return has_headers(*RATE_HEADERS, CREDITS_HEADER)(it)


def date(it: Exchange) -> str | None:
    """A time that is now; a response without one passes."""
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
    """An error in the documented envelope."""
    if it.status < 400:
        return None
    wrong = ERROR(it.object.get("error"))
    return wrong and f"an error {wrong}"
