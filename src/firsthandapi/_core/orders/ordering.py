"""Guards money: decides the next step until a folder has its job, which is paid once. The caller acts.

`next_command` turns the known facts into the next command, and `learn` adds its answer to the facts:

    while not isinstance(command := next_command(known), Continue | Refuse):
        known = learn(known, command, …)

Three rules hold it together. Nothing is posted before the folder has written down its key, and the API key has shown
that it may read jobs. Only a readable success, or a job that carries the key, says that the order is done: whatever
else comes back, a key that was sent is kept, since a refusal may follow a purchase. And before a kept key is sent
again, the metadata of the jobs are searched for it. That is safe at any age: the service still knows the key of a young
job, and its list shows an old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from firsthandapi._core.calls.dates import served_at
from firsthandapi.errors import (
    FirstHandApiError,
    FirstHandError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    UnexpectedResponseError,
)

from . import refusals
from .record import (
    JOB_FILE,
    OrderRecord,
    ShownJob,
    UnreadableRecord,
    differing,
    fits,
    is_young,
    job_id_of,
    key_of,
    unreadable,
)
from .request_hash import hash_to_send

_DAY = 24 * 3600.0
# A search holds for so many seconds: later, the service may have forgotten the key of a job that it could not show yet.
_SEARCH_LASTS = 3600.0
_MOST_SEARCHES = 3


@dataclass(frozen=True)
class Known:
    """The known facts of a folder and its job.

    Attributes:
        request: the body of this call's POST, without the key.
        key: the caller's idempotency key, or None.
        spare_key: a fresh one, for a folder that has none.
        began: Unix seconds when this run began.
        now: Unix seconds at this step: a machine may sleep for days between two.
        server_now: the service's time at its latest response; None if it has sent no `Date`.
        folder: `job.json`; None if there is none.
        rows_of: the jobs that the rows of the folder name, if `job.json` does not name one.
        fresh: whether this call created `job.json`, with a key of which the folder knew nothing before.
        may_read: whether the API key has shown that it may read jobs.
        looked: whether the jobs were searched for the one of this folder.
        looked_at: the time at which that search began.
        searches: how many have begun.
        unread: the next page of a search that has not ended.
        found: the jobs that this search has found.
        alike: jobs that the search met without metadata, and that are what this call or the folder asks for.
        keeps_metadata: whether any job that the search met has metadata, as what `collect` buys has.
        sent: whether this call has sent the POST.
        bought: the folder's `job.json` with the job that the POST returned.
        gone: the service's error, if it has no job with the id in `job.json`.
        failure: how the last command failed.
        way_out: how to give up an order whose key is too old to be sent again.
        key_since: Unix seconds before which nobody has used the key, as the caller says; None: they do not say.
        derived: whether others derive the same `spare_key`, as the machines that run one campaign do: it may be used.
        taken: the ids of jobs that other orders of the folder have bought.
        unaffordable: why nothing may be posted now, not even again; None if posting is allowed.
    """

    request: dict[str, Any]
    key: str | None
    spare_key: str
    began: float
    now: float
    folder: OrderRecord | UnreadableRecord | None = None
    rows_of: tuple[str, ...] = ()
    fresh: bool = False
    may_read: bool = False
    looked: bool = False
    looked_at: float = 0.0
    searches: int = 0
    unread: LookFor | None = None
    found: tuple[ShownJob, ...] = ()
    alike: tuple[ShownJob, ...] = ()
    keeps_metadata: bool = False
    sent: bool = False
    bought: OrderRecord | None = None
    gone: NotFoundError | None = None
    failure: FirstHandError | None = None
    way_out: str = f"remove {JOB_FILE}"
    unaffordable: FirstHandError | None = None
    server_now: float | None = None
    key_since: float | None = None
    derived: bool = False
    taken: frozenset[str] = frozenset()


# ── Commands ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class WriteDown:
    """Write `job.json`; `create`: it must not exist yet."""

    job_file: OrderRecord
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
    """The folder has its job."""

    job_file: OrderRecord


@dataclass(frozen=True)
class Refuse:
    """Raise `error`; if `forget`, remove `job.json` first: its key has bought nothing."""

    error: FirstHandError
    forget: bool = False


Question = TryReading | LookFor | Read | Post
Command = Question | WriteDown | Continue | Refuse


@dataclass(frozen=True)
class Shown:
    """The answer to a question: the jobs in question; for a search also the next page, the jobs without metadata, and
    whether there are jobs with metadata. `served_at` is its `Date`."""

    jobs: tuple[ShownJob, ...] = ()
    unread: LookFor | None = None
    unmarked: tuple[ShownJob, ...] = ()
    keeps_metadata: bool = False
    served_at: float | None = None


# ── From the facts to a command ────────────────────────────────────────────────────────────────────────


def next_command(known: Known) -> Command:
    """The next step."""
    folder = known.folder
    if known.unread is not None:
        return known.unread
    if known.failure is not None:
        return _after_a_failure(known, known.failure)
    if known.bought is not None and folder != known.bought:
        return WriteDown(known.bought)
    if isinstance(folder, UnreadableRecord) and folder.newer:
        return Refuse(unreadable(folder))
    if isinstance(folder, OrderRecord) and folder.job is not None:
        return _with_a_job(known, folder, folder.job)
    if known.rows_of:
        return _of_the_rows(known, known.rows_of[0])
    if isinstance(folder, UnreadableRecord):
        return _without_a_record(known, folder)
    if folder is None:
        return WriteDown(_order(known, known.key or known.spare_key, known.now), create=True)
    return _with_a_key(known, folder, folder.idempotency_key or "")


def _order(known: Known, key: str, sent_at: float) -> OrderRecord:
    digest = hash_to_send(known.request)
    return OrderRecord(
        known.request, key, sent_at, None, request_hash=digest, server_sent_at=known.server_now
    )


def _search(known: Known, key: str | None) -> LookFor:
    folder = known.folder
    sent_at: tuple[float | None, ...] = ()
    if isinstance(folder, OrderRecord):
        # This call's own time says nothing of earlier ones, and the service's clock may be ahead of it.
        sent_at = (None if known.fresh else folder.first_sent_at, folder.server_sent_at)
    key_since = known.key_since
    if key_since is None and known.fresh and known.key is None and not known.derived:
        # Nobody had this key before this call, so a refusal costs one page, however many jobs the account has.
        key_since = next(filter(None, sent_at), None)
    return LookFor(key, since=search_start(key_since, sent_at))


def search_start(key_since: float | None, sent_at: Iterable[float | None]) -> float | None:
    """The earliest creation time, in Unix seconds, of a job that a search must read; None reads all jobs.

    That is a day before `key_since`, because clocks differ and people round, or before the earliest time in `sent_at`,
    which the record of an order knows better.
    """
    if key_since is None:
        return None
    return max(min([key_since, *filter(None, sent_at)]) - _DAY, 0.0)


def _with_a_job(known: Known, folder: OrderRecord, job: ShownJob) -> Command:
    """The folder has a job: that of this call, or another."""
    if folder.request is None:
        if _is_this_order(known, job):
            return WriteDown(_restored(known, job))
        return Refuse(refusals.downloaded_by_download_all(job))
    if names := differing(folder.request, known.request):
        return Refuse(refusals.other_request(job, names))
    if known.key not in (None, folder.idempotency_key):
        return Refuse(refusals.other_key(job, folder.idempotency_key))
    if known.gone is None:
        return Continue(folder)
    # The response to the POST may have made up the id; the list shows the job with the key, if there is one.
    if not known.looked:
        return _search(known, folder.idempotency_key)
    if known.found and not fits(known.found[0], folder.request):
        return Refuse(refusals.key_of_another(known.found[0], folder.idempotency_key or ""))
    if known.found and job_id_of(known.found[0]) != job_id_of(job):
        return WriteDown(folder.with_job(known.found[0]))
    if known.found:
        return Refuse(refusals.listed_only(known.gone, folder))
    return Refuse(refusals.gone(known.gone, folder, own_key=known.key is not None))


def _of_the_rows(known: Known, job_id: str) -> Command:
    """`job.json` is lost or damaged, but the folder has files: of the job of this call, or of another."""
    if len(known.rows_of) > 1:
        return Refuse(refusals.rows_of_several(known.rows_of))
    if not known.looked:
        return Read(job_id)
    if not known.found:
        return Refuse(refusals.rows_of_a_stranger(job_id))
    job = known.found[0]
    if _is_this_order(known, job):
        return WriteDown(_restored(known, job), create=known.folder is None)
    return Refuse(refusals.rows_of_another(job))


def _without_a_record(known: Known, folder: UnreadableRecord) -> Command:
    """`job.json` is damaged, and the folder has no files: if a job was bought, its metadata contain a key."""
    if not known.looked:
        return _search(known, folder.idempotency_key or known.key)
    key = folder.idempotency_key or known.key
    if known.found and key is not None:
        job = known.found[0]
        if _is_this_order(known, job):
            return WriteDown(_restored(known, job))
        return Refuse(refusals.rows_of_another(job))
    if known.key is None or known.key != key:
        return Refuse(refusals.damaged(folder.idempotency_key, known.found, known.request))
    if alike := _may_have_bought(known):
        return Refuse(refusals.may_have_bought(alike, known.key))
    # The list shows no job of the caller's key, which can buy only one. It was read since this run began.
    return WriteDown(_order(known, known.key, known.began))


def _with_a_key(known: Known, folder: OrderRecord, key: str) -> Command:
    """The folder has a key, and no job so far."""
    never_sent = known.fresh and known.key is None
    if never_sent and not known.may_read:
        return TryReading()
    if not never_sent and not known.looked:
        return _search(known, key)
    corrected = folder
    if differing(folder.request or {}, known.request):
        corrected = _corrected(folder, known.request)
    if known.found:
        job = known.found[0]
        if fits(job, known.request):
            return WriteDown(corrected.with_job(job))
        if known.derived or (not known.fresh and fits(job, folder.request or {})):
            return WriteDown(folder.with_job(job))
        return Refuse(refusals.key_of_another(job, key), forget=known.fresh and known.key is not None)
    if known.key not in (None, key):
        return Refuse(refusals.other_key(None, key))
    if known.derived and not folder.first_sent_at:
        return Refuse(refusals.key_used(key, known.way_out))
    if not never_sent and not 0 <= known.now - known.looked_at <= _SEARCH_LASTS:
        # The machine has slept since.
        return _search(known, key) if known.searches < _MOST_SEARCHES else Refuse(refusals.slow_search(key))
    is_young = known.fresh is False and _is_young(known, folder)
    if not never_sent and not is_young and (alike := _may_have_bought(known)):
        way_out = None if known.fresh else known.way_out
        return Refuse(refusals.may_have_bought(alike, key, way_out), forget=known.fresh)
    if not never_sent and not known.fresh and not is_young and not folder.shows_key:
        return Refuse(refusals.key_too_old(key, known.way_out))
    if known.unaffordable is not None:
        return Refuse(known.unaffordable, forget=known.fresh)
    if known.fresh and folder.server_sent_at is None and known.server_now is not None:
        return WriteDown(replace(folder, server_sent_at=known.server_now))
    # The same bytes again; or corrected ones with the same key: if the first ones bought, the service refuses these.
    if never_sent:
        return Post(corrected)
    return Post(corrected, folder.first_sent_at if is_young else known.looked_at)


def _is_young(known: Known, folder: OrderRecord) -> bool:
    """Whether the service surely still knows the key.

    Also when this run began: a clock set back and then a long sleep look young.
    """
    return folder.is_young(known.began) and folder.is_young(known.now, known.server_now)


def _may_have_bought(known: Known) -> ShownJob | None:
    """A job that the key may have bought, on a service that keeps no metadata and has forgotten the key."""
    old = [job for job in known.alike if not is_young(job, known.now)]
    return old[0] if old and not known.keeps_metadata else None


def _after_a_failure(known: Known, failure: FirstHandError) -> Command:
    folder, key = known.folder, known.folder.idempotency_key if known.folder is not None else None
    if known.sent and not known.looked and key is not None and _is_an_answer(failure):
        # Whatever it says, the job may exist: a purchase itself may have spent the balance.
        return _search(known, key)
    used = known.sent and known.derived and _may_be_used(failure)
    if used and isinstance(folder, OrderRecord) and key is not None:
        # Its sender and its time are unknown: the service may forget it at any time, so it is never sent again.
        if folder.first_sent_at:
            return WriteDown(replace(folder, first_sent_at=0.0))
        return Refuse(refusals.key_in_use(failure, key, known.way_out))
    if known.sent and isinstance(failure, InvalidRequestError) and isinstance(folder, OrderRecord):
        request = folder.request or {}
        if request != known.request and not differing(request, known.request):
            # Sent as it was written down, and refused: the caller may have corrected what is no difference elsewhere,
            # such as a deadline that has passed.
            return WriteDown(_corrected(folder, known.request))
    return Refuse(failure, forget=known.fresh and (not known.sent or _others_keep(known, failure)))


def _corrected(folder: OrderRecord, request: dict[str, Any]) -> OrderRecord:
    return replace(folder, request=request, request_hash=hash_to_send(request))


def _is_an_answer(failure: FirstHandError) -> bool:
    return (
        isinstance(failure, FirstHandApiError | UnexpectedResponseError) and failure.request_sent is not False
    )


def _may_be_used(error: FirstHandError) -> bool:
    """Whether the service may have refused a key because another request was sent with it."""
    return isinstance(error, FirstHandApiError) and error.status in (409, 422)


def _others_keep(known: Known, failure: FirstHandError) -> bool:
    """Whether a refused key need not be written down: the next call derives the same one."""
    return known.derived and is_clear_refusal(failure)


def is_clear_refusal(error: FirstHandError) -> bool:
    """Whether the service refused a request, as far as it says: what was refused costs a budget nothing.

    A refusal in another form than the service's may come from a gateway that has let the request through. A 409 says
    that the service may have seen the key.
    """
    return (
        isinstance(error, FirstHandApiError)
        and error.type != "unknown"
        and 400 <= error.status < 500
        and error.status != 409
        and not error.retryable
        and error.attempts == 1
    )


# ── From an answer to the facts ────────────────────────────────────────────────────────────────────────


def learn(known: Known, command: Question | WriteDown, answer: Shown | FirstHandError) -> Known:
    """The facts after `command`: with the service's response, or the failure."""
    if isinstance(command, Read) and isinstance(answer, NotFoundError):
        answer = Shown()
    if isinstance(command, Post):
        # A search before this POST does not count.
        known = replace(known, sent=True, looked=False)
        key = command.order.idempotency_key
        if isinstance(answer, Shown) and (
            not _can_be_of(answer.jobs[0], command.order) or job_id_of(answer.jobs[0]) in known.taken
        ):
            answer = refusals.of_another(answer.jobs[0], key)
    if isinstance(command, LookFor) and command.cursor is None:
        known = replace(known, looked_at=known.now, searches=known.searches + 1)
    if isinstance(command, LookFor | Read):
        known = replace(known, looked=True, may_read=True, unread=None)
    if (served_at := _served_at(answer)) is not None:
        known = replace(known, server_now=served_at)
    if isinstance(answer, FirstHandError):
        # A second search may fail as well; the response to the POST counts.
        return known if known.failure is not None else replace(known, failure=answer)
    match command:
        case WriteDown(job_file, create):
            is_corrected = isinstance(known.folder, OrderRecord) and job_file.request != known.folder.request
            failure = None if is_corrected else known.failure
            return replace(known, folder=job_file, fresh=known.fresh or create, gone=None, failure=failure)
        case TryReading():
            return replace(known, may_read=True)
        case Post(order, _):
            return replace(known, bought=order.with_job(answer.jobs[0]))
        case LookFor() | Read():  # pragma: no branch # there is no other command
            found = known.found + answer.jobs
            has_it = found and answer.unread is None
            return replace(
                known,
                found=found,
                unread=answer.unread,
                failure=None if has_it else known.failure,
                alike=known.alike + tuple(job for job in answer.unmarked if _is_alike(known, job)),
                keeps_metadata=known.keeps_metadata or answer.keeps_metadata,
            )


def _is_alike(known: Known, job: ShownJob) -> bool:
    """Whether `job` is what this call asks for, or what an earlier one has sent with the key of the folder."""
    recorded = known.folder.request if isinstance(known.folder, OrderRecord) else None
    return fits(job, known.request) or (recorded is not None and fits(job, recorded))


def _served_at(answer: Shown | FirstHandError) -> float | None:
    if isinstance(answer, Shown):
        return answer.served_at
    response = answer.response if isinstance(answer, FirstHandApiError) else None
    return None if response is None else served_at(response.headers)


def is_wanted(command: LookFor, job: Mapping[str, Any]) -> bool:
    """Whether `job` is one that the search is for."""
    key = key_of(job)
    return key is not None and command.key in (None, key)


def _can_be_of(job: ShownJob, order: OrderRecord) -> bool:
    """Whether `order` may have bought `job`: the service need not show the key or a hash, but it shows no other."""
    is_its_key = key_of(job) in (None, order.idempotency_key)
    return job_id_of(job) is not None and is_its_key and fits(job, order.request or {})


def _is_this_order(known: Known, job: ShownJob) -> bool:
    """Whether this call bought `job` in an earlier run."""
    key = key_of(job)
    return key is not None and known.key in (None, key) and fits(job, known.request)


def _restored(known: Known, job: ShownJob) -> OrderRecord:
    return OrderRecord(known.request, key_of(job), known.now, job)


# ── download_all ───────────────────────────────────────────────────────────────────────────────────────


def check_download_into(
    path: object, found: OrderRecord | UnreadableRecord | None, rows_of: tuple[str, ...], job_id: str
) -> None:
    """Refuse to download the files of a job into the folder of another.
    Raises InvalidArgumentError: it is another's.
    Raises ConfigurationError: a later version of this package has written its `job.json`.
    """
    if isinstance(found, UnreadableRecord) and found.newer:
        raise unreadable(found)
    if isinstance(found, OrderRecord):
        if found.job is None:
            raise InvalidArgumentError(
                f"dest belongs to another request: {path} was started by collect, and the response to its POST was lost"
                f"; run that collect call again to continue its job there, or use a different folder for {job_id}",
                field="dest",
            )
        rows_of = (found.job["id"],)
    others = [other for other in rows_of if other != job_id]
    if others:
        raise InvalidArgumentError(
            f"dest belongs to another job: {path} is the folder of {', '.join(others[:3])}; choose a folder of its own "
            f"for {job_id}",
            field="dest",
        )
