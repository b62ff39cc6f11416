"""Turn an error response of any shape into one of our errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from firsthandapi._base.loose_json import load, members
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi.errors import (
    AuthenticationError,
    ConflictError,
    FirstHandApiError,
    GoneError,
    IdempotencyError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)

from .integers import int_or_none
from .ratelimit import asked_to_hold, believed_hold, spent
from .response import ApiResponse, without_halves
from .retry import LONGEST_RETRY_AFTER, stands_still

T = TypeVar("T")

_BY_STATUS: dict[int, type[FirstHandApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidRequestError,
    429: RateLimitError,
}

# What to do next, by status: the service's message may not say it.
_ADVICE: dict[int, str] = {
    400: "correct the arguments",
    401: "check the API key (api_key= or FIRSTHAND_API_KEY)",
    402: "client.billing.purchase() or `firsthandapi purchase` gives a page to buy credits on",
    403: "client.me() or `firsthandapi whoami` shows the scopes of this key",
    404: "a key sees its own organization and environment (live or test) only: check the id and the key",
    405: "check base_url, and upgrade firsthandapi",
    407: "a proxy on the way needs a user name and a password: check proxy= and HTTP_PROXY",
    409: "read it again: its state does not allow this",
    410: "upgrade firsthandapi",
    413: "send less, such as a shorter description or fewer metadata",
    422: "correct the arguments",
    425: "wait a few seconds and try again",
    429: "send fewer requests, or wait",
    451: "ask the service's support",
}
# Of other statuses, by their first digit.
_ADVICE_FOR_CLASS = {
    4: "check the arguments and base_url, and upgrade firsthandapi",
    5: "wait a minute and try again; if it fails again, ask the service's support",
}
_USED = (
    "the same key was used before, for another request or for one that is still under way: see what it did"
)
# Types for which the advice for the status would be wrong.
_ADVICE_FOR_TYPE = {"free_tier_job_limit": _ADVICE[402]}
# Of a response in another form than the service's, such as a gateway's page.
_NOT_OF_THE_SERVICE = "check base_url, and the proxy or gateway if there is one"

_MAX_MESSAGE = 1000
_MAX_WORD = 100


def error_from_response(response: ApiResponse, content: bytes, *, now: float) -> FirstHandApiError:
    """The error for a response without a 2xx status.

    The HTTP status decides the class, and the body only adds details, so a body that is empty, HTML, or JSON of
    another shape also gives a typed error. `now` (Unix seconds) turns the date of a `Retry-After` into seconds.
    """
    body = members(load(without_halves(content)))
    error = members(body.get("error"))
    status = response.status_code
    kind = _word(error.get("type")) or "unknown"
    retry_after = asked_to_hold(response, now=now) if status == 429 else None
    error_type = _BY_STATUS.get(status, ServerError if status >= 500 else FirstHandApiError)
    if status == 409 and kind.startswith("idempotency"):
        error_type = IdempotencyError

    result = error_type(
        _message(response, error, body, kind, retry_after, now=now),
        status=status,
        type=kind,
        request_id=_word(error.get("request_id")) or _word(response.request_id),
        details=_details(error, body),
        response=response,
        attempts=response.attempts,
    )
    if isinstance(result, InsufficientCreditsError):
        result.current_balance_cents = _first(int_or_none, "current_balance_cents", error, body)
        result.required_cents = _first(int_or_none, "required_cents", error, body)
        result.shortfall_cents = _first(int_or_none, "shortfall_cents", error, body)
        result.purchase_url = _first(_text, "purchase_url", error, body)
    if isinstance(result, RateLimitError):
        result.retry_after = retry_after
        if retry_after is not None:
            result.believed_for = believed_hold(response, retry_after, now=now)
        result.rate_limit = response.rate_limit
    return result


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _word(value: Any) -> str | None:
    """A word from the service, for a message: shortened, and masked because it may echo a secret."""
    text = _text(value)
    return None if text is None else visible(mask_secrets(text[:_MAX_WORD]))


def _first(read: Callable[[Any], T | None], name: str, *objects: dict[str, Any]) -> T | None:
    values = (read(body.get(name)) for body in objects)
    return next((value for value in values if value is not None), None)


def _details(error: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the service says of each field, or the `errors` of RFC 9457, with their words in the service's names."""
    problems = (
        {"field": _field_at(problem.get("pointer")), "message": problem.get("detail"), **problem}
        for problem in _objects(body.get("errors"))
    )
    return _objects(error.get("details")) or [*problems]


def _objects(value: Any) -> list[dict[str, Any]]:
    items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] # it is JSON
    return [members(item) for item in items if members(item)]


def _field_at(pointer: Any) -> str | None:
    """The name that we give what a JSON pointer such as `#/metadata/a~1b` points at: `metadata.a/b`."""
    if not isinstance(pointer, str):
        return None
    steps = pointer.removeprefix("#").removeprefix("/").split("/")
    return ".".join(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _problem(body: dict[str, Any]) -> str | None:
    """The text of a problem of RFC 9457, with which gateways answer."""
    title, detail = _text(body.get("title")), _text(body.get("detail"))
    return f"{title.rstrip('.')}: {detail}" if title and detail and title != detail else detail or title


def _message(
    response: ApiResponse,
    error: dict[str, Any],
    body: dict[str, Any],
    kind: str,
    retry_after: float | None,
    *,
    now: float,
) -> str:
    status = response.status_code
    # Some gateways send {"error": "text"} or {"message": "text"}.
    message = (
        _text(error.get("message"))
        or _text(body.get("error"))
        or _text(body.get("message"))
        or _problem(body)
    )
    if message is None:
        if 300 <= status < 400:
            message = "the service answered with a redirect, which API calls do not follow: check base_url"
        else:
            message = "the service gave no message"
    parts = [_shown(message)]
    for detail in _details(error, body)[:10]:
        name, text = _text(detail.get("field")), _text(detail.get("message"))
        # Often the message repeats the first detail.
        if name and text and f"{name}: {text}" not in message:
            parts.append(_shown(f"{name}: {text}"))
    advice = _ADVICE_FOR_TYPE.get(kind) or _ADVICE.get(status) or _ADVICE_FOR_CLASS.get(status // 100)
    if kind == "unknown" and status in (400, 403, 422):
        advice = _NOT_OF_THE_SERVICE
    if kind.startswith("idempotency"):
        advice = _USED
    if stands_still(response):
        pass  # its message says what ends that, and nothing else does
    elif retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
        parts.append(spent(response.rate_limit, retry_after, now=now))
    elif advice is not None:
        parts.append(advice + (f" {math.ceil(retry_after):,} s" if retry_after is not None else ""))
    # Only the last part may end with the service's period.
    return "; ".join([*(part.removesuffix(".") for part in parts[:-1]), parts[-1]])


def _shown(text: str) -> str:
    return mask_secrets(text[:_MAX_MESSAGE], cut=len(text) > _MAX_MESSAGE)
