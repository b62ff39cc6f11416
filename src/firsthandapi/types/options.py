"""Per-call options: what every method takes besides its own arguments. Each is explained here, once.

The text below each key is what editors, the reference, and `help()` show.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict


class ExtraOptions(TypedDict, total=False):
    """The options of a method that has a `timeout` of its own, such as `jobs.wait`."""

    extra_headers: Mapping[str, str] | None
    """headers to add; not Authorization, Idempotency-Key, or Content-Type."""
    extra_query: Mapping[str, Any] | None
    """query parameters to add, for what this version does not know yet."""


class _Timeout(TypedDict, total=False):
    timeout: float | None
    """seconds for one attempt, above 0; None uses the client's."""


class _Body(TypedDict, total=False):
    extra_body: Mapping[str, Any] | None
    """fields to add to the body, or to replace in it, unchecked."""


class _Key(TypedDict, total=False):
    idempotency_key: str | None
    """1 to 255 printable ASCII characters; with the same one, calls within 24 hours act once."""


class RequestOptions(_Timeout, ExtraOptions, total=False):
    """The options of a method that sends no body."""


class BodyOptions(_Timeout, ExtraOptions, _Body, total=False):
    """The options of a method that sends a body."""


class PostOptions(_Timeout, ExtraOptions, _Body, _Key, total=False):
    """The options of a method that sends a POST."""


class PostExtras(ExtraOptions, _Body, _Key, total=False):
    """The options of a method that sends a POST and has a `timeout` of its own, such as `jobs.create_and_wait`."""

    key_since: datetime | None
    """an aware datetime before which the idempotency key was not used: the search for its job reads only jobs that are
    younger, or older by less than a day. `create` and `create_and_wait` search only with the client's `journal`."""
