"""The errors of a folder that cannot get its job. Each names the job or the key, and says how to continue."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, TypeVar

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandError,
    InvalidArgumentError,
    NotFoundError,
    PaginationError,
    UnexpectedResponseError,
    WaitTimeoutError,
)

from .record import OrderRecord, ShownJob, job_id_of

_SEARCH_LESS = (
    "pass key_since=, an aware datetime before the first call, to search only the jobs posted since"
)

_Error = TypeVar("_Error", bound=FirstHandError)


def described(job: Mapping[str, Any]) -> str:
    """A job for a message: `job_… (open, 1 of 3 files approved)`."""
    approved, needed = int_or_none(job.get("files_approved")), int_or_none(job.get("files_needed"))
    count = "" if approved is None or needed is None else f", {approved} of {count_of(needed)} approved"
    return f"{job['id']} ({job['status']}{count})" if "status" in job else job["id"]


def _way_to(job_id: str) -> str:
    return f"files.download_all({job_id!r}, …) downloads its files"


def forgetting(book: object, key: str | None) -> str:
    """How to give up an order."""
    return f"run firsthandapi orders forget {book} {key}"


def other_request(job: ShownJob, names: list[str]) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"dest is the folder of {described(job)}, and belongs to another request: {', '.join(names)} "
        f"{'differs' if len(names) == 1 else 'differ'} from its record. To continue that job, pass its arguments; "
        f"{_way_to(job['id'])}. For another job, use a different folder",
        field="dest",
    )


def other_key(job: ShownJob | None, key: str | None) -> InvalidArgumentError:
    of = "a request whose response was lost" if job is None else described(job)
    return InvalidArgumentError(
        f"dest is the folder of {of}, sent with another idempotency_key ({key}); leave idempotency_key out to continue",
        field="idempotency_key",
    )


def of_another(job: ShownJob, key: str | None) -> UnexpectedResponseError:
    name = job_id_of(job) or "a job without a usable id"
    error = UnexpectedResponseError(
        f"the service responded to the order with {name}, which is not the job of idempotency key {key}; run the same "
        "call again: it looks for that job, and cannot post a second one"
    )
    error.idempotency_key, error.request_sent = key, True
    return error


def suspected(record: OrderRecord, way_out: str) -> UnexpectedResponseError:
    error = UnexpectedResponseError(
        f"the order with idempotency key {record.key} may have bought {_suspects(record)}: the service named it in "
        "response to this order, and does not show it as the job of this key, which is over 23 hours old. To send the "
        "key again could buy a second job, so nothing was posted: look for the job in your account; if there is none, "
        f"{way_out} and try again"
    )
    error.idempotency_key, error.request_sent = record.key, False
    return error


def _suspects(record: OrderRecord) -> str:
    return " or ".join(record.suspects)


def rewriting_warning(job: ShownJob, names: list[str]) -> str:
    """What to say of the fields of a job that the service shows otherwise than they were sent."""
    return (
        f"the service shows {job['id']} with other values than were sent: {', '.join(names)}; the job is that of this "
        "order. A lost response may not be found again there, so keep the folder or the journal"
    )


def key_of_another(job: ShownJob, key: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"idempotency_key {key} has already bought {described(job)}, with other arguments. To continue that job, pass "
        f"its arguments; {_way_to(job['id'])}. For another job, use a different idempotency_key",
        field="idempotency_key",
    )


def downloaded_by_download_all(job: ShownJob) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"dest contains files of {described(job)}, downloaded by download_all, and the arguments describe another job; "
        "to download the rest, run download_all again. For another job, use a different folder",
        field="dest",
    )


def rows_of_several(job_ids: tuple[str, ...]) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no record of its order, and its rows name several jobs: {', '.join(job_ids[:3])}; "
        "files.download_all(job_id, …) downloads the files of each into a folder of its own"
    )


def rows_of_a_stranger(job_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no record of its order, and its rows name {job_id}, which this API key cannot see; "
        "use the API key and base_url that the folder was started with"
    )


def rows_of_another(job: ShownJob) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no record of its order, and it is the folder of {described(job)}, which was posted with "
        f"other arguments. To continue that job, pass its arguments; {_way_to(job['id'])} here. For a further job, "
        "use a different folder"
    )


def slow_search(key: str) -> ConfigurationError:
    return ConfigurationError(
        f"the search for the job of idempotency key {key} took more than an hour, so it says too little: nothing was "
        "posted; run the same call again"
    )


def key_too_old(key: str, way_out: str) -> ConfigurationError:
    return ConfigurationError(
        f"the order was sent with idempotency key {key} more than 23 hours ago, or the clock was set back since, and "
        "its metadata leave no room to name the key, so no search finds its job. To send it again could buy a second "
        f"job: look for the job in your account; if there is none, {way_out} and try again"
    )


def cannot_be_looked_up(key: str, way_out: str) -> ConfigurationError:
    return ConfigurationError(
        f"the journal has this call with the idempotency key {key}: its outcome is unknown, the same key is too old to "
        f"be sent again safely, and what it did cannot be looked up. If nothing came of it, {way_out} and try again; "
        "nothing was sent"
    )


def may_have_bought(job: ShownJob, key: str | None, way_out: str | None = None) -> InvalidArgumentError:
    """`way_out`: how to give up the order that has this key; None for an order that is new."""
    whose = "the same arguments" if way_out is None else "the arguments of this order"
    further = "pass a title= of its own" if way_out is None else f"{way_out} and try again"
    return InvalidArgumentError(
        f"idempotency_key {key} may have bought {described(job)} already: that job has {whose} and is over 23 hours "
        "old, and the service returns no metadata that could identify it. To send the key again could buy a second "
        f"job: {_way_to(job['id'])}. For a further job, {further}",
        field="idempotency_key",
    )


def listed_only(error: NotFoundError, record: OrderRecord) -> NotFoundError:
    job = described(record.job or {})
    return _with(error, f". The list of jobs shows {job}: run the same call again later")


def gone(error: NotFoundError, record: OrderRecord, *, own_key: bool) -> NotFoundError:
    different = "a different folder and a different idempotency_key" if own_key else "a different folder"
    return _with(
        error,
        f". If these are right, {described(record.job or {})} may not show yet: wait a minute and run the same call "
        f"again, which looks for a job with idempotency key {record.key}, and found none so far. If "
        f"there is still none, and billing.transactions() shows no charge for it, post it again with {different}",
    )


def named_in_vain(error: NotFoundError, record: OrderRecord, way_out: str) -> NotFoundError:
    return _with(
        error,
        f". The service named {_suspects(record)} in response to the order with idempotency key {record.key}; it may "
        "not show yet: wait a minute and run the same call again, which looks for the job of that key. If there is "
        f"still none, and billing.transactions() shows no charge for it, {way_out}",
    )


def _with(error: _Error, more: str) -> _Error:
    longer = copy(error)
    longer.message += visible(more)
    return longer


def timed_out(late: DeadlineExceededError) -> WaitTimeoutError:
    """`late`: how the last request ended."""
    key = late.idempotency_key
    of = "" if key is None else f" of idempotency key {key}"
    error = WaitTimeoutError(
        f"timed out before the service confirmed the job{of}; run the same call again: it cannot post a second job"
    )
    error.idempotency_key, error.request_sent = key, late.request_sent
    return error


def too_many_pages(key: str | None) -> PaginationError:
    """The error of a search that has read as many pages as it may."""
    return PaginationError(
        f"the search for {_sought(key)} ended after 1,000 pages of the list of jobs: {_SEARCH_LESS}"
    )


def search_took_too_long(key: str | None, pages: int, deadline: float) -> DeadlineExceededError:
    """The error of a search whose pages together have taken longer than the client's `deadline`."""
    return DeadlineExceededError(
        f"the search for {_sought(key)} did not finish within the deadline of {deadline:g} s: it read "
        f"{count_of(pages, 'page')} of the list of jobs; increase deadline=, or {_SEARCH_LESS}",
        deadline=deadline,
    )


def _sought(key: str | None) -> str:
    return "the jobs of this folder" if key is None else f"the job of idempotency key {key}"
