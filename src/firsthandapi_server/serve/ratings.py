"""Every rating that a reviewer gave, for ever: who, when, how many stars, and whether it was undone."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.contract.text import new_id
from firsthandapi_server.rules.calibration import ProgramStars
from firsthandapi_server.sqlite.traces import Query
from firsthandapi_server.state.model import File, Submission

from .access import Access
from .activity import note
from .sheets import read_sheet, whole_in

UNDO_SECONDS = 10.0
FROM_TASKS = "tasks"  # who says what the ratings of a study's tasks are
_AT_ONCE = 1_000
_OPEN = "undone_at IS NULL AND gold IS NULL AND NOT is_settled"
_BY_PEOPLE = "undone_at IS NULL AND gold IS NULL AND id NOT IN (SELECT rating FROM programs)"
_MOST_COMPARED = 10_000  # ratings, for the agreement
_BESIDE = 3  # of one's own, with what programs said


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating of an attempt, with the stars of each file.

    Attributes:
        reviewer: the id of their token, or `reviewer` for the person at the machine.
        gold: the stars that were known; None for a rating that counts.
    """

    id: str
    submission: str
    attempt: int
    files: tuple[str, ...]
    reviewer: str
    stars: tuple[int, ...]
    reason: str | None
    gold: int | None
    given_at: float
    undone_at: float | None = None


@dataclass(frozen=True, slots=True)
class RatingSource:
    """Which program gave a rating.

    Attributes:
        rater: its name, as `model:NAME` or `scorer:NAME`.
        version: its rubric and schema, or its code: another one is another program.
        media: the family of the media: `image`, `audio`, or `video`.
        bar: the stars from which the job's files are approved.
        counts: whether it is one of several reviewers; else it is beside them.
    """

    rater: str
    version: str
    media: str
    bar: int
    counts: bool


@dataclass(frozen=True, slots=True)
class Gold:
    """A file whose rating is known, and who says so, since when."""

    file: str
    submission: str
    stars: int
    marked_by: str
    marked_at: float


_COLUMNS = ", ".join(column.name for column in fields(Rating))


class Ratings:
    """The ratings of one server, in the database of people."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def give(
        self,
        submission: Submission,
        reviewer: str,
        stars: Sequence[int],
        reason: str | None,
        at: float,
        gold: Gold | None = None,
    ) -> Rating:
        """Record a rating."""
        files = [file.id for file in submission.files] if gold is None else [gold.file]
        rating = _rating(submission, files, reviewer, stars, reason, at, None if gold is None else gold.stars)
        with self._access.transaction() as rows:
            _insert(rows, rating)
        return rating

    def give_as(
        self,
        program: RatingSource,
        submission: Submission,
        files: Sequence[File],
        stars: Sequence[int],
        reason: str | None,
        at: float,
    ) -> bool:
        """Record the rating of a program, once. Returns whether it is new."""
        rating = _rating(submission, [file.id for file in files], program.rater, stars, reason, at)
        with self._access.transaction() as rows:
            sql = "SELECT 1 FROM ratings WHERE reviewer = ? AND submission = ? AND undone_at IS NULL AND files = ?"
            if rows.execute(sql, (program.rater, submission.id, json.dumps(rating.files))).fetchone():
                return False
            _insert(rows, rating, is_settled=not program.counts)
            values = (rating.id, program.version, program.media, program.bar)
            rows.execute("INSERT INTO programs VALUES (?, ?, ?, ?)", values)
        return True

    def of_programs(self, most: int = -1) -> list[ProgramStars]:
        """The stars that programs gave to each file, the oldest first; of so many ratings, the latest."""
        rows = self._access.look(
            "SELECT reviewer, version, media, bar, files, stars FROM programs JOIN ratings ON id = rating "
            "WHERE undone_at IS NULL ORDER BY programs.rowid DESC LIMIT ?",
            most,
        )
        return [
            ProgramStars(who, version, media, bar, *pair)
            for who, version, media, bar, files, stars in reversed(rows)
            for pair in zip(json.loads(files), json.loads(stars), strict=True)
        ]

    def of_people(self, most: int = -1) -> dict[str, list[int]]:
        """The stars that people gave to each file that a program rated as well; of so many ratings, the latest."""
        sql = (
            f"SELECT files, stars FROM ratings WHERE {_BY_PEOPLE} AND submission IN (SELECT submission FROM "  # noqa: S608 - no input
            "(SELECT rating FROM programs ORDER BY rowid DESC LIMIT ?) JOIN ratings ON id = rating)"
        )
        by_file: dict[str, list[int]] = defaultdict(list)
        for files, stars in self._access.look(sql, most):
            for file, number in zip(json.loads(files), json.loads(stars), strict=True):
                by_file[file].append(number)
        return by_file

    def of_attempt(self, submission: str, attempt: int) -> list[list[int]]:
        """The stars that each person gave to the files of an attempt."""
        sql = f"SELECT stars FROM ratings WHERE submission = ? AND attempt = ? AND {_BY_PEOPLE}"  # noqa: S608 - no input
        return [json.loads(stars) for (stars,) in self._access.look(sql, submission, attempt)]

    def beside(self, reviewer: str, until: float) -> list[tuple[list[int], str, list[int], str | None]]:
        """What a reviewer's latest ratings that count are, and what programs gave the same files, and why."""
        sql = (
            "SELECT mine.stars, other.reviewer, other.stars, other.reason FROM (SELECT * FROM ratings "
            "WHERE reviewer = ? AND undone_at IS NULL AND gold IS NULL AND given_at <= ? ORDER BY rowid DESC LIMIT ?) "
            "AS mine JOIN ratings AS other ON other.submission = mine.submission AND other.attempt = mine.attempt "
            "JOIN programs ON programs.rating = other.id"
        )
        return [
            (json.loads(stars), who, json.loads(theirs), why)
            for stars, who, theirs, why in self._access.look(sql, reviewer, until, _BESIDE)
        ]

    def find(self, rating: str) -> Rating | None:
        """The rating with this id, or None."""
        return next(iter(self._all("WHERE id = ?", rating)), None)

    def undo(self, rating: Rating, at: float) -> None:
        """Record that a rating was undone."""
        with self._access.transaction() as rows:
            sql = "UPDATE ratings SET undone_at = ? WHERE id = ? AND undone_at IS NULL AND NOT is_settled"
            rows.execute(sql, (at, rating.id))
            note(rows, "review.undone", at, rating.reviewer, rating.submission)

    def open(self, submission: str | None = None) -> list[Rating]:
        """The ratings that wait to count, the oldest first; of one submission, or of all."""
        of_one, values = ("", ()) if submission is None else (" AND submission = ?", (submission,))
        return sorted(self._all(f"WHERE {_OPEN}{of_one}", *values), key=lambda row: (row.given_at, row.id))

    def full(self, overlap: int, reviewer: str) -> list[tuple[str, int]]:
        """The attempts with so many ratings that wait to count, or with one of this reviewer."""
        sql = (
            f"SELECT submission, attempt FROM ratings WHERE {_OPEN} GROUP BY submission, attempt "  # noqa: S608 - no input
            "HAVING count(*) >= ? OR max(reviewer = ?)"
        )
        return self._access.look(sql, overlap, reviewer)

    def mark_decided(self, ratings: Iterable[Rating]) -> None:
        """Record that ratings no longer wait: their submission is decided, or was tried again."""
        ids = [(rating.id,) for rating in ratings]
        if ids:
            with self._access.transaction() as rows:
                rows.executemany("UPDATE ratings SET is_settled = 1 WHERE id = ?", ids)

    def all(self) -> Iterator[Rating]:
        """All ratings, also those undone, the oldest first, some at a time."""
        positions, sql = [0], "SELECT rowid FROM ratings WHERE rowid > ? ORDER BY rowid LIMIT ?"
        while positions := [row for (row,) in self._access.read(sql, positions[-1], _AT_ONCE)]:
            yield from self._all("WHERE rowid BETWEEN ? AND ? ORDER BY rowid", positions[0], positions[-1])

    def counts(self) -> list[tuple[str, int, int]]:
        """The people who review, with how many ratings each gave, and undid."""
        sql = (
            "SELECT reviewer, count(*), count(undone_at) FROM ratings "
            "WHERE instr(reviewer, ':') = 0 GROUP BY reviewer"  # that of a program has one
        )
        return sorted(self._access.look(sql), key=lambda row: (-row[1], row[0]))

    def units(self) -> list[list[int]]:
        """The stars of each file that several people rated, of the latest ratings."""
        sql = f"SELECT submission, attempt, stars FROM ratings WHERE {_BY_PEOPLE} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        attempts: dict[tuple[str, int], list[list[int]]] = defaultdict(list)
        for submission, attempt, stars in self._access.look(sql, _MOST_COMPARED):
            attempts[submission, attempt].append(json.loads(stars))
        return [[*unit] for rows in attempts.values() if len(rows) > 1 for unit in zip(*rows, strict=True)]

    def gold_pairs(self) -> dict[str, list[tuple[int, int]]]:
        """The stars that each reviewer gave to files whose rating is known, and the known ones. Of tasks they are known
        beforehand: their ratings count, and are compared."""
        sql = (
            "SELECT reviewer, json_extract(stars, '$[0]'), gold FROM ratings "
            "WHERE gold IS NOT NULL AND undone_at IS NULL UNION ALL "
            "SELECT reviewer, json_extract(ratings.stars, '$[' || rated.key || ']'), gold.stars FROM gold "
            "JOIN ratings ON ratings.submission = gold.submission JOIN json_each(ratings.files) AS rated "
            "WHERE marked_by = ? AND rated.value = gold.file AND ratings.gold IS NULL AND undone_at IS NULL "
            "AND ratings.id NOT IN (SELECT rating FROM programs)"
        )
        pairs: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for reviewer, stars, gold in self._access.look(sql, FROM_TASKS):
            pairs[reviewer].append((stars, gold))
        return pairs

    def _all(self, condition: str, *values: object) -> list[Rating]:
        rows = self._access.look(f"SELECT {_COLUMNS} FROM ratings {condition}", *values)  # noqa: S608 - no input
        return [
            Rating(id, submission, attempt, tuple(json.loads(files)), who, tuple(json.loads(stars)), *rest)
            for id, submission, attempt, files, who, stars, *rest in rows
        ]

    # --- files whose rating is known --------------------------------------------------------------------

    def mark(self, *golden: Gold) -> None:
        """Record the known ratings of files; a later one replaces another."""
        with self._access.transaction() as rows:
            for gold in golden:
                rows.execute("REPLACE INTO gold VALUES (?, ?, ?, ?, ?)", astuple(gold))
                at, who = gold.marked_at, gold.marked_by
                note(rows, "review.gold_marked", at, who, gold.submission, stars=gold.stars)

    def bring(self, golden: Iterable[Gold], *, is_all: bool = False) -> None:
        """Record the known ratings that a study's tasks say; what people have marked stays. With `is_all`, the tasks
        say no others any more."""
        entries = [*golden]
        if not (entries or is_all):
            return
        with self._access.transaction() as rows:
            if is_all:
                sql = "DELETE FROM gold WHERE marked_by = ? AND file NOT IN (SELECT value FROM json_each(?))"
                rows.execute(sql, (FROM_TASKS, json.dumps([entry.file for entry in entries])))
            sql = (
                "INSERT INTO gold VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (file) DO UPDATE SET stars = excluded.stars WHERE marked_by = excluded.marked_by"
            )
            rows.executemany(sql, [astuple(entry) for entry in entries])

    def unmark(self, file: str, by: str, at: float) -> None:
        """Forget the known rating of a file. What was given meanwhile stays."""
        with self._access.transaction() as rows:
            if rows.execute("DELETE FROM gold WHERE file = ?", (file,)).rowcount:
                note(rows, "review.gold_removed", at, by, file)

    def gold(self) -> list[Gold]:
        """The files whose rating is known, the oldest first."""
        return [Gold(*row) for row in self._access.look("SELECT * FROM gold ORDER BY marked_at, file")]

    def gold_for(self, reviewer: str) -> tuple[int, list[Gold]]:
        """How many ratings a reviewer has given, without those undone; and of these files, what they have not rated,
        neither as such nor before."""
        count = "SELECT count(*) FROM ratings WHERE reviewer = ? AND undone_at IS NULL"
        sql = (
            "SELECT * FROM gold WHERE NOT EXISTS (SELECT 1 FROM ratings WHERE reviewer = ? AND undone_at IS NULL "
            "AND submission = gold.submission) ORDER BY marked_at, file"
        )
        golden = [Gold(*row) for row in self._access.look(sql, reviewer)]
        return int(self._access.look(count, reviewer)[0][0]), golden


def read_gold(path: Path, query: Query, who: str, at: float) -> list[Gold]:
    """The known ratings that a table says of files.

    Raises ConfigurationError: it cannot be read, or a row of it is wrong.
    """
    sql = (
        "SELECT submissions.id FROM files JOIN submissions ON submissions.id = files.submission "
        "JOIN accounts ON accounts.id = submissions.account "
        "WHERE files.id = ? AND environment = 'live' AND json_extract(source, '$.sha256') <> ''"
    )
    golden: list[Gold] = []
    # As a table of tasks calls it, too.
    for where, cells in read_sheet(path, ("file_id", "stars", "gold"), ("file_id",)):
        stars, file = whole_in(where, "stars", cells["stars"] or cells["gold"], 5), cells["file_id"]
        rows = query(sql, file)
        if not rows:
            raise ConfigurationError(
                f"{where}: there is no file {file[:60]!r}, or it was erased; check the id"
            )
        golden.append(Gold(file, rows[0][0], stars, who, at))
    return golden


def _rating(
    submission: Submission,
    files: Iterable[str],
    reviewer: str,
    stars: Iterable[int],
    reason: str | None,
    at: float,
    gold: int | None = None,
) -> Rating:
    attempt = submission.id, submission.attempt
    return Rating(new_id("rtg_", at), *attempt, tuple(files), reviewer, tuple(stars), reason, gold, at)


def _insert(rows: sqlite3.Connection, rating: Rating, *, is_settled: bool = False) -> None:
    files, stars = json.dumps(rating.files), json.dumps(rating.stars)
    row = {**asdict(rating), "files": files, "stars": stars, "is": is_settled}
    sql = f"INSERT INTO ratings ({_COLUMNS}, is_settled) VALUES (:{_COLUMNS.replace(', ', ', :')}, :is)"  # noqa: S608 - no input
    rows.execute(sql, row)
    note(rows, "review.given", rating.given_at, rating.reviewer, rating.submission, stars=rating.stars)
