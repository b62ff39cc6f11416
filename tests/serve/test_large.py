"""A large study: whatever people or programs ask for, the databases read a part of an index, never a whole table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.reader import Reader

from .conftest import Team

# Tables with rows for each file. Those with a row for each person, job, or key are small.
_LARGE = (
    "submissions",
    "files",
    "events",
    "audit",
    "deliveries",
    "transactions",
    "ratings",
    "activity",
    "replies",
)
_SCAN = re.compile(
    rf"SCAN (?:{'|'.join(_LARGE)})\b(?! USING (?:COVERING )?INDEX (?:waiting|retrying|open_ratings))"
)


class Watched:
    """What the databases of a server are asked."""

    def __init__(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked: list[tuple[Path, str]] = []
        connect = Reader._connected

        def connected(reader: Reader) -> sqlite3.Connection:
            connection = connect(reader)
            connection.set_trace_callback(self._noting(state))
            return connection

        state, people = team.folder / "state.db", team.folder / "access.db"
        monkeypatch.setattr(Reader, "_connected", connected)
        cast("KeptState", team.world.state)._rows.set_trace_callback(self._noting(state))
        team.access._rows.set_trace_callback(self._noting(people))

    def _noting(self, path: Path) -> Callable[[str], None]:
        return lambda sql: self._asked.append((path, sql))

    def slow(self, act: Callable[[], Any]) -> dict[str, str]:
        """What an act asks for that reads a whole table, and how."""
        self._asked.clear()
        act()
        found: dict[str, str] = {}
        for path, sql in dict.fromkeys(self._asked):
            if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                rows = sqlite3.connect(path)
                plan = "; ".join(row[3] for row in rows.execute(f"EXPLAIN QUERY PLAN {sql}"))
                rows.close()
                if _SCAN.search(plan):
                    found[sql] = plan
        return found


@pytest.fixture
def watched(team: Team, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The databases of a server."""
    return Watched(team, monkeypatch)


API = (
    "/v1/jobs",
    "/v1/jobs?status=open&type=data_collection&created_after=2020-01-01",
    "/v1/jobs/{job}/files?min_score=5",
    "/v1/jobs/{job}/submissions?status=rejected",
    "/v1/submissions",
    "/v1/submissions?job_id={job}&status=rejected&min_score=1",
    "/v1/submissions?status=retry_pending",
    "/v1/submissions?min_score=5&start_date=2020-01-01&end_date=2021-01-01",
    "/v1/submissions/summary",
    "/v1/submissions/summary?job_id={job}",
    "/v1/submissions/summary?start_date=2020-01-01",
    "/v1/webhook_events?type=job.completed",
    "/v1/audit-events?job_id={job}",
    "/v1/audit-events?event_type=job.created",
    "/v1/billing/transactions?type=purchase",
    "/v1/billing/credits",
    "/v1/api_keys",
    "/v1/webhook_endpoints",
)


def test_lists_of_the_api(team: Team, watched: Watched) -> None:
    """Lists, filters, and the summary of the API."""
    job = team.job()
    team.score(team.sent(job), 1)
    buyer = team.visit(headers={"authorization": f"Bearer {team.key}"})

    def ask(path: str) -> None:
        reply = buyer.get(path.format(job=job.id))
        assert reply.status_code == 200, reply.text

    assert {path: slow for path in API if (slow := watched.slow(partial(ask, path)))} == {}
