"""Guards money: decides the next step until an order has its job, which is paid once. The caller acts.

`next_command` turns the known facts into the next command, and `learn` adds its answer to the facts:

    while not isinstance(command := next_command(facts), Continue | Refuse):
        facts = learn(known, command, …)

So are the POSTs of a client's journal made once, of any path. Three rules hold it together. Nothing is posted before
the order's record has its key, and, unless it is a single call's, the API key has shown that it may read jobs. Only a
readable success, or a job that carries the key, says that the order is done: whatever else comes back, a key that was
sent is kept, since a refusal may follow a purchase. And before a kept key is sent again, the metadata of the jobs are
searched for it. That is safe at any age: the service still knows the key of a young job, and its list shows an old one.
What no search finds is sent again only while its key is young.

A service may rewrite what it shows. A job that a response to the POST names is taken nevertheless, unless it has other
terms, is older than the order, or is another order's. Then its id is a suspect: the record keeps it, and the order
counts in full until a job with its key is found. A search takes only jobs with the key as it was sent, and that the
service keeps metadata is believed only where it has shown a key of the same book unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from firsthandapi._base.ids import is_id
from firsthandapi._core.calls.dates import served_at
from firsthandapi._core.calls.lost_answers import without_usable_id
from firsthandapi.errors import (
    FirstHandApiError,
    FirstHandError,
    GoneError,
    IdempotencyError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
)

from . import refusals
from .record import (
    JOBS_PATH,
    NO_OTHERS,
    Account,
    OrderRecord,
    OtherOrders,
    ShownJob,
    conflicts,
    differing,
    fits,
    is_of,
    is_of_another,
    is_young,
    job_id_of,
    key_of,
    load,
    marked,
    names_another,
    shows_key,
)

_DAY = 24 * 3600.0
# A search holds for so many seconds: later, the service may have forgotten the key of a job that it could not show yet.
_SEARCH_LASTS = 3600.0
_MOST_SEARCHES = 3
# How a service says that it has no job with an id.
_NOT_HERE = (NotFoundError, GoneError, PermissionDeniedError, InvalidRequestError)


@dataclass(frozen=True)
class Known:
    """The known facts of an order and its job.

    Attributes:
        request: the body of this call's POST, without the key.
        key: the caller's idempotency key, or None.
        spare_key: a fresh one, for a folder that has none.
        began: Unix seconds when this run began.
        now: Unix seconds at this step: a machine may sleep for days between two.
        server_now: the service's time at its latest response; None if it has sent no `Date`.
        record: the order's record; None if there is none.
        rows_of: the jobs that the rows of the folder name, if no record does.
        fresh: whether this call created the record, with a key of which nothing was known before.
        may_read: whether the API key has shown that it may read jobs.
        looked: whether the jobs were searched for the one of this order.
        looked_at: the time at which that search began.
        searches: how many have begun.
        unread: the next page of a search that has not ended.
        found: the jobs that this search has found.
        alike: jobs that the search met, that may be this order's, and that no whole key of another order marks.
        read: the jobs that this run has read by their ids.
        sent: whether this call has sent the POST.
        bought: the record with what the response to the POST has named: the job, or a suspect.
        gone: the service's error, if it has no job with the id in the record.
        failure: how the last command failed.
        book: where the record is: the path of its folder.
        way_out: how to give up an order whose key is too old to be sent again, if not by the command.
        key_since: Unix seconds before which nobody has used the key, as the caller says; None: they do not say.
        derived: whether others derive the same `spare_key`, as the machines that run one campaign do: it may be used.
        account: whose order it is.
        label: the label of its files.
        single: whether only a POST without a known outcome is the same one, as in a client's journal: it needs no
            search before its key is sent for the first time, and any readable success finishes it.
        others: what the other records of the book say.
        unaffordable: why nothing may be posted now, not even again; None if posting is allowed.
    """

    request: Any
    key: str | None
    spare_key: str
    began: float
    now: float
    record: OrderRecord | None = None
    rows_of: tuple[str, ...] = ()
    fresh: bool = False
    may_read: bool = False
    looked: bool = False
    looked_at: float = 0.0
    searches: int = 0
    unread: LookFor | None = None
    found: tuple[ShownJob, ...] = ()
    alike: tuple[ShownJob, ...] = ()
    read: frozenset[str] = frozenset()
    sent: bool = False
    bought: OrderRecord | None = None
    gone: NotFoundError | None = None
    failure: FirstHandError | None = None
    way_out: str | None = None
    unaffordable: FirstHandError | None = None
    server_now: float | None = None
    key_since: float | None = None
    derived: bool = False
    others: OtherOrders = NO_OTHERS
    account: Account | None = None
    label: str | None = None
    single: bool = False
    book: object = "BOOK"


# ── Commands ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class WriteDown:
    """Write the record; `create`: it must not exist yet."""

    record: OrderRecord
    create: bool = False


@dataclass(frozen=True)
class TryReading:
    """Read the list of jobs: an API key that may not read must not buy."""


@dataclass(frozen=True)
class LookFor:
    """Read one page of all jobs, for the one that was bought with `key`; without a key, for all of `collect`.

    Every page is read, because no clock knows when a job was posted; or every page with jobs created at `since` or
    later, if the caller knows since when the key has been in use.
    """

    key: str | None
    cursor: str | None = None
    seen: frozenset[str] = frozenset()
    since: float | None = None


@dataclass(frozen=True)
class Read:
    """Read one job."""

    job_id: str


@dataclass(frozen=True)
class Post:
    """Post the job with the request and the key of `order`, which may have been sent since `key_sent_at`."""

    order: OrderRecord
    key_sent_at: float | None = None


@dataclass(frozen=True)
class Continue:
    """The order has its job."""

    record: OrderRecord


@dataclass(frozen=True)
class Refuse:
    """Raise `error`; if `forget`, remove the record first: its key was never sent."""

    error: FirstHandError
    forget: bool = False


Question = TryReading | LookFor | Read | Post
Command = Question | WriteDown | Continue | Refuse


@dataclass(frozen=True)
class Shown:
    """The answer to a question: the jobs in question; for a search also the next page, and the jobs without a whole key
    that this package has made. `served_at` is its `Date`; `twins` are later jobs with the same key; `is_replay`: the
    service says that it has sent this response before."""

    jobs: tuple[ShownJob, ...] = ()
    unread: LookFor | None = None
    unmarked: tuple[ShownJob, ...] = ()
    served_at: float | None = None
    twins: tuple[ShownJob, ...] = ()
    is_replay: bool = False


@dataclass(frozen=True)
class Walk:
    """A search over all jobs, for all orders that were sent before it began.

    Attributes:
        began: Unix seconds when it began.
        served_at: the service's time then; None if it has sent no `Date`.
        unmarked: the jobs that it met without a whole key that this package has made.
    """

    began: float
    served_at: float | None = None
    unmarked: tuple[ShownJob, ...] = ()

    def after(self, page: Shown) -> Walk:
        """The same with one more page."""
        served_at = page.served_at if self.served_at is None else self.served_at
        return Walk(self.began, served_at, (*self.unmarked, *page.unmarked))


# ── From the facts to a command ────────────────────────────────────────────────────────────────────────


def next_command(facts: Known) -> Command:
    """The next step."""
    record = facts.record
    if facts.unread is not None:
        return facts.unread
    if facts.bought is not None and facts.single:
        return Continue(facts.bought)
    if facts.bought is not None and record != facts.bought:
        return WriteDown(facts.bought)
    if facts.failure is not None:
        return _after_a_failure(facts, facts.failure)
    if facts.found and job_id_of(facts.found[0]) is None:
        return Refuse(without_usable_id(load(facts.found[0]), key_of(facts.found[0])))
    if record is None and facts.rows_of:
        return _of_the_rows(facts, facts.rows_of[0])
    if record is None:
        return WriteDown(_order(facts, facts.key or facts.spare_key, facts.now), create=True)
    if record.job is not None:
        return _with_a_job(facts, record, record.job)
    return _with_a_key(facts, record, record.key or "")


def _order(facts: Known, key: str, sent_at: float, job: ShownJob | None = None) -> OrderRecord:
    return OrderRecord(
        "order",
        key,
        marked(facts.request, key),
        sent_at,
        job,
        server_sent_at=None if job else facts.server_now,
        account=facts.account,
        label=facts.label,
    )


def _search(facts: Known, record: OrderRecord) -> LookFor:
    # This call's own time says nothing of earlier ones, and the service's clock may be ahead of it.
    server_sent_at = record.server_sent_at or (facts.server_now if facts.fresh else None)
    sent_at = (None if facts.fresh else record.first_sent_at, server_sent_at)
    key_since = facts.key_since
    if key_since is None and facts.fresh and facts.key is None and not facts.derived:
        # Nobody had this key before this call, so a refusal costs one page, however many jobs the account has.
        key_since = next(filter(None, sent_at), None)
    return LookFor(record.key, since=search_start(key_since, sent_at))


def search_start(key_since: float | None, sent_at: Iterable[float | None]) -> float | None:
    """The earliest creation time, in Unix seconds, of a job that a search must read; None reads all jobs.

    That is a day before `key_since`, because clocks differ and people round, or before the earliest time in `sent_at`,
    which the record of an order knows better.
    """
    if key_since is None:
        return None
    return max(min([key_since, *filter(None, sent_at)]) - _DAY, 0.0)


def _with_a_job(facts: Known, record: OrderRecord, job: ShownJob) -> Command:
    """The record has a job: that of this call, or another."""
    if record.request is None:
        if _is_this_order(facts, job):
            return WriteDown(_restored(facts, job))
        return Refuse(refusals.downloaded_by_download_all(job))
    if names := differing(record.request, facts.request):
        is_single = facts.single
        error = (
            refusals.key_of_another(job, record.key or "")
            if is_single
            else refusals.other_request(job, names)
        )
        return Refuse(error)
    if facts.key not in (None, record.key):
        return Refuse(refusals.other_key(job, record.key))
    if facts.gone is None:
        return Continue(record)
    # The response to the POST may have made up the id; the list shows the job with the key, if there is one.
    if not facts.looked:
        return _search(facts, record)
    if facts.found and is_of_another(facts.found[0], record.request):
        return Refuse(refusals.key_of_another(facts.found[0], record.key or ""))
    if facts.found and job_id_of(facts.found[0]) != job_id_of(job):
        return WriteDown(record.with_job(facts.found[0]))
    if facts.found:
        return Refuse(refusals.listed_only(facts.gone, record))
    if record.unseen and is_of(record, facts.account):
        return WriteDown(record.with_suspect(job["id"]))
    return Refuse(refusals.gone(facts.gone, record, own_key=facts.key is not None))


def _of_the_rows(facts: Known, job_id: str) -> Command:
    """The record is lost, but the folder has files: of the job of this call, or of another."""
    if len(facts.rows_of) > 1:
        return Refuse(refusals.rows_of_several(facts.rows_of))
    if job_id not in facts.read:
        return Read(job_id)
    if not facts.found:
        return Refuse(refusals.rows_of_a_stranger(job_id))
    job = facts.found[0]
    if _is_this_order(facts, job):
        return WriteDown(_restored(facts, job), create=True)
    return Refuse(refusals.rows_of_another(job))


def _with_a_key(facts: Known, record: OrderRecord, key: str) -> Command:
    """The order has a key, and no job so far."""
    if facts.gone is not None:
        return Refuse(refusals.named_in_vain(facts.gone, record, _way_out(facts, key)))
    # On a service that keeps metadata, a campaign's look at all jobs has shown what other machines have bought.
    may_be_in_use = facts.key is not None or (facts.derived and not facts.others.keeps_metadata)
    never_sent = facts.fresh and (facts.single or not may_be_in_use)
    is_searched = record.path == JOBS_PATH
    if not facts.found and (suspect := _unread_suspect(facts, record)) is not None:
        return Read(suspect)
    if never_sent and not facts.may_read and not facts.single:
        return TryReading()
    if is_searched and not never_sent and not facts.looked and not facts.found:
        return _search(facts, record)
    order = _corrected(record, facts.request) if differing(record.request, facts.request) else record
    if facts.found:
        job = facts.found[0]
        if fits(job, facts.request):
            return WriteDown(order.with_job(job))
        # The key proves more than a text that a service may have rewritten; one that others have chosen, less.
        is_own = facts.derived or (not facts.fresh and not facts.single)
        if facts.derived or (is_own and not is_of_another(job, record.request)):
            return WriteDown(record.with_job(job))
        return Refuse(refusals.key_of_another(job, key), forget=facts.fresh and facts.key is not None)
    if facts.key not in (None, key):
        return Refuse(refusals.other_key(None, key))
    if is_searched and not never_sent and not 0 <= facts.now - facts.looked_at <= _SEARCH_LASTS:
        # The machine has slept since.
        return (
            _search(facts, record) if facts.searches < _MOST_SEARCHES else Refuse(refusals.slow_search(key))
        )
    is_young = not facts.fresh and _is_young(facts, record)
    may_be_used = facts.derived or not never_sent
    # Another machine may have sent the key long before this record was written.
    is_used_here_alone = facts.key is None and not facts.derived
    if record.suspects and not is_young:
        return Refuse(refusals.suspected(record, _way_out(facts, key)))
    if may_be_used and not (is_young and is_used_here_alone) and (alike := _may_have_bought(facts)):
        way_out = None if facts.fresh else _way_out(facts, key)
        return Refuse(refusals.may_have_bought(alike, key, way_out), forget=facts.fresh)
    if not never_sent and not facts.fresh and not is_young and not record.shows_key:
        error = refusals.key_too_old if is_searched else refusals.cannot_be_looked_up
        return Refuse(error(key, _way_out(facts, key)))
    if facts.unaffordable is not None:
        return Refuse(facts.unaffordable, forget=facts.fresh)
    # What is sent is on the disk before, and from then on it may cost. If an earlier request has bought, the service
    # refuses another one with its key.
    to_send = order.sent_again()
    if facts.fresh and record.server_sent_at is None:
        to_send = replace(to_send, server_sent_at=facts.server_now)
    if to_send != record:
        return WriteDown(to_send)
    if never_sent:
        return Post(to_send)
    return Post(to_send, record.first_sent_at if is_young else facts.looked_at)


def _way_out(facts: Known, key: str) -> str:
    return facts.way_out or refusals.forgetting(facts.book, key)


def _is_young(facts: Known, record: OrderRecord) -> bool:
    """Whether the service surely still knows the key.

    Also when this run began: a clock set back and then a long sleep look young.
    """
    return record.is_young(facts.began) and record.is_young(facts.now, facts.server_now)


def _may_have_bought(facts: Known) -> ShownJob | None:
    """A job that the key may have bought, on a service that may not keep metadata and has forgotten the key."""
    # The service says when a job was created, so its own clock counts as well.
    clocks = [now for now in (facts.now, facts.server_now) if now is not None]
    old = [job for job in facts.alike if not all(is_young(job, now) for now in clocks)]
    return old[0] if old and not facts.others.keeps_metadata else None


def _unread_suspect(facts: Known, record: OrderRecord) -> str | None:
    unread = (name for name in record.suspects if name not in facts.read)
    return next(filter(is_id, unread), None)


def _after_a_failure(facts: Known, failure: FirstHandError) -> Command:
    record = facts.record
    if facts.sent and record is not None:
        if record.path == JOBS_PATH and not facts.looked and _is_an_answer(failure):
            # Whatever it says, the job may exist: a purchase itself may have spent the balance.
            return _search(facts, record)
        if isinstance(failure, InvalidRequestError):
            order = _corrected(record, facts.request)
            if order != record and not differing(record.request, facts.request):
                # Sent as it was written down, and refused: the caller may have corrected what is no difference
                # elsewhere, such as a deadline that has passed.
                return WriteDown(order)
        if record.refused_at is None and not record.suspects and is_refusal(failure):
            return WriteDown(record.refused(facts.now, facts.server_now))
    never_left = not facts.sent or failure.request_sent is False
    return Refuse(failure, forget=facts.fresh and never_left)


def _corrected(record: OrderRecord, request: Any) -> OrderRecord:
    # If no search finds what was sent with this key, none may seem to.
    order = replace(record, request=marked(request, record.key or "") if record.shows_key else request)
    # What was sent before may have bought more.
    return replace(order, before_cents=record.cost_cents) if record.cost_cents > order.cost_cents else order


def _is_an_answer(failure: FirstHandError) -> bool:
    return (
        isinstance(failure, FirstHandApiError | UnexpectedResponseError) and failure.request_sent is not False
    )


def is_refusal(failure: FirstHandError) -> bool:
    """Whether the service says that it did not do what it was asked for. It may have, so the key is kept; but what no
    later search finds costs a budget nothing. Of a key that was used before, it says the contrary."""
    return (
        isinstance(failure, FirstHandApiError)
        and 400 <= failure.status < 500
        and failure.status not in (408, 409)
        and not isinstance(failure, IdempotencyError)
    )


# ── From an answer to the facts ────────────────────────────────────────────────────────────────────────


def learn(facts: Known, command: Question | WriteDown, answer: Shown | FirstHandError) -> Known:
    """The facts after `command`: with the service's response, or the failure."""
    if isinstance(command, Read):
        facts = replace(facts, read=facts.read | {command.job_id})
        if isinstance(answer, NotFoundError) or (facts.record is not None and isinstance(answer, _NOT_HERE)):
            answer = Shown()
    if isinstance(command, Post):
        # A search before this POST does not count.
        facts = replace(facts, sent=True, looked=False)
        if isinstance(answer, Shown) and not facts.single:
            job = answer.jobs[0]
            if not _may_be_of(facts, command.order, job, is_replay=answer.is_replay):
                facts = replace(facts, bought=command.order.with_suspect(str(job.get("id"))))
                answer = refusals.of_another(job, command.order.key)
    if isinstance(command, LookFor) and isinstance(answer, PermissionDeniedError) and _needs_no_search(facts):
        answer = Shown()
    if isinstance(command, LookFor) and command.cursor is None:
        facts = replace(facts, looked_at=facts.now, searches=facts.searches + 1)
    if isinstance(command, LookFor):
        facts = replace(facts, looked=True, may_read=True, unread=None)
    if (served_at := _served_at(answer)) is not None:
        facts = replace(facts, server_now=served_at)
    if isinstance(answer, FirstHandError):
        # A second search may fail as well; the response to the POST counts.
        return facts if facts.failure is not None else replace(facts, failure=answer)
    match command:
        case WriteDown(record, create):
            # What the service has refused, or named instead of the job, is raised once it is written down.
            is_kept = record.refused_at is not None or record == facts.bought
            return replace(
                facts,
                record=record,
                fresh=facts.fresh or create,
                bought=None,
                gone=facts.gone if record.suspects else None,
                failure=facts.failure if is_kept else None,
            )
        case TryReading():
            return replace(facts, may_read=True)
        case Post(order, _):
            bought = order.with_job(answer.jobs[0], unseen=True) if answer.jobs else order
            return replace(
                facts, bought=replace(bought, server_sent_at=bought.server_sent_at or facts.server_now)
            )
        case Read():
            known = facts.record
            mine = (job for job in answer.jobs if known is None or _may_be_of(facts, known, job))
            return replace(facts, found=(*facts.found, *mine))
        case LookFor():  # pragma: no branch # there is no other command
            jobs = facts.found + answer.jobs
            has_it = jobs and answer.unread is None
            return replace(
                facts,
                found=jobs,
                unread=answer.unread,
                failure=None if has_it else facts.failure,
                alike=facts.alike + tuple(job for job in answer.unmarked if _is_alike(facts, job)),
            )


def _needs_no_search(facts: Known) -> bool:
    """Whether an API key that may post jobs, but not read them, may send its key again all the same."""
    return facts.single and facts.record is not None and _is_young(facts, facts.record)


def _is_alike(facts: Known, job: ShownJob) -> bool:
    """Whether `job` may be what the key has bought: what this call asks for, or, if the key was surely sent, a job with
    the terms of that request, whatever its texts are."""
    record, key = facts.record, facts.key or facts.spare_key
    if job_id_of(job) in facts.others.names:
        return False
    if names_another(job, key if record is None else record.key, facts.others.names):
        return False
    if facts.fresh or record is None:
        return fits(job, facts.request)
    is_ours_alone = facts.key is None and not facts.derived
    terms = (record.request, facts.request)
    return any(not conflicts(job, request) for request in terms) and not (
        is_ours_alone and record.is_older(job)
    )


def with_walk(facts: Known, walk: Walk) -> Known:
    """The facts after a search that was made for several orders, and has not found the job of this one, or that was
    made before this order was."""
    alike = tuple(job for job in walk.unmarked if _is_alike(facts, job))
    return replace(
        facts,
        looked=True,
        looked_at=walk.began,
        searches=1,
        may_read=True,
        alike=alike,
        server_now=walk.served_at,
    )


def _served_at(answer: Shown | FirstHandError) -> float | None:
    if isinstance(answer, Shown):
        return answer.served_at
    response = answer.response if isinstance(answer, FirstHandApiError) else None
    return None if response is None else served_at(response.headers)


def is_wanted(command: LookFor, job: Mapping[str, Any]) -> bool:
    """Whether `job` is one that the search is for."""
    key = key_of(job)
    return key is not None and command.key in (None, key)


def _may_be_of(facts: Known, order: OrderRecord, job: ShownJob, *, is_replay: bool = False) -> bool:
    """Whether a job that the service has named in a response to the POST of `order` may be its own, as far as rewriting
    explains what differs. `is_replay`: others may have sent the key before."""
    job_id = job_id_of(job)
    if job_id is None or job_id in facts.others.names or is_of_another(job, order.request):
        return False
    if shows_key(job, order.key):
        return True
    is_known_to_others = is_replay and (facts.key is not None or facts.derived)
    return not names_another(job, order.key, facts.others.names) and (
        is_known_to_others or not order.is_older(job)
    )


def _is_this_order(facts: Known, job: ShownJob) -> bool:
    """Whether this call bought `job` in an earlier run."""
    key = key_of(job)
    return key is not None and facts.key in (None, key) and fits(job, facts.request)


def _restored(facts: Known, job: ShownJob) -> OrderRecord:
    return _order(facts, key_of(job) or "", facts.now, job)


# ── download_all ───────────────────────────────────────────────────────────────────────────────────────


def check_download_into(
    path: object, record: OrderRecord | None, rows_of: tuple[str, ...], job_id: str
) -> None:
    """Refuse to download the files of a job into the folder of another.
    Raises InvalidArgumentError: it is another's.
    """
    if record is not None:
        if record.job is None:
            raise InvalidArgumentError(
                f"dest belongs to another request: {path} was started by collect, and the response to its POST was lost"
                f"; run that collect call again to continue its job there, or use a different folder for {job_id}",
                field="dest",
            )
        rows_of = (record.job["id"],)
    owners = [owner for owner in rows_of if owner != job_id]
    if owners:
        raise InvalidArgumentError(
            f"dest belongs to another job: {path} is the folder of {', '.join(owners[:3])}; choose a folder of its own "
            f"for {job_id}",
            field="dest",
        )
