"""Paid once: what to do next until a folder has its job. Decisions only: the caller acts.

What is known goes into `next_command`, the next command comes out, and `learn` adds its answer to what is known:

    while not isinstance(command := next_command(known), Continue | Refuse):
        known = learn(known, command, …)

Three rules hold it together. Nothing is posted before the folder has written down its key, and the API key has shown
that it may read jobs. A key that may have arrived is looked for in the metadata of the jobs before it is sent
again, and it alone is sent: one key buys one job. And a key is forgotten only if it was never sent, or if the
service itself refused it clearly at its first and only attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from firsthandapi.errors import (
    ConfigurationError,
    ConflictError,
    FirstHandApiError,
    FirstHandError,
    InvalidArgumentError,
    UnexpectedResponseError,
)

from .counts import count_of
from .job_file import JOB_FILE, JobFile, UnreadableJobFile, differing, fits, job_id_of, key_of, unreadable

# A job as the service shows it.
JobRow = dict[str, Any]


@dataclass(frozen=True)
class Known:
    """What is known of a folder and its job.

    Attributes:
        request: what this call asks for: the body of the POST, without the key.
        key: the caller's idempotency key, or None.
        spare_key: a fresh one, for a folder that has none.
        now: Unix seconds.
        folder: `job.json`; None if there is none.
        rows_of: the jobs that the rows of the folder name, if `job.json` does not name one.
        fresh: whether this call created `job.json`, with a key of which the folder knew nothing before.
        may_read: whether the API key has shown that it may read jobs.
        looked: whether the jobs were searched for what this folder may have bought.
        found: what that search brought.
        sent: whether this call has sent the POST.
        bought: the folder's `job.json` with the job that the POST brought.
        failure: how the last command failed.
    """

    request: dict[str, Any]
    key: str | None
    spare_key: str
    now: float
    folder: JobFile | UnreadableJobFile | None = None
    rows_of: tuple[str, ...] = ()
    fresh: bool = False
    may_read: bool = False
    looked: bool = False
    found: tuple[JobRow, ...] = ()
    sent: bool = False
    bought: JobFile | None = None
    failure: FirstHandError | None = None


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class WriteDown:
    """Write `job.json`; `create`: it must not exist yet."""

    job_file: JobFile
    create: bool = False


@dataclass(frozen=True)
class TryReading:
    """Read something of the jobs: a key that may not must not buy."""


@dataclass(frozen=True)
class LookFor:
    """Search all jobs for the one that was bought with `key`; without a key, for all that `collect` has bought."""

    key: str | None


@dataclass(frozen=True)
class Read:
    """Read one job."""

    job_id: str


@dataclass(frozen=True)
class Post:
    """Post the job."""

    request: dict[str, Any]
    key: str


@dataclass(frozen=True)
class Continue:
    """The folder has its job."""

    job_file: JobFile


@dataclass(frozen=True)
class Refuse:
    """Raise `error`; if `forget`, remove `job.json` first: its key has bought nothing."""

    error: FirstHandError
    forget: bool = False


Command = WriteDown | TryReading | LookFor | Read | Post | Continue | Refuse


# ── From what is known to a command ──────────────────────────────────────────────────────────────────────


def next_command(known: Known) -> Command:
    """What to do next."""
    folder = known.folder
    if known.failure is not None:
        return _after_a_failure(known, known.failure)
    if known.bought is not None and folder != known.bought:
        return WriteDown(known.bought)
    if isinstance(folder, UnreadableJobFile) and folder.newer:
        return Refuse(unreadable(folder))
    if isinstance(folder, JobFile) and folder.job is not None:
        return _with_a_job(known, folder, folder.job)
    if known.rows_of:
        return _of_the_rows(known, known.rows_of[0])
    if isinstance(folder, UnreadableJobFile):
        return _without_a_record(known, folder)
    if folder is None:
        order = JobFile(known.request, known.key or known.spare_key, known.now, None)
        return WriteDown(order, create=True)
    return _with_a_key(known, folder, folder.request or {}, folder.idempotency_key or "")


def _with_a_job(known: Known, folder: JobFile, job: JobRow) -> Command:
    """The folder has a job: this call's, or another."""
    if folder.request is None:
        if _is_this_order(known, job):
            return WriteDown(_restored(known, job))
        return Refuse(_fetched_by_download_all(job))
    if names := differing(folder.request, known.request):
        return Refuse(_other_request(job, names))
    if known.key not in (None, folder.idempotency_key):
        return Refuse(_other_key(job, folder.idempotency_key))
    return Continue(folder)


def _of_the_rows(known: Known, job_id: str) -> Command:
    """`job.json` is lost or damaged, but there are files: their job is this call's, or the folder is another's."""
    if len(known.rows_of) > 1:
        return Refuse(_rows_of_several(known.rows_of))
    if not known.looked:
        return Read(job_id)
    if not known.found:
        return Refuse(_rows_of_a_stranger(job_id))
    job = known.found[0]
    if _is_this_order(known, job):
        return WriteDown(_restored(known, job), create=known.folder is None)
    return Refuse(_rows_of_another(job))


def _without_a_record(known: Known, folder: UnreadableJobFile) -> Command:
    """`job.json` is damaged and there are no files: what was bought has a key in its metadata, if anything was."""
    if not known.looked:
        return LookFor(folder.idempotency_key or known.key)
    key = folder.idempotency_key or known.key
    if known.found and key is not None:
        job = known.found[0]
        if _is_this_order(known, job):
            return WriteDown(_restored(known, job))
        return Refuse(_rows_of_another(job))
    if known.key is None or known.key != key:
        return Refuse(_damaged(folder.idempotency_key, known.found, known.request))
    # The caller's own key has bought nothing that shows, and will buy one job at most.
    return WriteDown(JobFile(known.request, known.key, known.now, None))


def _with_a_key(known: Known, folder: JobFile, request: JobRow, key: str) -> Command:
    """The folder has a key, and no job so far."""
    if known.fresh and known.key is None and not known.may_read:
        return TryReading()
    if not (known.fresh and known.key is None) and not known.looked:
        return LookFor(key)
    same = not differing(request, known.request)
    if known.found:
        job = known.found[0]
        if known.fresh and known.key is not None and not fits(job, known.request):
            return Refuse(_key_of_another(job, key), forget=True)
        if not same and fits(job, known.request):
            # The request was corrected, and it was the corrected one that bought.
            folder = replace(folder, request=known.request)
        return WriteDown(folder.with_job(job))
    if known.key not in (
        None,
        key,
    ):
        return Refuse(_other_key(None, key))
    if not known.fresh and not folder.is_young(known.now):
        return Refuse(_key_too_old(key))
    # The same bytes again; or corrected ones with the same key: if the first ones bought, the service refuses these.
    return Post(request if same else known.request, key)


def _after_a_failure(known: Known, failure: FirstHandError) -> Command:
    key = known.folder.idempotency_key if known.folder is not None else None
    may_be_there = isinstance(failure, ConflictError | UnexpectedResponseError)
    if known.sent and may_be_there and not known.looked and key is not None:
        # This key was sent before, or the response says nothing: the job may exist by now.
        return LookFor(key)
    never_bought = not known.sent or _is_clear_refusal(failure)
    return Refuse(failure, forget=known.fresh and never_bought)


def _is_clear_refusal(error: FirstHandError) -> bool:
    """Whether the service refused a key that it cannot have seen before. A 409 says that it may have.

    A refusal in another form than the service's may come from a gateway that has let the request through.
    """
    return (
        isinstance(error, FirstHandApiError)
        and error.type != "unknown"
        and 400 <= error.status < 500
        and error.status != 409
        and not error.retryable
        and error.attempts == 1
    )


# ── From an answer to what is known ──────────────────────────────────────────────────────────────────────


def learn(
    known: Known, command: Command, answer: JobRow | tuple[JobRow, ...] | FirstHandError | None
) -> Known:
    """What is known once `command` was done.

    Args:
        known: what was known before.
        command: what was done.
        answer: for `Post` the job; for `Read` it, or None if there is none; for `LookFor` those found; else None.
            Or how it failed.
    """
    if isinstance(command, Post):
        # Whatever was looked for, was so before this.
        known = replace(known, sent=True, looked=False)
        if isinstance(answer, dict) and not _can_be_of(answer, command.key):
            answer = _of_another(answer, command.key)
    if isinstance(command, LookFor | Read):
        known = replace(known, looked=True, may_read=True)
    if isinstance(answer, FirstHandError):
        # A second search may fail as well; what the POST said counts.
        return known if known.failure is not None else replace(known, failure=answer)
    match command:
        case WriteDown(job_file, create):
            return replace(known, folder=job_file, fresh=known.fresh or create)
        case TryReading():
            return replace(known, may_read=True)
        case LookFor() | Read():
            found = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
            return replace(known, found=found, failure=None if found else known.failure)
        case Post(request) if isinstance(answer, dict) and isinstance(known.folder, JobFile):
            return replace(known, bought=replace(known.folder, request=request, job=answer))
        case _:
            return known


def is_wanted(command: LookFor, job: Mapping[str, Any]) -> bool:
    """Whether `job` is one that the search is for."""
    key = key_of(job)
    return key is not None and command.key in (None, key)


def _can_be_of(job: JobRow, key: str) -> bool:
    """Whether `job` can be what `key` has bought: the service may not show the key, but it shows no other."""
    return job_id_of(job) is not None and key_of(job) in (None, key)


def _is_this_order(known: Known, job: JobRow) -> bool:
    """Whether `job` is what this call bought at an earlier time."""
    key = key_of(job)
    return key is not None and known.key in (None, key) and fits(job, known.request)


def _restored(known: Known, job: JobRow) -> JobFile:
    return JobFile(known.request, key_of(job), known.now, job)


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────


def described(job: Mapping[str, Any]) -> str:
    """A job for a message: `job_… (open, 1 of 3 files approved)`."""
    approved, needed = job.get("files_approved"), job.get("files_needed")
    count = "" if approved is None or needed is None else f", {approved} of {count_of(needed)} approved"
    return f"{job['id']} ({job.get('status')}{count})"


def _way_to(job_id: str) -> str:
    return f"files.download_all({job_id!r}, …) downloads its files"


def _other_request(job: JobRow, names: list[str]) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"dest is the folder of {described(job)}, and belongs to another request: {', '.join(names)} "
        f"{'differs' if len(names) == 1 else 'differ'} from its {JOB_FILE}. To continue that job, pass its arguments; "
        f"{_way_to(job['id'])}. For a further job, use a different folder",
        field="dest",
    )


def _other_key(job: JobRow | None, key: str | None) -> InvalidArgumentError:
    of = "a request whose response was lost" if job is None else described(job)
    return InvalidArgumentError(
        f"dest is the folder of {of}, sent with another idempotency_key ({key}); leave idempotency_key out to continue",
        field="idempotency_key",
    )


def _of_another(job: JobRow, key: str) -> UnexpectedResponseError:
    shown = job_id_of(job) or "a job without a usable id"
    return UnexpectedResponseError(
        f"the service answered the order with {shown}, which is not the job of idempotency key {key}; run the same "
        "call again: it looks for that job, and cannot post a second one"
    )


def _key_of_another(job: JobRow, key: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"idempotency_key {key} has already bought {described(job)}, with other arguments. To continue that job, pass "
        f"its arguments; {_way_to(job['id'])}. For a further job, use a different idempotency_key",
        field="idempotency_key",
    )


def _fetched_by_download_all(job: JobRow) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"dest contains files of {described(job)}, downloaded by download_all, and the arguments describe another job; "
        "to download the rest, run download_all again. For a further job, use a different folder",
        field="dest",
    )


def _rows_of_several(job_ids: tuple[str, ...]) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no {JOB_FILE}, and its rows name several jobs: {', '.join(job_ids[:3])}; "
        "files.download_all(job_id, …) downloads the files of each into a folder of its own"
    )


def _rows_of_a_stranger(job_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no {JOB_FILE} that can be read, and its rows name {job_id}, which this API key cannot see; "
        "use the API key and base_url that the folder was started with"
    )


def _rows_of_another(job: JobRow) -> ConfigurationError:
    return ConfigurationError(
        f"dest has no {JOB_FILE} that can be read, and it is the folder of {described(job)}, which was posted with "
        f"other arguments. To continue that job, pass its arguments; {_way_to(job['id'])} here. For a further job, "
        "use a different folder"
    )


def _damaged(key: str | None, found: tuple[JobRow, ...], request: JobRow) -> ConfigurationError:
    alike = [job for job in found if fits(job, request)]
    shown = "; ".join(
        f"{described(job)} with idempotency_key={key_of(job)!r}" for job in (alike or found)[:3]
    )
    if alike:
        return ConfigurationError(
            f"{JOB_FILE} of dest is empty or damaged, and these jobs were posted with the same arguments: {shown}. "
            f"To continue one of them here, pass its idempotency_key; {_way_to(alike[0]['id'])}"
        )
    with_what = "with these arguments" if key is None else f"with its idempotency key {key}"
    others = f" The latest jobs that collect has posted are: {shown}." if shown else ""
    return ConfigurationError(
        f"{JOB_FILE} of dest is empty or damaged, and no job {with_what} is in your account so far.{others} If none is "
        "this folder's, wait a minute, so that a job that was just posted can show; then pass "
        f"idempotency_key={key or 'a name for this purchase'!r}, which buys one job at most"
    )


def _key_too_old(key: str) -> ConfigurationError:
    return ConfigurationError(
        f"the job of this folder was sent with idempotency key {key} more than 23 hours ago, or the clock was set "
        "back since, and no job in your account has that key in its metadata. To send it again could buy a second job: "
        f"if there is no such job, remove {JOB_FILE} and try again"
    )


# ── download_all ─────────────────────────────────────────────────────────────────────────────────────────


def check_download_into(
    path: object, found: JobFile | UnreadableJobFile | None, rows_of: tuple[str, ...], job_id: str
) -> None:
    """Refuse to download the files of a job into the folder of another.

    Raises:
        InvalidArgumentError: it is another's.
        ConfigurationError: a later version of this package has written its `job.json`.
    """
    if isinstance(found, UnreadableJobFile) and found.newer:
        raise unreadable(found)
    if isinstance(found, JobFile):
        rows_of = (found.job["id"],) if found.job is not None else ("a request whose response was lost",)
    others = [other for other in rows_of if other != job_id]
    if others:
        raise InvalidArgumentError(
            f"dest belongs to another job: {path} is the folder of {', '.join(others[:3])}; choose a folder of its own "
            f"for {job_id}",
            field="dest",
        )
