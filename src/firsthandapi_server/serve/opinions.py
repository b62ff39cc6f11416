"""What programs have said of files: kept over restarts, within the budget of a day, and forgotten with a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from firsthandapi.ai import Opinion
from firsthandapi_server.contract.answers import Annotations
from firsthandapi_server.state.state import DAY

from .access import Access

MAX_REASON = 1000
MAX_ANNOTATIONS = 256 << 10
_ANNOTATIONS = TypeAdapter[object](Annotations)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a program was asked, and what of it cost how much; what is under way is counted at its most."""

    rater: str
    asked: int
    answered: int
    failed: int
    cents: float


class Opinions:
    """The opinions that one server keeps, in the database of people."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def known(self, sha256: str, question: str) -> tuple[Opinion | None] | None:
        """What was said of these bytes to this question, or that it was paid and is no opinion; None if nothing was."""
        sql = (
            "SELECT opinion FROM opinions WHERE sha256 = ? AND question = ? "
            "AND (outcome = 'answered' AND opinion IS NOT NULL OR outcome = 'failed' AND coalesce(cents, 1) > 0) "
            "ORDER BY outcome, id DESC"
        )
        rows = self._access.look(sql, sha256, question)
        return (None if rows[0][0] is None else Opinion(**json.loads(rows[0][0])),) if rows else None

    def begin(
        self,
        rater: str,
        sha256: str,
        question: str,
        file: str,
        at: float,
        most: float | None,
        a_day: float | None,
    ) -> int | None:
        """Write down that a program is asked, which may cost `most`; None if that is more than the day has left."""
        with self._access.transaction() as rows:
            if a_day is not None:
                sql = "SELECT coalesce(sum(cents), 0) FROM opinions WHERE asked_at >= ?"
                (spent,) = rows.execute(sql, (at - at % DAY,)).fetchone()
                if spent + (most or 0.0) > a_day:
                    return None
            rows.execute("INSERT OR IGNORE INTO figures (rater) VALUES (?)", (rater,))
            sql = "UPDATE figures SET asked = asked + 1, cents = cents + coalesce(?, 0) WHERE rater = ?"
            rows.execute(sql, (most, rater))
            sql = "INSERT INTO opinions (rater, sha256, question, file, asked_at, cents) VALUES (?, ?, ?, ?, ?, ?)"
            return rows.execute(sql, (rater, sha256, question, file, at, most)).lastrowid

    def end(
        self,
        row: int,
        opinion: Opinion | None,
        cents: float | None,
        *,
        is_kept: bool = True,
        is_temporary: bool = False,
    ) -> None:
        """Write down what came of it: None if no opinion did, `is_temporary` if one may come later. Unknown cents stay
        the most that they may be."""
        column = "failed" if opinion is None else "answered"
        outcome = "lost" if is_temporary else column
        text = json.dumps(asdict(opinion)) if opinion is not None and is_kept else None
        with self._access.transaction() as rows:
            sql = "SELECT rater, cents FROM opinions WHERE id = ?"
            rater, reserve = rows.execute(sql, (row,)).fetchone()
            sql = f"UPDATE figures SET {column} = {column} + 1, cents = cents + ? WHERE rater = ?"  # noqa: S608 - no input
            rows.execute(sql, (0.0 if cents is None else cents - (reserve or 0.0), rater))
            sql = "UPDATE opinions SET outcome = ?, opinion = ?, cents = coalesce(?, cents) WHERE id = ?"
            rows.execute(sql, (outcome, text, cents, row))

    def lost(self, files: Iterable[str]) -> int:
        """How often at most a question about one of these files may have been paid for in vain."""
        sql = (
            "SELECT count(*) FROM opinions WHERE file IN (SELECT value FROM json_each(?)) AND outcome = 'lost' "
            "AND coalesce(cents, 1) > 0 GROUP BY file ORDER BY 1 DESC LIMIT 1"
        )
        rows = self._access.look(sql, json.dumps([*files]))
        return int(rows[0][0]) if rows else 0

    def figures(self) -> list[Figures]:
        """The figures of each program."""
        sql = "SELECT rater, asked, answered, failed, round(cents, 4) FROM figures ORDER BY rater"
        return [Figures(*row) for row in self._access.look(sql)]

    # --- what is still to be asked ----------------------------------------------------------------------

    def plan(self, rater: str, attempts: Iterable[tuple[str, int]]) -> None:
        """Write down that a program is to look at attempts, by their submissions' ids."""
        values = ((rater, submission, attempt) for submission, attempt in attempts)
        with self._access.transaction() as rows:
            rows.executemany("INSERT OR IGNORE INTO to_ask VALUES (?, ?, ?)", values)

    def planned(self, rater: str) -> list[tuple[str, int]]:
        """What it is to look at, the oldest first."""
        sql = "SELECT submission, attempt FROM to_ask WHERE rater = ? ORDER BY rowid"
        return self._access.look(sql, rater)

    def done(self, rater: str, submission: str, attempt: int) -> None:
        """It has looked at it."""
        with self._access.transaction() as rows:
            sql = "DELETE FROM to_ask WHERE rater = ? AND submission = ? AND attempt = ?"
            rows.execute(sql, (rater, submission, attempt))


def forget_opinions(access: Access, files: Iterable[str]) -> None:
    """Forget what was said of files, by their ids. What was paid stays."""
    with access.transaction() as rows:
        sql = "UPDATE opinions SET opinion = NULL, sha256 = '' WHERE file IN (SELECT value FROM json_each(?))"
        rows.execute(sql, (json.dumps([*files]),))


def one_reason(reasons: Iterable[str | None], between: str = " ") -> str | None:
    """Several reasons as one, which has each of them once."""
    return between.join(dict.fromkeys(reason for reason in reasons if reason))[:MAX_REASON] or None


def checked(opinion: Opinion, family: str) -> Opinion:
    """An opinion as it can be kept and shown.
    Raises ValueError: its annotations are none of the contract's, or too large.
    """
    reason = opinion.reason and opinion.reason[:MAX_REASON].encode("utf-8", "replace").decode()
    annotations: dict[str, Any] | None = None
    if opinion.annotations is not None:
        try:
            text = json.dumps({"type": family, **opinion.annotations}, allow_nan=False)
        except (TypeError, RecursionError) as error:
            raise ValueError(f"annotations must be JSON values: {error}") from None
        if len(text) > MAX_ANNOTATIONS:
            raise ValueError(f"annotations are larger than {MAX_ANNOTATIONS >> 10} kB")
        _ANNOTATIONS.validate_json(text, strict=True)
        annotations = json.loads(text)
    dimensions = opinion.dimensions and {**opinion.dimensions}
    return replace(opinion, dimensions=dimensions, reason=reason, annotations=annotations)
