"""Advice in errors, so that nobody pays twice: after a POST with an unknown outcome, and for a job that continues."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandConnectionError,
    FirstHandError,
    NotFoundError,
    UnexpectedResponseError,
    WaitTimeoutError,
)

if TYPE_CHECKING:
    from firsthandapi.types.job import Job


def may_have_arrived(error: FirstHandError) -> bool:
    """Whether the service may have processed an attempt that ended in `error`.

    A 4xx means that it did not, except for 408. Any other undocumented response leaves it open.
    """
    if isinstance(error, FirstHandConnectionError):
        return bool(error.request_sent)
    if isinstance(error, FirstHandApiError):
        return not 400 <= error.status < 500 or error.status == 408
    return isinstance(error, UnexpectedResponseError)


def how_to_repeat(key: str, *, recorded: bool, may_be_done: bool = True) -> str:
    """The end of a message: how to repeat a POST that was sent.

    `recorded`: the same call finds its key in a folder, a ledger, or a journal.
    `may_be_done`: whether the service has not refused it. What is refused may have been done as well, so the advice is
    the same.
    """
    text = _shown(key)
    start = "; it may have been done: " if may_be_done else "; "
    if recorded:
        return f"{start}run the same call again: it sends the same key ({text}), which does nothing twice"
    return f"{start}to repeat this call safely, send the same key within 23 hours: {text}"


def with_other_advice(text: str, key: str, *, lost: str = "", refused: str = "") -> str:
    """A message with other advice than on the key, or with none: not everybody can pass one.

    `lost`, `refused`: what to do if the POST may have been done, and if the service has refused it.
    """
    for recorded in (True, False):
        for may_be_done, advice in ((True, lost and f"it may have been done: {lost}"), (False, refused)):
            old = how_to_repeat(key, recorded=recorded, may_be_done=may_be_done)
            text = text.replace(old, advice and f"; {advice}")
    return text


def not_recorded(job_id: str, key: str) -> str:
    """The end of a message: a job that was posted could not be written down."""
    return f"; {job_id} exists, with {_shown(key)}: run the same call again, which continues that job"


def _shown(key: str) -> str:
    return f"idempotency_key={mask_secrets(json.dumps(key))}"


@contextmanager
def confirming(
    seconds: float | None, *, deadline: float | None, recorded: bool
) -> Generator[None, None, None]:
    """Post the job of a wait, whose `timeout` leaves so many seconds, with the client's `deadline`; `recorded` as for
    `how_to_repeat`.
    Raises WaitTimeoutError: the service did not confirm the job in time.
    """
    try:
        yield
    except DeadlineExceededError as error:
        if seconds is None or (deadline is not None and deadline < seconds):
            raise
        raise _not_confirmed(error, recorded=recorded) from error


def _not_confirmed(error: DeadlineExceededError, *, recorded: bool) -> WaitTimeoutError:
    key = error.idempotency_key
    if key is None:
        advice = (
            "; nothing was sent: run the same call again"  # another process has had the journal all the time
        )
    elif error.request_sent is not False:
        advice = how_to_repeat(key, recorded=recorded)
    else:
        advice = f"; nothing was sent ({_shown(key)}): run the same call again"
    result = WaitTimeoutError(f"timeout= passed before the service confirmed the job{advice}")
    result.idempotency_key, result.request_sent = key, error.request_sent
    return result


def advise(error: FirstHandError, advice: str) -> None:
    """Append `advice` to the message of `error`."""
    error.message += visible(advice)
    error.args = (error.message,)


@contextmanager
def naming(job_id: str, advice: str, *, exists: bool = True) -> Generator[None, None, None]:
    """Add a note to any exception of the block, such as Ctrl-C: the job continues, and how to get it.

    `exists`: whether the job is known to exist; if not, a 404 gets no note.
    """
    try:
        yield
    except BaseException as error:
        if exists or not isinstance(error, NotFoundError):
            error.add_note(continues(job_id, advice))
        raise


def without_usable_id(job: Job, key: str | None) -> UnexpectedResponseError:
    """The error for a job that is paid for, and whose id no request can contain."""
    name, its_key = visible(mask_secrets(repr(job.id))), "its own" if key is None else _shown(key)
    error = UnexpectedResponseError(
        f"the service posted the job with an id that no request can contain: {name}; the job is paid for, so do not "
        f"post it again with any key but {its_key}: ask the service's support for its files"
    )
    error.job, error.idempotency_key, error.request_sent = job, key, True
    return error


@contextmanager
def paid_for(job: Job, key: str | None) -> Generator[None, None, None]:
    """Have each error of the block name the job that is paid for, and its key."""
    try:
        yield
    except FirstHandError as error:
        name_purchase(error, job, key)
        raise


def name_purchase(error: FirstHandError, job: Job, key: str | None) -> None:
    """Note in an error after a POST what was bought: the job, its key, and that the POST was sent."""
    error.job = error.job or job
    error.idempotency_key = error.idempotency_key or key
    error.request_sent = True


def several(job_ids: Sequence[str]) -> str:
    """The first five of many job ids, for a note."""
    more = f", and {len(job_ids) - 5} more" if len(job_ids) > 5 else ""
    return ", ".join(job_ids[:5]) + more


def continues(job_id: str, advice: str) -> str:
    """The note for a stopped call with a job, or several joined by commas; `advice` says how to get them."""
    several = "," in job_id
    return f"The {'jobs' if several else 'job'} {job_id} {'continue' if several else 'continues'}: {advice}"
