# Made from _async/ordering.py by `make generate`. Do not edit.
"""Find or post the job of a folder, so that you pay once: execute the commands of `_core/orders/ordering.py`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from firsthandapi._base.keys import new_key
from firsthandapi._core.calls.lost_answers import advise, not_recorded
from firsthandapi._core.orders import refusals
from firsthandapi._core.orders.order_requests import read_jobs, request_for
from firsthandapi._core.orders.ordering import (
    Continue,
    Known,
    LookFor,
    Post,
    Question,
    Refuse,
    Shown,
    Walk,
    WriteDown,
    learn,
    next_command,
    with_walk,
)
from firsthandapi._core.orders.record import account_of, rewritten
from firsthandapi._sync.bridge import finish_blocking, run_blocking
from firsthandapi._sync.reader import board_of
from firsthandapi.errors import DeadlineExceededError, FirstHandError, NotFoundError

if TYPE_CHECKING:
    from firsthandapi._core.orders.record import OrderRecord, OtherOrders
    from firsthandapi._sync.accounts import Charges
    from firsthandapi._sync.transport import Transport
    from firsthandapi.types.job import Job
    from firsthandapi.types.options import RequestOptions

# Seconds that a POST has at least, even if the `timeout` of its call has passed: a service far away takes that long.
_LEAST = 5.0


class Book(Protocol):
    """Where an order is recorded: in a folder, or in a ledger."""

    @property
    def path(self) -> object:
        """The path, for messages."""

    def known_order(self) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """The record of the order, if any; without one, also the jobs that the rows of the folder name."""
        ...

    def others(self) -> OtherOrders:
        """What its other records say."""
        ...

    def create(self, record: OrderRecord) -> None:
        """Record the order for the first time."""
        ...

    def write(self, record: OrderRecord) -> None:
        """Update its record."""
        ...

    def remove(self) -> None:
        """Remove its record: its key was never sent."""
        ...


def order_once(
    transport: Transport,
    book: Book,
    request: dict[str, Any],
    key: str | None,
    *,
    ends: float | None,
    may_read: bool = False,
    way_out: str | None = None,
    label: str | None = None,
    derived: str | None = None,
    unaffordable: FirstHandError | None = None,
    gone: NotFoundError | None = None,
    key_since: float | None = None,
    walk: Walk | None = None,
    charges: Charges | None = None,
    **options: Unpack[RequestOptions],
) -> tuple[OrderRecord, Job | None]:
    """Record the job of `request` in `book`; post the job if it does not exist.

    `gone` is the service's error if it does not have the job in the record. A new order without a `key` uses the
    `derived` key, which other machines may have sent, or a random key. With `unaffordable`, an existing job is found,
    but none is posted: that error is raised instead. `walk` is a search that was made for several orders since this one
    was last sent. `charges` notes the balance before the POST. The POST ends at `ends`, but no search for a job does:
    without its outcome the job could be neither continued nor posted.
    Returns the recorded order with its job, and the job itself if this call has read it.
    Raises FirstHandError: no job was bought, or the folder belongs to another job.
    """
    job: Job | None = None
    record, rows_of = run_blocking(book.known_order)
    began = transport.clock.time()
    facts = Known(
        request,
        key,
        new_key() if derived is None else derived,
        began,
        began,
        record,
        rows_of,
        may_read=may_read,
        gone=gone,
        way_out=way_out,
        derived=derived is not None,
        others=run_blocking(book.others),
        unaffordable=unaffordable,
        key_since=key_since,
        account=account_of(transport.config, transport.key_state.organization),
        label=label,
        book=book.path,
    )
    if walk is not None:
        facts = with_walk(facts, walk)
    search_ends: float | None = None
    while True:
        answer: Shown | FirstHandError = Shown()
        match command := next_command(facts):
            case Continue(record):
                return record, job
            case Refuse(error, forget):
                if forget:
                    finish_blocking(book.remove)
                raise error
            case WriteDown(record, create):
                if record.job is not None:
                    board_of(transport).note_rewritten(record.job, rewritten(record.job, record.request))
                try:
                    finish_blocking(book.create if create else book.write, record)
                except FirstHandError as error:
                    if facts.failure is not None:
                        raise facts.failure from error
                    if record.job_id is not None:
                        error.job, error.idempotency_key, error.request_sent = job, record.key, facts.sent
                        advise(error, not_recorded(record.job_id, record.key or ""))
                    raise
            case _:
                if isinstance(command, LookFor) and command.cursor is None:
                    search_ends = end_of_search(transport)
                if isinstance(command, Post) and charges is not None:
                    charges.begin(0)
                limit = search_ends if isinstance(command, LookFor) else ends
                try:
                    answer, first_job = ask(transport, command, limit, **options)
                    job = first_job or job
                except FirstHandError as error:
                    answer = error
        facts = replace(learn(facts, command, answer), now=transport.clock.time())


def end_of_search(transport: Transport) -> float | None:
    """When a search that begins now must end: its pages share the client's `deadline`."""
    deadline = transport.config.deadline
    return None if deadline is None else transport.clock.monotonic() + deadline


def ask(
    transport: Transport, question: Question, ends: float | None, **options: Unpack[RequestOptions]
) -> tuple[Shown, Job | None]:
    """Ask the service a question, and return what it shows and the first job among it.

    `ends` is when the `timeout` of the call ends; for a page of a search, when the client's `deadline` does.
    Raises WaitTimeoutError: the `timeout` has passed.
    Raises DeadlineExceededError: the client's `deadline` has passed.
    Raises FirstHandError: the request failed.
    """
    clock, deadline = transport.clock, transport.config.deadline or 0.0
    seconds_left = None if ends is None else ends - clock.monotonic()
    if not isinstance(question, LookFor):
        seconds_left = None if seconds_left is None else max(seconds_left, _LEAST)
    elif seconds_left is not None and seconds_left <= 0:
        raise refusals.search_took_too_long(question.key, len(question.seen), deadline)
    try:
        request = request_for(question, time_limit=seconds_left, **options)
        answer, job = transport.read(request, partial(read_jobs, question))
        if answer.twins:
            board_of(transport).note_twins(answer.jobs[0], answer.twins)
        return answer, job
    except DeadlineExceededError as error:
        if isinstance(question, LookFor):
            raise refusals.search_took_too_long(question.key, len(question.seen), deadline) from error
        if ends is not None and clock.monotonic() >= ends:
            raise refusals.timed_out(error) from error
        raise  # the client's own deadline
