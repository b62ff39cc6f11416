"""Many jobs, one wait: `jobs.wait_all`."""

from __future__ import annotations

from math import inf
from typing import Any

import httpx
import pytest

from firsthandapi.errors import (
    AuthenticationError,
    InvalidArgumentError,
    NotFoundError,
    WaitTimeoutError,
)
from firsthandapi.testing import HostileService, MockServer
from firsthandapi.types import File, Job
from raw import RawRequest

from .support import JOB, Connect


class Service(HostileService):
    """Jobs that finish after so many seconds, on a fake clock, and jobs that are newer and do not."""

    def __init__(self, ends: list[float], *, newer: int = 0) -> None:
        super().__init__(hold=True)
        self.says = self.note
        self.seen: list[tuple[float, str]] = []
        self.failures: list[tuple[str, int]] = []
        self.ids = [self.post_one(pace=seconds / 2) for seconds in ends]
        for _ in range(newer):
            self.post_one(pace=inf)

    def post_one(self, pace: float) -> str:
        self.lies.pace = pace
        return self.post(JOB).id

    def connect(self, connect: Connect, **options: Any) -> Any:
        client = connect(base_url=self.url, **options)
        self.clock = connect.clock(client)
        self.follow(self.clock)
        self.began = self.clock.now
        for job in self.jobs:
            job.created = self.now()
        return client

    def note(self, request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        path = request.target.partition("?")[0]
        self.seen.append((self.clock.now - self.began, path))
        if self.failures and self.failures[0][0] == path:
            return self.failures.pop(0)[1], {"error": {"message": "no"}}
        return status, body


def test_a_hundred_jobs_cost_twenty_requests_a_minute(connect: Connect) -> None:
    """One list shows them all, even on its second page; each is returned, in the order given."""
    with Service([600.0] * 50 + [900.0] * 50, newer=60) as service:
        client = service.connect(connect)
        ids = service.ids[::-1]
        jobs = client.jobs.wait_all(ids)
    assert [job.id for job in jobs] == ids
    assert all(job.is_terminal for job in jobs)
    minutes = [int(when // 60) for when, _ in service.seen]
    assert max(minutes.count(minute) for minute in minutes) <= 20
    assert {path for _, path in service.seen} == {"/v1/jobs"}
    assert service.clock.now - service.began <= 910


def test_news_come_soon(connect: Connect) -> None:
    """A job that finishes is noticed within 10 seconds; the last one is polled, and noticed immediately."""
    seen: list[Any] = []
    with Service([33.0, 200.0]) as service:
        first, second = service.ids
        service.connect(connect).jobs.wait_all(
            service.ids,
            on_update=lambda job: seen.append(
                (job.id, job.status, job.files_approved, service.clock.now - service.began)
            ),
        )
    assert [update[:3] for update in seen] == [
        (first, "open", 0),
        (second, "open", 0),
        (first, "in_progress", 1),
        (first, "completed", 2),
        (second, "in_progress", 1),
        (second, "completed", 2),
    ]
    assert 33 <= seen[3][3] <= 43
    assert [seen[4][3], seen[5][3]] == [100, 200]


def test_jobs_twice_and_jobs_that_are_known_to_be_over(connect: Connect) -> None:
    """An id may come twice; a finished Job is returned as it is; nothing costs nothing."""
    with Service([0.0, 0.0, 20.0]) as service:
        client = service.connect(connect)
        assert client.jobs.wait_all([]) == client.jobs.wait_all(iter(())) == []
        over = Job(id="job_old", status="cancelled")
        assert client.jobs.wait_all([over, over]) == [over, over]
        assert service.seen == []
        seen: list[str] = []
        one, two, three = service.ids
        still = Job(id=three, status="open")
        jobs = client.jobs.wait_all([two, over, still, two, one], on_update=lambda job: seen.append(job.id))
    assert [job.id for job in jobs] == [two, "job_old", three, two, one]
    assert [job.status for job in jobs] == ["completed", "cancelled", "completed", "completed", "completed"]
    assert {*seen} == {one, two, three, "job_old"}


@pytest.mark.parametrize("timeout", [0, 100])
def test_the_timeout_of_all(timeout: float, connect: Connect) -> None:
    """The error says how many finished, and names those that did not; its job is one of these, as last seen."""
    with Service([0.0, 0.0, *[1e6] * 5]) as service:
        client = service.connect(connect)
        with pytest.raises(WaitTimeoutError) as caught:
            client.jobs.wait_all(service.ids, timeout=timeout)
    first, *_ = late = service.ids[2:]
    assert str(caught.value).startswith(
        f"2 of 7 jobs finished before timeout= passed; the others continue ({first}, "
    )
    assert f"{late[2]}, and 2 more); run the same call again" in str(caught.value)
    assert (caught.value.job.id, caught.value.job.status) == (first, "open")
    assert service.clock.now - service.began == timeout


@pytest.mark.parametrize("count", [1, 3])
def test_a_job_that_does_not_exist_is_named(count: int, connect: Connect) -> None:
    """It ends the wait at once."""
    with Service([1e6] * (count - 1)) as service:
        client = service.connect(connect)
        with pytest.raises(NotFoundError, match="job_none"):
            client.jobs.wait_all([*service.ids, "job_none"])
    assert service.clock.sleeps == []


def test_jobs_that_no_list_shows_are_read_in_turn(connect: Connect) -> None:
    """Those that newer jobs hide are read by themselves, three after each read of the list."""
    with Service([100.0] * 5, newer=500) as service:
        client = service.connect(connect)
        assert len(client.jobs.wait_all(service.ids)) == 5
    single = [path for _, path in service.seen if path != "/v1/jobs"]
    assert set(single) == {f"/v1/jobs/{job_id}" for job_id in service.ids}
    assert service.clock.now - service.began < 130


@pytest.mark.parametrize("timeout", [0, 100])
def test_finished_jobs_that_no_list_shows_are_read_at_once(timeout: float, connect: Connect) -> None:
    """Without a pause, as long as some of them are finished: each costs a request in any case."""
    with Service([0.0] * 30, newer=500) as service:
        client = service.connect(connect)
        if timeout == 0:
            with pytest.raises(WaitTimeoutError, match="25 of 30 jobs finished"):
                client.jobs.wait_all(service.ids, timeout=0)
        else:
            assert len(client.jobs.wait_all(service.ids, timeout=100)) == 30
    assert service.clock.sleeps == []
    assert len(service.seen) == (27 if timeout == 0 else 32)


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (503, None)])
def test_a_list_that_fails(status: int, error: Any, connect: Connect) -> None:
    """What heals is borne; what does not ends the wait."""
    with Service([30.0] * 3) as service:
        client = service.connect(connect)
        service.failures = [("/v1/jobs", status)] * 2
        if error is None:
            assert len(client.jobs.wait_all(service.ids)) == 3
        else:
            service.failures += [(f"/v1/jobs/{service.ids[0]}", status)]
            with pytest.raises(error):
                client.jobs.wait_all(service.ids)


@pytest.mark.parametrize(
    ("ids", "field"),
    [
        ("job_1", "ids"),
        (Job(id="job_1", status="open"), "ids"),
        ({"job_1": 1}, "ids"),
        (5, "ids"),
        (None, "ids"),
        (["job_1", 5], "ids[1]"),
        ([Job(id="../me", status="completed")], "ids[0]"),
        (["fh_live_secret"], "ids[0]"),
        (["job_1", File(id="file_1")], "ids[1]"),
    ],
)
def test_what_are_no_ids(ids: Any, field: str, connect: Connect) -> None:
    """It is refused before anything is sent, by its place."""
    with Service([]) as service:
        client = service.connect(connect)
        with pytest.raises(InvalidArgumentError) as caught:
            client.jobs.wait_all(ids)
    assert caught.value.field == field
    assert "fh_live_secret" not in str(caught.value)
    assert service.seen == []


def test_against_the_server(connect: Connect) -> None:
    """Twelve real jobs are waited for by one list."""
    with MockServer(speed=120) as server:
        client = connect(server)
        ids = [client.jobs.create(**JOB).id for _ in range(12)]
        count = len(server.requests)
        jobs = client.jobs.wait_all(ids, timeout=60)
        assert [(job.id, job.status) for job in jobs] == [(job_id, "completed") for job_id in ids]
        assert {request.path for request in server.requests[count:]} <= {"/v1/jobs", f"/v1/jobs/{ids[-1]}"}
        assert len(server.requests) - count < 12
        assert client.jobs.wait_all(jobs) == jobs


def test_a_service_that_names_the_job_is_not_repeated(connect: Connect) -> None:
    """Its message has the id once."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/jobs":
            return httpx.Response(200, json={"data": [], "has_more": False, "next_cursor": None})
        return httpx.Response(404, json={"error": {"type": "not_found", "message": "no job job_000"}})

    client = connect(handler=answer, frozen=True)
    with pytest.raises(NotFoundError) as caught:
        client.jobs.wait_all(["job_000"])
    assert str(caught.value).count("job_000") == 1
