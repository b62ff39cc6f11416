"""What waits, in order: a part of it at a time, as if all of it were a list."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from firsthandapi_server.mock.workers import capture
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.sqlite import line as lines
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.sqlite.line import Line, counted
from firsthandapi_server.state.model import Submission

from .support import HandClock, Reviewer, fields_of, kept


def test_a_line_is_like_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts, neighbors, and counts are those of the list that it never makes; of many, so many are counted."""
    monkeypatch.setattr(lines, "MOST_COUNTED", 8)
    world, chance = open_world(tmp_path, HandClock()), random.Random(1)
    world.jobs.jury = Reviewer()
    people, sent = ["wkr_a", "wkr_b", "wkr_c"], list[Submission]()
    with world.lock:
        at = world.clock.now()
        owner = world.accounts.create_organization("Lab", "a@b.example", free_tier=False, at=at, cents=10**6)
        accounts = owner.key.account.organization.accounts
        jobs = [
            world.jobs.create(accounts[name], fields_of(files_needed=50), "key", at, "http://x")
            for name in ("live", "live", "test")
        ]
    for _ in range(40):
        with world.lock:
            job = chance.choice(jobs)
            file = capture(job, "image/jpeg", at, rating=4)
            sent.append(world.jobs.submit(job, [file], at, worker=chance.choice(people)))
    for submission in chance.sample(sent, 15):
        with world.lock:
            world.jobs.score(submission, at, Verdict([chance.choice((2, 5))]))
    live = [work for work in sent if not work.account.is_sandbox and work.status == "pending_score"]
    left_out = [(live[0].id, 1), (live[1].id, 2)]  # of the second, another attempt
    first, second = jobs[0].id, jobs[1].id
    for job_id, worker, own_workers in (
        ("", "", ()),
        (first, "", ["wkr_b"]),
        ("", "wkr_a", ()),
        (second, "wkr_c", ()),
    ):
        line = Line(kept(world).query, job=job_id, worker=worker, own=own_workers, left_out=left_out)
        expected_ids = [
            work.id
            for work in live[1:]
            if job_id in ("", work.job.id)
            and worker in ("", work.worker_id)
            and work.worker_id not in own_workers
        ]
        assert line.attempts() == [(submission_id, 1) for submission_id in expected_ids]
        assert len(line) == min(len(expected_ids), 9)
        assert [line.part(start, 3) for start in (0, 2, 99)] == [expected_ids[:3], expected_ids[2:5], []]
        for index, submission_id in enumerate(expected_ids):
            assert submission_id in line
            assert line.number(submission_id) == min(index, 9)
            assert line.after(submission_id, 2) == expected_ids[index + 1 : index + 3]
            assert line.before(submission_id) == expected_ids[:index][-1:]
    line = Line(kept(world).query)
    assert live[0].id in line
    assert sent[0].id not in Line(kept(world).query, own=people)
    assert line.jobs(9) == sorted({work.job.id for work in live})
    assert (line.workers(9), line.workers(2)) == (people, people[:2])
    retrying = [work.id for work in sent if work.status == "retry_pending" and not work.account.is_sandbox]
    assert Line(kept(world).query, "retry_pending").part(0, 99) == retrying
    ahead = next(work.id for work in sent if work.status == "approved")
    plain, line = (Line(kept(world).query, job=second, worker="wkr_c", first=id) for id in (None, ahead))
    order = [ahead, *plain.part(0, 99)]
    assert (ahead in line, len(line)) == (True, len(order))
    assert [line.part(start, 2) for start in range(3)] == [order[start : start + 2] for start in range(3)]
    for index, id in enumerate(order):
        assert line.number(id) == index
        assert (line.before(id), line.after(id)) == (order[:index][-1:], order[index + 1 : index + 2])
    assert [counted(count) for count in (0, 8, 9)] == ["0", "8", "8+"]
    world.close()
