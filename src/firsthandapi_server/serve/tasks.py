"""Tasks: the rows of a lab's table, of which each person who works on a job is given the next open one.

A row is open while fewer files than it wants wait or are approved, and others do not have it. Whoever is given a row
has it for two hours, and for two more from when something of their file last came. Nobody gets it again who has sent
something for it, or given it back. Jobs of one title share their rows, so that a job that is posted again continues.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.console.face import PageError
from firsthandapi_server.contract.text import said
from firsthandapi_server.rules.world import World
from firsthandapi_server.state.model import Assignment, Job, Submission

from .ratings import FROM_TASKS, Gold, Ratings
from .sheets import read_sheet, whole_in
from .study import UNSHOWN, Study

if TYPE_CHECKING:
    from firsthandapi_server.sqlite.kept import KeptState

ASSIGNED_SECONDS = 7200.0
_RENEWED_SECONDS = 600.0  # how often it begins again, at most: each time is kept on the disk
COLUMNS = ("id", "text", "quota", "gold")
_NEEDED = ("id", "text")
_MOST_ROWS, _MOST_ID, _MOST_TEXT, _MOST_QUOTA = 100_000, 100, 5000, 1_000_000
_NONE_OPEN = said("No task is open for you right now. Check back later.")
_NOT_YOURS = said("This task is not yours, so nothing was submitted. Reload the page.")
_SENT = said("You have already sent something for this task. Reload the page to get the next one.")
_TAKEN = said("Others have done this task in the meantime, so nothing was submitted. Reload the page.")

_DROP = """
UPDATE tasks SET number = NULL
WHERE number IS NOT NULL AND id NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(?))
"""
_KEEP = """
INSERT INTO tasks (id, title, task_id, text, quota, gold, number)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'), json_extract(value, '$[6]')
FROM json_each(?) WHERE TRUE ON CONFLICT (id) DO UPDATE
SET text = excluded.text, quota = excluded.quota, gold = excluded.gold, number = excluded.number
WHERE (text, quota, gold, number) IS NOT (excluded.text, excluded.quota, excluded.gold, excluded.number)
"""
# How many files a row still wants, of a person and at a time: less those that others may send for it now. The `+` keeps
# SQLite from the index of what was never sent.
_ROOM = """
quota - taken - (SELECT coalesce(sum(others.files), 0) FROM assignments AS others WHERE others.task = tasks.id
    AND others.until > ?2 AND +others.submission_id IS NULL AND others.worker_id <> ?1)
"""
_ROOM_OF = f"SELECT {_ROOM} FROM tasks WHERE id = ?3 AND number IS NOT NULL"  # noqa: S608 - no input
_OWN = f"""
SELECT assignments.id FROM assignments JOIN tasks ON tasks.id = assignments.task
WHERE worker_id = ?1 AND until > ?2 AND title = ?3 AND +submission_id IS NULL AND number IS NOT NULL AND {_ROOM} > 0
ORDER BY until DESC LIMIT 1
"""  # noqa: S608 - no input
_NEXT = f"""
SELECT id, text, {_ROOM} FROM tasks
WHERE title = ?3 AND number IS NOT NULL AND taken < quota AND {_ROOM} > 0
    AND NOT EXISTS (SELECT 1 FROM assignments WHERE id = ?1 || ' ' || tasks.id
        AND (submission_id IS NOT NULL OR until = 0))
ORDER BY number LIMIT 1
"""  # noqa: S608 - no input
_HELD = "SELECT id FROM assignments WHERE worker_id = ? AND until > 0 AND +submission_id IS NULL"
_COUNTS = """
SELECT number, task_id, text, quota, gold, taken, (SELECT count(*) FROM assignments
        JOIN submissions ON submissions.id = submission_id JOIN json_each(submissions.files) AS sent
        JOIN files ON files.id = sent.value
    WHERE task = tasks.id AND files.approved AND NOT files.withdrawn) AS approved,
    (SELECT count(*) FROM assignments WHERE task = tasks.id AND until > ? AND +submission_id IS NULL)
FROM tasks WHERE title = ? AND number > ? ORDER BY number LIMIT ?
"""
_SUM = """
SELECT count(*), coalesce(sum(quota), 0), coalesce(sum(min(taken, quota)), 0) FROM tasks
WHERE title = ? AND number IS NOT NULL
"""
_JOB = """
SELECT id FROM jobs WHERE account = ? AND trim(json_extract(fields, '$.title')) = ? ORDER BY position DESC LIMIT 1
"""
_GOLD = """
SELECT files.id, submissions.id, tasks.gold FROM tasks JOIN assignments ON assignments.task = tasks.id
    JOIN submissions ON submissions.id = submission_id JOIN json_each(submissions.files) AS sent
    JOIN files ON files.id = sent.value
WHERE tasks.gold IS NOT NULL AND number IS NOT NULL AND json_extract(files.source, '$.sha256') <> ''
"""


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table.

    Attributes:
        id: names it, in the table and in the dataset.
        text: what it asks for.
        quota: how many files it wants.
        gold: the rating that its files are known to have, 1 to 5; None if it is unknown.
    """

    id: str
    text: str
    quota: int
    gold: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """The status of a row.

    Attributes:
        number: its place in the table, from 1.
        taken: how many files wait or are approved.
        approved: how many of them are approved.
        assigned: how many people have it now.
    """

    number: int
    id: str
    text: str
    quota: int
    gold: int | None
    taken: int
    approved: int
    assigned: int


class Tasks:
    """The tasks of a study; whoever calls a method holds the lock of the world.

    Args:
        world: the rules and the state.
        ratings: the ratings of reviewers, which are compared with what is known.
        tables: the rows by the titles of jobs.
    """

    def __init__(self, world: World, ratings: Ratings, tables: Mapping[str, Sequence[Task]]) -> None:
        self.tables = tables
        self._world = world
        self._state = cast("KeptState", world.state)
        self._ratings = ratings

    def resume(self) -> None:
        """Take over the tables, which may have changed since the last start. What was sent for a row that is gone
        stays."""
        rows = [
            (_key(title, task.id), title, task.id, task.text, task.quota, task.gold, number)
            for title, tasks in self.tables.items()
            for number, task in enumerate(tasks, 1)
        ]
        table = json.dumps(rows)
        # A crash in between is no harm: the next start does both.
        self._state.query(_DROP, table)
        self._state.query(_KEEP, table)
        self._ratings.bring(self._gold(), is_all=True)

    def has(self, job: Job) -> bool:
        """Whether the files of a job are made for rows."""
        return not job.account.is_sandbox and _title(job) in self.tables

    # --- what people are given --------------------------------------------------------------------------

    def assign(self, job: Job, worker: str) -> Assignment | None:
        """The row that somebody has, or else the next open one, which is theirs from now on; None if none is open."""
        now, title = self._world.clock.now(), _title(job)
        if held := self._state.query(_OWN, worker, now, title):
            return self._state.assignments[held[0][0]]
        rows = self._state.query(_NEXT, worker, now, title)
        if not rows:
            return None
        task, text, room = rows[0]
        assignment = self._state.assignments.get(f"{worker} {task}")
        if assignment is None:
            assignment = Assignment(f"{worker} {task}", task, worker, text)
            self._state.assignments[assignment.id] = assignment
        assignment.text, assignment.until = text, now + ASSIGNED_SECONDS
        assignment.files = min(room, job.fields["files_per_submission"])
        return assignment

    def room(self, assignment: Assignment) -> int:
        """How many files somebody may send for a row."""
        rows = self._state.query(_ROOM_OF, assignment.worker_id, self._world.clock.now(), assignment.task)
        return max(0, rows[0][0]) if rows else 0

    def claim(self, job: Job, worker: str, task_id: str | None, count: int) -> Assignment:
        """The row that somebody sends so many files for, which is theirs for another while: by its id, or, without one,
        the row that they have.

        Raises PageError: they may not.
        """
        assignment = self._find(job, worker, task_id) if task_id else self.assign(job, worker)
        if assignment is None:
            raise PageError(409, _NOT_YOURS if task_id else _NONE_OPEN)
        if assignment.submission_id is not None:
            raise PageError(409, _SENT)
        if count > self.room(assignment):
            raise PageError(409, _TAKEN)
        until = self._world.clock.now() + ASSIGNED_SECONDS
        if assignment.files != count or assignment.until < until - _RENEWED_SECONDS:
            assignment.files, assignment.until = count, until
        return assignment

    def fulfill(self, assignment: Assignment, submission: Submission) -> None:
        """Note what was sent for a row, in the same act."""
        assignment.submission_id = submission.id

    def mark(self, submission: Submission) -> None:
        """Compare what reviewers say of a submission with what is known of its row, once it is kept."""
        self._ratings.bring(self._gold("AND submissions.id = ?", submission.id))

    def skip(self, job: Job, worker: str, task_id: str) -> None:
        """Give a row back, for good."""
        assignment = self._find(job, worker, task_id)
        if assignment is not None and assignment.submission_id is None:
            assignment.until = 0.0

    def _find(self, job: Job, worker: str, task_id: str) -> Assignment | None:
        return self._state.assignments.get(f"{worker} {_key(_title(job), task_id)}")

    def _gold(self, more: str = "", *values: object) -> Iterator[Gold]:
        now = self._world.clock.now()
        for file, submission, stars in self._state.query(_GOLD + more, *values):
            yield Gold(file, submission, stars, FROM_TASKS, now)

    # --- what operators see -----------------------------------------------------------------------------

    def counts(self, title: str, after: int, most: int) -> list[Count]:
        """The status of so many rows of a table, after the one with this number."""
        return [
            Count(*row) for row in self._state.query(_COUNTS, self._world.clock.now(), title, after, most)
        ]

    def job_of(self, title: str) -> Job | None:
        """The latest job with a title."""
        rows = self._state.query(_JOB, self._state.own.id, title)
        return self._state.jobs[rows[0][0]] if rows else None

    def sums(self, title: str) -> tuple[int, int, int]:
        """How many rows a table has, how many files they want, and how many of these wait or are approved."""
        rows, places, taken = self._state.query(_SUM, title)[0]
        return int(rows), int(places), int(taken)


def give_back(state: KeptState, worker: str) -> None:
    """Give back every row that somebody has, since they leave; the lock is held."""
    for (id,) in state.query(_HELD, worker):
        state.assignments[id].until = 0.0


def made_for(submission: Submission) -> dict[str, Any]:
    """The columns `task_id` and `task_text` of what was sent for a row; nothing for anything else."""
    more = submission.files[0].source.details().more
    return {name: more[name] for name in ("task_id", "task_text") if name in more}


def columns_of(assignment: Assignment) -> dict[str, str]:
    """The same, of what somebody was given."""
    return {"task_id": assignment.task.rpartition("\n")[2], "task_text": assignment.text}


def _title(job: Job) -> str:
    return (job.fields.get("title") or "").strip()


def _key(title: str, task_id: str) -> str:
    return f"{title}\n{task_id}"


# --- the tables -------------------------------------------------------------------------------------------


def read_tasks(study: Study) -> dict[str, list[Task]]:
    """The tasks of a study, by the titles of jobs.

    Raises ConfigurationError: a table cannot be read, or a row of it is wrong.
    """
    return {title: _read(Path(path)) for title, path in study.tasks.items()}


def _read(path: Path) -> list[Task]:
    tasks = [_task(where, cells) for where, cells in read_sheet(path, COLUMNS, _NEEDED)]
    if not 1 <= len(tasks) <= _MOST_ROWS:
        raise ConfigurationError(f"{path} has {len(tasks):,} rows; write 1 to {_MOST_ROWS:,}")
    return tasks


def _task(where: str, cells: Mapping[str, str]) -> Task:
    id, text = cells["id"], cells["text"]
    for name, value, most in (("id", id, _MOST_ID), ("text", text, _MOST_TEXT)):
        if len(value) > most:
            raise ConfigurationError(f"{where}: the {name} has more than {most:,} characters; shorten it")
    unshown = UNSHOWN.search(text)
    if not id.isprintable() or unshown:
        raise ConfigurationError(f"{where} has {(unshown[0] if unshown else id)!a}, which no page can show")
    quota = whole_in(where, "quota", cells["quota"] or "1", _MOST_QUOTA)
    gold = whole_in(where, "gold", cells["gold"], 5) if cells["gold"] else None
    return Task(id, text, quota, gold)
