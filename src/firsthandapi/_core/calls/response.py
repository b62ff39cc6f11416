"""A response, as all code above the wire sees it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from firsthandapi._base.habits import Led
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi.errors import UnexpectedResponseError

from .headers import Headers
from .ratelimit import RateLimit, parse_rate_limit

# The group matches half a character in JSON text. The other branch skips a run of complete characters, other escapes,
# and the text between them in one match: a body of 32 MB may contain nothing else.
_ESCAPE = (
    rb"(?s)(?:\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|u(?![dD][89a-fA-F]))[^\\]*+)++|\\(u[dD][89a-fA-F]..)"
)
MAX_BODY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, eq=False, repr=False)
class ApiResponse(Led):
    """The HTTP response behind a result: `job.response`, `error.response`, `client.request(…)`.

    Attributes:
        status_code: the HTTP status.
        raw_headers: the headers as received, pairs of bytes; `headers` parses them.
        idempotency_key: the key the request carried, or None.
        attempts: number of attempts; 1 if the first one succeeded.
        content: the raw body of `client.request`. For a model it is `b""`, because the model contains all fields.
    """

    status_code: int
    raw_headers: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = b""
    idempotency_key: str | None = None
    attempts: int = 1

    # Not a cached_property: in Python 3.11 it takes a lock, which a child forked at that moment could never take.
    @property
    def headers(self) -> Headers:
        """The response's headers; names ignore case."""
        cache = self.__dict__
        if "headers" not in cache:
            cache["headers"] = Headers(self.raw_headers)
        headers: Headers = cache["headers"]
        return headers

    @property
    def request_id(self) -> str | None:
        """The id to quote to support, if the service sent one."""
        return self.headers.get("x-request-id")

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit as of this response, if the service sent it."""
        cache = self.__dict__
        if "rate_limit" not in cache:
            cache["rate_limit"] = parse_rate_limit(self.headers)
        rate_limit: RateLimit | None = cache["rate_limit"]
        return rate_limit

    @property
    def credits_remaining_cents(self) -> int | None:
        """The credits left, in US cents, as of this response, if the service sent it."""
        try:
            return int(self.headers["x-firsthandapi-credits-remaining"])
        except (KeyError, ValueError):
            return None

    @property
    def idempotent_replay(self) -> bool:
        """Whether this is the stored response to an earlier request with the same idempotency key."""
        return self.headers.get("idempotent-replayed", "").lower() == "true"

    def json(self) -> Any:
        """The body, parsed; None if it is empty.

        Raises:
            UnexpectedResponseError: the body is not JSON.
        """
        if not self.content.strip():
            return None
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise not_json(self, self.content) from None

    def __repr__(self) -> str:
        request_id = None if self.request_id is None else visible(mask_secrets(self.request_id))
        return f"<ApiResponse [{self.status_code}, request_id={request_id}, attempts={self.attempts}]>"


def not_json(response: ApiResponse, content: bytes) -> UnexpectedResponseError:
    """The error for a success whose body is not JSON. It shows the first bytes, masked."""
    content_type = mask_secrets(response.headers.get("content-type", "")) or None
    start = mask_secrets(content[:200].decode("utf-8", "replace"), cut=len(content) > 200)
    return UnexpectedResponseError(
        f"HTTP {response.status_code} came with {len(content)} bytes of {content_type or 'no content type'} "
        f"where JSON was due; it starts with {start!r}; check that base_url is the address of the FirstHandAPI service",
        status=response.status_code,
        content_type=content_type,
        length=len(content),
        request_id=response.request_id,
    )


def without_halves(content: bytes) -> bytes:
    """Replace each half of a character in JSON text with U+FFFD.

    A service that shortens text by its UTF-16 length may leave half an emoji. A list, or the message of an error, must
    still be readable.
    """
    return re.sub(_ESCAPE, lambda match: rb"\ufffd" if match[1] else match[0], content)
