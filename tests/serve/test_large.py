"""A large study: whatever people or programs ask for, the databases read a part of an index, never a whole table."""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from firsthandapi_server.contract.text import new_id
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.world import World
from firsthandapi_server.serve.access import Access
from firsthandapi_server.serve.erasing import Eraser
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.reader import Reader
from firsthandapi_server.sqlite.traces import earned
from firsthandapi_server.state.model import Details, Facts, File, Submission
from firsthandapi_server.state.storage import StoredSource
from server.sqlite.support import HandClock, Reviewer, fields_of

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
# Indexes of the few rows that wait for something, and one whose entries are counted.
_FEW = (
    "line",
    "retrying",
    "retries_by_time",
    "open_ratings",
    "open_ratings_of",
    "gold_ratings",
    "ratings_given",
    "paid",
)
_SCAN = re.compile(rf"SCAN (?:{'|'.join(_LARGE)})\b(?! USING (?:COVERING )?INDEX (?:{'|'.join(_FEW)}))")
_SORT = re.compile(rf"(?:SCAN|SEARCH) (?:{'|'.join(_LARGE)})\b.*USE TEMP B-TREE FOR ORDER BY")


class Watched:
    """What the databases of a server are asked."""

    def __init__(self, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked: list[tuple[Path, str]] = []
        connect = Reader._connected

        def connected(reader: Reader) -> sqlite3.Connection:
            connection = connect(reader)
            connection.set_trace_callback(self._noting(state if state.name in reader._uri else people))
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
        plans: dict[str, str] = {}
        for path, sql in dict.fromkeys(self._asked):
            if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                rows = sqlite3.connect(path)
                plan = "; ".join(row[3] for row in rows.execute(f"EXPLAIN QUERY PLAN {sql}"))
                rows.close()
                # In order, with a limit, a table is read from its end until there is enough.
                if (_SCAN.search(plan) and "LIMIT" not in sql) or _SORT.search(plan):
                    plans[sql] = plan
        return plans


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


PAGES = (
    "/console",
    "/console?status=active",
    "/console/jobs/{job}",
    "/console/jobs/{job}?status=rejected",
    "/console/jobs/{job}/link",
    "/console/deliveries?status=failed",
    "/console/ledger",
    "/console/log",
    "/console/log?kind=people",
    "/console/reviews/ratings.csv",
    "/console/people",
    "/console/reviews",
    "/console/reviews/gold",
    "/review",
    "/review?at={submission}",
    "/review?job={job}",
    "/review?worker={worker}",
    "/review?job={job}&worker={worker}",
    "/review?view=grid&start=48",
    "/review/waiting?at={submission}",
    "/review/retries",
    "/w/{link}",
)


def test_pay(team: Team, watched: Watched) -> None:
    """What one person has earned; what all have, by an index of what is paid. Only the sums are sorted."""
    sent = team.find(team.sent())
    team.score(sent.id, 5)
    for options in ({}, {"worker": sent.worker_id}):
        pay = partial(earned, cast("KeptState", team.world.state).query, 0.0, 1e12, **options)
        assert pay() == [(sent.worker_id, 1, 50)]
        assert [plan for plan in watched.slow(pay).values() if _SCAN.search(plan)] == []


def test_a_rating(team: Team, watched: Watched) -> None:
    """To give stars, and to count them ten seconds later, looks at this submission alone."""
    job, reviewer = team.job(), team.visit("reviewer")
    rated = team.sent(job)
    team.sent(job)

    def rate() -> None:
        assert reviewer.rate(rated, 5, is_booked=False).status_code == 303
        with team.world.lock:
            team.service.site.panel.book(team.service.clock.now() + 10, rated)

    assert watched.slow(rate) == {}
    assert team.find(rated).status == "approved"


def test_pages_of_people(team: Team, watched: Watched) -> None:
    """Pages of workers, reviewers, and operators."""
    job, operator = team.job(), team.visit("operator")
    waiting = team.find(team.sent(job))
    team.score(team.sent(job), 2)
    ids = {"job": job.id, "submission": waiting.id, "worker": waiting.worker_id}
    ids["link"] = team.path(job).removeprefix("/w/")

    def visit(path: str) -> None:
        assert operator.get(path.format(**ids)).status_code == 200

    assert {path: slow for path in PAGES if (slow := watched.slow(partial(visit, path)))} == {}


def test_an_erasure(team: Team, watched: Watched) -> None:
    """A person, a file, and what was rejected long ago."""
    team.buyer.webhooks.create(url="http://127.0.0.1:9/hook")
    job = team.job()
    sent = [team.find(team.sent(job)) for _ in range(2)]
    for submission in sent:
        team.score(submission.id, 1, reason="Blurred")
    eraser = Eraser(team.world, team.access, team.folder / "uploading", rejected_days=0)

    def erase() -> None:
        for subject in (sent[0].worker_id, sent[1].files[0].id):
            team.access.wish(subject, 1.0, "somebody")
        assert eraser.run()

    assert watched.slow(erase) == {}
    assert [submission.files[0].is_erased for submission in sent] == [True, True]


def test_a_large_database_is_rewritten_at_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is erased becomes zeros, but for a few copies that rows left where they were before they grew and moved.
    These go at night, so that nobody waits by day, or, if there was no night, at a start."""
    monkeypatch.setattr("firsthandapi_server.serve.erasing._SMALL", 0)
    clock, place = HandClock(), tmp_path / "data"
    world, access = open_world(place, clock), Access(place / "access.db")
    cast("KeptState", world.state)._rows.execute("PRAGMA synchronous = OFF")
    people = _worked(world, random.Random(1), 400)
    eraser = Eraser(world, access, place / "uploading")
    clock.advance((12 - time.localtime(clock.now()).tm_hour) % 24 * 3600)
    eraser.run()

    def left(worker: str) -> int:
        return sum(path.read_bytes().count(f"{worker} kwijibo".encode()) for path in place.glob("*.db*"))

    for worker in people[:10]:
        assert left(worker) > 9
        access.wish(worker, clock.now(), "somebody")
    assert eraser.run()
    assert sum(map(left, people[:10])) < 5
    clock.advance(14 * 3600)
    assert eraser.run()
    assert sum(map(left, people[:10])) == 0
    assert min(map(left, people[10:])) > 9
    clock.advance(10 * 3600)
    access.wish(people[10], clock.now(), "somebody")
    assert eraser.run()
    marks = partial(cast("KeptState", world.state).query, "SELECT name FROM meta WHERE name LIKE 'rewrite %'")
    for hours, count in ((1, 2), (24, 0)):
        clock.advance(hours * 3600)
        assert Eraser(world, access, place / "uploading").run()
        assert len(marks()) == count
    assert left(people[10]) == 0
    assert access.erasures() == []
    world.check_books()
    world.close()
    access.close()


def _worked(world: World, chance: random.Random, count: int) -> list[str]:
    """Twenty people send files with their name, and get a verdict with their name, long or short, in any order."""
    world.jobs.jury = Reviewer()
    with world.lock:
        at = world.clock.now()
        key = world.accounts.create_organization(
            "Lab", "a@b.example", free_tier=False, at=at, cents=10**6
        ).key
        world.events.create_endpoint(key.account, "http://127.0.0.1:9/", None, None, at)
        job = world.jobs.create(key.account, fields_of(files_needed=count), key.id, at, "http://x")
    people, waiting = [new_id("wkr_", at) for _ in range(20)], list[Submission]()
    for number in range(count):
        worker = people[number % 20]
        details = Details(at, {"device_model": worker}, None, None)
        facts = Facts(9, new_id("", at).ljust(64, "0"), 4, 4, None)
        source = StoredSource(world.state.storage, new_id("blob_", at), facts, details)
        file = File(new_id("file_", at), "image/jpeg", source, f"{worker} kwijibo.jpg", at)
        with world.lock:
            waiting.append(world.jobs.submit(job, [file], at, worker=worker))
            if number > 40:
                scored = waiting.pop(chance.randrange(20))
                reason = f"{scored.worker_id} kwijibo " * chance.randrange(1, 9)
                world.jobs.score(scored, at, Verdict([chance.randrange(1, 6)], reason))
    return people
