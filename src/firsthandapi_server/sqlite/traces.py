"""Where a person's files have left traces in the database, and how the last of them goes.

`Query` is `KeptState.query`, in an act, or `KeptState.read`, beside the acts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import Account, Event, File, Submission

from .opening import write_journal
from .tables import TABLES

if TYPE_CHECKING:
    from .kept import KeptState

# Rows of the database.
Query = Callable[..., list[Any]]

# From the index `unapproved`, which has few: of what is erased, nothing is left in it.
_REJECTED = """
SELECT files.position, files.id FROM files JOIN submissions ON submissions.id = files.submission
WHERE NOT files.approved AND json_extract(files.source, '$.sha256') <> '' AND files.position > ?
    AND submissions.status IN ('rejected', 'approved')
    AND coalesce(submissions.scored_at, submissions.submitted_at) <= ?
    AND NOT EXISTS (SELECT 1 FROM appeals WHERE appeals.submission = submissions.id AND answered_at IS NULL)
ORDER BY files.position LIMIT ?
"""
_IDS = re.compile(rb"(?:wkr|file)_\w+")
_BODIES = 100  # replies that are read at a time: each may have a megabyte

# By job first, so that the terms of a job are read once.
_EARNED = """
SELECT worker, sum(paid), sum(paid * json_extract(jobs.fields, '$.price_per_file_cents')) FROM (
    SELECT worker_id AS worker, submissions.job AS of_job, count(*) AS paid, min(submissions.position) AS first
    FROM files JOIN submissions ON submissions.id = files.submission
    WHERE files.approved AND scored_at >= ? AND scored_at < ?{} GROUP BY 1, 2
) JOIN jobs ON jobs.id = of_job JOIN accounts ON accounts.id = jobs.account
WHERE accounts.environment = 'live' AND json_extract(jobs.fields, '$.pay') IS NOT 'none'
GROUP BY worker ORDER BY min(first)
"""


def earned(
    query: Query, since: float = 0.0, until: float = math.inf, *, worker: str | None = None
) -> list[tuple[str, int, int]]:
    """Each worker who was approved in a time, or one of them, with how many files, and the cents for them.

    What was withdrawn, excluded, or erased after it was approved stays paid. Jobs of volunteers pay nothing.
    """
    if worker is None:
        return query(_EARNED.format(""), since, until)
    return query(_EARNED.format(" AND worker_id = ?"), since, until, worker)


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
    actors = {actor for (actor,) in state.query(sql, submission.job.id, submission.id)}
    rated = people("SELECT reviewer FROM ratings WHERE submission = ? AND undone_at IS NULL", submission.id)
    return actors.union(reviewer for (reviewer,) in rated)


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
    file: File | None = state.load_or_none(TABLES["files"], file_id)
    return file


def sent_by(query: Query, worker: str) -> list[str]:
    """The ids of all that a worker has sent."""
    return [id for (id,) in query("SELECT id FROM submissions WHERE worker_id = ? ORDER BY position", worker)]


def has_standing(query: Query, worker: str) -> bool:
    """Whether something of a worker waits, or is approved and not withdrawn."""
    sql = (
        "SELECT 1 FROM submissions WHERE worker_id = ? AND (status IN ('pending_score', 'retry_pending') OR EXISTS "
        "(SELECT 1 FROM files WHERE files.submission = submissions.id AND approved AND NOT withdrawn)) LIMIT 1"
    )
    return bool(query(sql, worker))


def latest_of(
    state: KeptState, worker: str, last_id: str | None, most: int
) -> tuple[list[Submission], str | None]:
    """The latest that a worker has sent, the latest first; with `last_id`, before the one with this id. If there are
    more, the id of the last one, before which they are."""
    sql = (
        "SELECT id FROM submissions WHERE worker_id = ? AND position < "
        "ifnull((SELECT position FROM submissions WHERE id = ?), 1 << 62) ORDER BY position DESC LIMIT ?"
    )
    ids = [id for (id,) in state.query(sql, worker, last_id, most + 1)]
    older = ids[most - 1] if len(ids) > most else None
    return [state.load(TABLES["submissions"], id) for id in ids[:most]], older


def events_about(state: KeptState, submissions: Iterable[str]) -> list[Event]:
    """The events whose payload names a submission, of so many, by their ids."""
    sql = (
        "SELECT id FROM events WHERE json_extract(CAST(body AS TEXT), '$.data.submission_id') IN "
        "(SELECT value FROM json_each(?))"
    )
    return [state.load(TABLES["events"], id) for (id,) in state.query(sql, json.dumps([*submissions]))]


def rejected_by(query: Query, at: float, after: int, most: int) -> list[tuple[int, str]]:
    """The positions and ids of the next files, after a position, that were rejected at a time or before, and are not
    erased."""
    return query(_REJECTED, after, at, most)


def forget_replies(state: KeptState, ids: Collection[str]) -> None:
    """Forget the responses that were kept for idempotency keys and name one of these ids; only that takes the lock."""
    names, position = {id.encode() for id in ids}, 0
    sql = "SELECT position, body FROM replies WHERE position > ? ORDER BY position LIMIT ?"
    while rows := state.read(sql, position, _BODIES):
        position = rows[-1][0]
        named = [at for at, body in rows if not names.isdisjoint(_IDS.findall(body))]
        if named:
            with state.lock:
                state.query(
                    "DELETE FROM replies WHERE position IN (SELECT value FROM json_each(?))",
                    json.dumps(named),
                )


def compact(path: Path) -> None:
    """Leave nothing of what was deleted or replaced in the journal of a database.
    Raises NotKeptError: another program reads the database for too long.
    """
    if not write_journal(path):
        raise NotKeptError("another program reads the database")
