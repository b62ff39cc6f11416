"""After a POST whose outcome is unknown: what its error says, so that nobody who repeats it does it twice."""

from __future__ import annotations

import json

from firsthandapi._masking import mask_secrets
from firsthandapi._visible import visible
from firsthandapi.errors import (
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    UnexpectedResponseError,
)


def may_have_arrived(error: FirstHandError) -> bool:
    """Whether the service may have done what an attempt asked for, although the attempt ended in `error`.

    A 4xx says that nothing was done, except for 408. Any other response that is not the documented one says nothing.
    """
    if isinstance(error, FirstHandConnectionError):
        return bool(error.request_sent)
    if isinstance(error, FirstHandApiError):
        return not 400 <= error.status < 500 or error.status == 408
    return isinstance(error, UnexpectedResponseError)


def how_to_repeat(key: str, *, recorded: bool) -> str:
    """The end of a message: how to repeat a POST that may have arrived.

    `recorded`: the same call finds its key by itself, in a folder, a ledger, or a journal.
    """
    shown = f"idempotency_key={mask_secrets(json.dumps(key))}"
    if recorded:
        return f"; it may have been done ({shown}): run the same call again, which does nothing twice"
    return f"; it may have been done: to repeat this call safely, pass {shown} within 23 hours"


def advise(error: FirstHandError, advice: str) -> None:
    """Add to the message of `error` what only the end of a call knows."""
    error.message += visible(advice)
    error.args = (error.message,)
