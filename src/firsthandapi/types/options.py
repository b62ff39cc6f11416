"""Per-call options: what every method takes besides its own arguments. Each is explained here, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class ExtraOptions(TypedDict, total=False):
    """The options of every method; a method with a `timeout` of its own, such as `jobs.wait`, takes no others."""

    extra_headers: Mapping[str, str] | None
    """headers to add; not Authorization, Idempotency-Key, or Content-Type."""
    extra_query: Mapping[str, Any] | None
    """query parameters to add, for what this version does not know yet."""


class RequestOptions(ExtraOptions, total=False):
    """The options of a method that sends no body."""

    timeout: float | None
    """seconds for one attempt, above 0; None uses the client's."""


class BodyOptions(RequestOptions, total=False):
    """The options of a method that sends a body."""

    extra_body: Mapping[str, Any] | None
    """fields to add to the body, or to replace in it, unchecked."""


class PostOptions(BodyOptions, total=False):
    """The options of a method that sends a POST."""

    idempotency_key: str | None
    """1 to 255 printable ASCII characters; within 24 hours the same key and arguments do one thing. None creates a
    key for the call and its retries; `firsthandapi.idempotency_key(…)` creates one that the next run repeats."""
