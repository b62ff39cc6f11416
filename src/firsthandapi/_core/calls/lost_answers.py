"""What an error says after a POST whose outcome is unknown, or of a job that goes on without its caller: so that nobody
who repeats the call pays twice."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from firsthandapi._masking import mask_secrets
from firsthandapi._visible import visible
from firsthandapi.errors import (
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    NotFoundError,
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


@contextmanager
def naming(job_id: str, again: str, *, exists: bool = True) -> Generator[None, None, None]:
    """Whatever stops the block, Ctrl-C too, gets a note that names the job that goes on, and how to continue.

    `exists`: whether that is known; else a 404 says that there is no such job.
    """
    try:
        yield
    except BaseException as error:
        if exists or not isinstance(error, NotFoundError):
            error.add_note(continues(job_id, again))
        raise


def several(job_ids: Sequence[str]) -> str:
    """The first of many jobs, for a note."""
    more = f", and {len(job_ids) - 5} more" if len(job_ids) > 5 else ""
    return ", ".join(job_ids[:5]) + more


def continues(job_id: str, again: str) -> str:
    """The note on what stops a call that has a job, or several joined by commas; `again` says how to continue."""
    several = "," in job_id
    return f"The {'jobs' if several else 'job'} {job_id} {'continue' if several else 'continues'}: {again}"
