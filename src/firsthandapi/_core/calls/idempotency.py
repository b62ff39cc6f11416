"""Guards money: idempotency keys, which let a repeated POST take effect only once."""

from __future__ import annotations

import json
from datetime import datetime
from operator import index
from typing import Any

from firsthandapi._core.calls.integers import as_int
from firsthandapi.errors import InvalidArgumentError

MAX_KEY_LENGTH = 255
# For this long, the service certainly still has an idempotency key (it keeps them for 24 hours).
KEY_LIFETIME = 23 * 3600.0
# A clock that was set back by more than this cannot show the age of a key.
CLOCK_SLACK = 300.0


def is_known(
    sent_at: float, now: float, *, server_sent_at: float | None = None, server_now: float | None = None
) -> bool:
    """Whether the service certainly still has a key, so that it may be sent again. All times are Unix seconds.

    Both the local clock and the service's must show that the key is young, because either may have been set back.

    Args:
        sent_at: when the key was first sent, by the local clock.
        now: now, by the local clock.
        server_sent_at: when it was first sent, by the `Date` of the service; None uses `sent_at`.
        server_now: the latest `Date` of the service; with None the local clock decides.
    """
    if not -CLOCK_SLACK <= now - sent_at <= KEY_LIFETIME:
        return False
    if server_now is None:
        return True
    if server_sent_at is None:
        return (
            server_now - sent_at <= KEY_LIFETIME
        )  # of two clocks, so it says only that the key is not too old
    return -CLOCK_SLACK <= server_now - server_sent_at <= KEY_LIFETIME


def idempotency_key(*parts: Any) -> str:
    """A key that is the same wherever and whenever the same parts are given.

    A re-run of a notebook cell or a CI step with such a key buys nothing twice within the key's 24 hours:

        client.jobs.create(..., idempotency_key=firsthandapi.idempotency_key("signs", "2026-11"))

    Args:
        parts: at least one of str, int, bool, None, and lists and dicts (with str keys) of these.

    Returns:
        `fh-` and the SHA-256, in 64 hex digits, of the parts as canonical JSON: UTF-8, keys sorted, no
        spaces. The formula will not change.

    Raises:
        InvalidArgumentError: there are no parts, or one is of another type. Floats are refused since they
            do not print the same everywhere.
    """
    if not parts:
        raise InvalidArgumentError(
            "idempotency_key needs at least one part, to distinguish requests", field="parts"
        )
    _check_parts(parts, "parts", depth=0)
    try:
        data = json.dumps(
            parts, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), default=index
        ).encode()
    except ValueError:
        data = None
    # Out here, so that an error which quotes the parts is not chained to ours.
    if data is None:
        raise InvalidArgumentError(
            "parts: one has no JSON form: a str with a lone surrogate, or an int of thousands of digits",
            field="parts",
        )
    import hashlib  # it loads OpenSSL

    return f"fh-{hashlib.sha256(data).hexdigest()}"


def _check_parts(value: Any, path: str, *, depth: int) -> None:
    if depth > 50:
        raise InvalidArgumentError(f"{path}: nested deeper than 50 levels", field="parts")
    if isinstance(value, tuple) and depth:
        # JSON would make a list of it, and two different parts one key.
        raise InvalidArgumentError(f"{path} is a tuple; use a list", field="parts")
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # checked below
            _check_parts(item, f"{path}[{index}]", depth=depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType] # checked below
            if not isinstance(key, str):
                raise InvalidArgumentError(f"{path} has a key that is not a str", field="parts")
            _check_parts(item, f"{path}[{key!r}]", depth=depth + 1)
    elif value is not None and not isinstance(as_int(value), (str, int)):
        raise InvalidArgumentError(
            f"{path} is of type {type(value).__name__}; use str, int, bool, None, list or dict", field="parts"
        )


def check_since(key_since: datetime | None, now: float) -> float | None:
    """`key_since` in Unix seconds, but not later than `now`: others may have used the key until then.
    Raises InvalidArgumentError: it is no datetime, or has no timezone.
    """
    if key_since is None:
        return None
    if not isinstance(key_since, datetime) or key_since.utcoffset() is None:
        reason = "has no timezone" if isinstance(key_since, datetime) else f"is a {type(key_since).__name__}"
        raise InvalidArgumentError(
            f"key_since {reason}: pass an aware datetime, such as datetime(2026, 11, 1, tzinfo=UTC)",
            field="key_since",
        )
    return min(key_since.timestamp(), now)


def check_key(key: str) -> str:
    """`key` if it can be sent as a header and the service takes it.
    Raises InvalidArgumentError: it is empty, longer than 255 characters, or not printable ASCII.
    """
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidArgumentError(
            "idempotency_key must be a str of 1 to 255 characters", field="idempotency_key"
        )
    if not (key.isascii() and key.isprintable()) or key != key.strip():
        raise InvalidArgumentError(
            "idempotency_key must be printable ASCII without spaces around it; "
            "firsthandapi.idempotency_key(...) makes one from anything",
            field="idempotency_key",
        )
    return key
