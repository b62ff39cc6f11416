"""Where a person's files have left traces in the database, and how the last of them goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import Account, Event, File, Submission

from .tables import TABLES

if TYPE_CHECKING:
    from .kept import KeptState

# Rows of the database.
Query = Callable[..., list[Any]]

_REJECTED = """
SELECT files.id FROM submissions JOIN files ON files.submission = submissions.id
WHERE (submissions.status = 'rejected' OR submissions.status = 'approved' AND NOT files.approved)
    AND coalesce(submissions.scored_at, submissions.submitted_at) <= ?
    AND json_extract(files.source, '$.sha256') <> ''
    AND NOT EXISTS (SELECT 1 FROM appeals WHERE appeals.submission = submissions.id AND answered_at IS NULL)
"""

_EARNED = """
SELECT submissions.worker_id, count(*), sum(json_extract(jobs.fields, '$.price_per_file_cents'))
FROM submissions JOIN json_each(submissions.files) AS sent JOIN files ON files.id = sent.value
    JOIN jobs ON jobs.id = submissions.job JOIN accounts ON accounts.id = jobs.account
WHERE files.approved AND accounts.environment = 'live' AND json_extract(jobs.fields, '$.pay') IS NOT 'none'
    AND submissions.scored_at >= ? AND submissions.scored_at < ?
"""
_BY_WORKER = "GROUP BY submissions.worker_id ORDER BY min(submissions.position)"


def earned(
    query: Query, since: float = 0.0, until: float = math.inf, *, worker: str | None = None
) -> list[tuple[str, int, int]]:
    """Each worker who was approved in a time, or one of them, with how many files, and the cents for them.

    What was withdrawn, excluded, or erased after it was approved stays paid. Jobs of volunteers pay nothing.
    """
    if worker is None:
        return query(_EARNED + _BY_WORKER, since, until)
    return query(f"{_EARNED} AND submissions.worker_id = ? {_BY_WORKER}", since, until, worker)


def rejecters(state: KeptState, people: Query, submission: Submission) -> set[str]:
    """Who has rated a submission that was rejected.

    Args:
        state: the state.
        people: queries the database of people, which has the ratings of several reviewers.
        submission: the submission.
    """
    sql = (
        "SELECT actor FROM audit WHERE job_id = ? AND event_type = 'submission.rejected' "
        "AND json_extract(data, '$.submission_id') = ?"
    )
    found = {actor for (actor,) in state.query(sql, submission.job.id, submission.id)}
    rated = people("SELECT reviewer FROM ratings WHERE submission = ? AND undone_at IS NULL", submission.id)
    return found.union(reviewer for (reviewer,) in rated)


def is_known(query: Query, subject: str) -> bool:
    """Whether there is a file with this id, or a file of a worker with this id."""
    sql = "SELECT 1 FROM files WHERE id = ? UNION ALL SELECT 1 FROM submissions WHERE worker_id = ? LIMIT 1"
    return bool(query(sql, subject, subject))


def has_worked_for(state: KeptState, worker: str, account: Account) -> bool:
    """Whether a worker has sent something to a job of an account."""
    sql = (
        "SELECT 1 FROM submissions JOIN jobs ON jobs.id = submissions.job "
        "WHERE worker_id = ? AND jobs.account = ? LIMIT 1"
    )
    return bool(state.query(sql, worker, account.id))


def file_of(state: KeptState, file_id: str) -> File | None:
    """The file with this id, whatever its status."""
    found: File | None = state.load_or_none(TABLES["files"], file_id)
    return found


def sent_by(state: KeptState, worker: str) -> list[Submission]:
    """All that a worker has sent."""
    found = state.query("SELECT id FROM submissions WHERE worker_id = ? ORDER BY position", worker)
    return [state.load(TABLES["submissions"], id) for (id,) in found]


def latest_of(state: KeptState, worker: str, before: str | None, most: int) -> list[Submission]:
    """The latest that a worker has sent, the latest first; with `before`, before the one with this id."""
    sql = (
        "SELECT id FROM submissions WHERE worker_id = ? AND position < "
        "ifnull((SELECT position FROM submissions WHERE id = ?), 1 << 62) ORDER BY position DESC LIMIT ?"
    )
    return [state.load(TABLES["submissions"], id) for (id,) in state.query(sql, worker, before, most)]


def events_about(state: KeptState, subject: str) -> Iterable[Event]:
    """The events whose payload names a worker, or a file."""
    found = state.query("SELECT id FROM events WHERE instr(body, ?)", subject.encode())
    return (state.load(TABLES["events"], id) for (id,) in found)


def rejected_by(state: KeptState, at: float) -> list[File]:
    """The files that were rejected at this time or before, and are not erased."""
    return [state.load(TABLES["files"], id) for (id,) in state.query(_REJECTED, at)]


def forget_replies(state: KeptState, ids: Iterable[str]) -> None:
    """Forget the responses that were kept for idempotency keys and name one of these ids."""
    for each in ids:
        state.query("DELETE FROM replies WHERE instr(body, ?)", each.encode())


def compact(query: Query) -> None:
    """Rewrite a database: pages still contain what was deleted or replaced, and so does the journal.
    Raises NotKeptError: there is no room for it, or another program reads the database for too long.
    """
    query("VACUUM")
    ((is_busy, _, _),) = query("PRAGMA wal_checkpoint(TRUNCATE)")
    if is_busy:
        raise NotKeptError("another program reads the database")
