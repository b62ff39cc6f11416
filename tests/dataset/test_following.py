"""`jobs.follow`: each approved file once, soon after it is approved, at few requests."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.support import Connect
from firsthandapi import FirstHandClient
from firsthandapi._sync.reader import SharedReader
from firsthandapi._sync.waiting import Waiting
from firsthandapi.datasets._download.part import Part
from firsthandapi.errors import (
    AuthenticationError,
    DownloadError,
    IncompleteJobError,
    InvalidArgumentError,
    NotFoundError,
    PaginationError,
    WaitTimeoutError,
)
from firsthandapi.testing import HostileService, MockServer
from raw import RawRequest, Reply, response

from .support import (
    JOB,
    Buyer,
    api,
    completed_job,
    downloads,
    in_background,
    wait_until,
)

JOB_ID = "job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"
PAGE = f"/v1/jobs/{JOB_ID}/files"
HOUR = 3600.0
DAY = 24 * HOUR


class Service(HostileService):
    """A job whose files are approved at `times`, in the time of a fake clock."""

    def __init__(self, *times: float, **lies: Any) -> None:
        super().__init__(**{"hold": True, **lies})
        self.job = self.post({**JOB, "files_needed": len(times) + self.lies.short})
        self.job.times = times
        self.says = self.note
        self.age = 0.0
        # When, and `head`, `page`, or for how long a poll was to be held.
        self.asked: list[tuple[float, str]] = []
        # What comes instead of the next responses: a status, or None where the connection is cut.
        self.failures: list[int | None] = []
        self.changes: Callable[[dict[str, Any]], object] = len

    @property
    def elapsed(self) -> float:
        return round(self.clock.now - self.began, 6)

    def note(self, request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if "/files" in request.target:
            assert "min_score=1" in request.target
            self.asked.append((self.elapsed, "page" if "cursor=" in request.target else "head"))
        else:
            self.asked.append((self.elapsed, f"poll {request.headers.get('prefer', 'wait=0')[5:]}"))
        if self.failures:
            failure = self.failures.pop(0)
            return 0, Reply(b"", "close") if failure is None else response(status=failure, Retry_After="7")
        self.changes(body)
        return status, body

    def heads(self) -> list[float]:
        return [at for at, event in self.asked if event == "head"]


def timed(
    connect: Connect, service: Service, timeout: float | None = None, **options: Any
) -> list[tuple[float, str]]:
    """Follow the job to its end: when each file came, and its id."""
    client = connect(base_url=service.url, **options)
    service.clock = connect.clock(client)
    service.follow(service.clock)
    service.job.created, service.began = service.now() - service.age, service.clock.now
    job_id = service.job.id
    with service:
        if connect.loop is None:
            return [(service.elapsed, file.id) for file in client.jobs.follow(job_id, timeout=timeout)]

        async def collect() -> list[tuple[float, str]]:
            files = client.target.jobs.follow(job_id, timeout=timeout)
            return [(service.elapsed, file.id) async for file in files]

        return connect.loop.run(collect())


def follow(connect: Connect, service: Service, timeout: float | None = None, **options: Any) -> list[str]:
    """Follow the job to its end; the ids of the files."""
    return [file_id for _, file_id in timed(connect, service, timeout, **options)]


def test_a_file_comes_within_twelve_seconds(connect: Connect) -> None:
    """While the job is in progress nothing tells of a file, so the head of the list is read every 10 s."""
    service = Service(15, *(40 + n for n in range(60)), 200)
    came = timed(connect, service)
    assert len(came) == 62
    at_of = {file_id: at for at, file_id in came}
    assert all(
        0 <= at_of[file_id] - at <= 12
        for file_id, at in zip(service.job.files, service.job.times, strict=True)
    )
    assert all(later - earlier <= 10.5 for earlier, later in pairwise(service.heads()))


def test_a_change_of_status_is_looked_at_at_once(connect: Connect) -> None:
    """The first file changes the status, which wakes the poll, and so does the last."""
    service = Service(4, 6)
    assert timed(connect, service) == [*zip((4.0, 6.0), service.job.files, strict=True)]
    assert service.elapsed == 6.0


def test_only_the_head_is_read_again(connect: Connect) -> None:
    """Not the whole list each round: with a thousand files there already, a round costs one page."""
    service = Service(*[0] * 1_000, 35, 100)
    assert len(follow(connect, service)) == 1_002
    rounds = [event for at, event in service.asked if 0 < at < 100]
    assert rounds.count("page") == 0
    assert rounds.count("head") <= 11
    assert len(service.asked) <= 10 + 2 * 12 + 11


def test_many_new_files_are_read_to_the_first_known(connect: Connect) -> None:
    """More than a page came between two looks: the walk goes on until it meets a known one."""
    service = Service(*[0] * 5, *[12] * 250, 30)
    *came, _last = timed(connect, service)
    assert len(came) == len({file_id for _, file_id in came}) == 255
    assert max(at for at, _ in came) <= 21


def test_a_count_that_lags_slows_no_burst(connect: Connect) -> None:
    """As many files as the job needs are read as fast as pages come, though the job does not count them yet."""
    service = Service(*[12] * 2_999, 27, count_lag=DAY)
    *times, last = timed(connect, service)
    assert len(times) == 2_999
    assert max(at for at, _ in times) == min(at for at, _ in times) == 12
    assert service.elapsed == last[0] == 27


def test_nothing_is_missed_at_the_end(connect: Connect) -> None:
    """Files that came with the end, or far behind known ones, are met by one full pass."""
    service = Service(21, *[5] * 150, 25)
    assert sorted(follow(connect, service)) == sorted(service.job.files)


def test_a_list_that_shifts_gives_nothing_twice(connect: Connect) -> None:
    """Pages that overlap, one that names a file twice, and an empty one: each file comes once."""
    pages: dict[str | None, Any] = {
        None: {"data": [{"id": "file_3"}, {"id": "file_3"}, {"id": "file_2"}], "next_cursor": "a"},
        "a": {"data": [{"id": "file_2"}, {"id": "file_1"}], "next_cursor": "b"},
        "b": {"data": [], "next_cursor": "c"},
        "c": {"data": [{"id": "file_0"}], "next_cursor": None},
    }
    polls: list[str] = ["completed", "in_progress"]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == PAGE:
            asked.append(request.url.params.get("cursor"))
            return httpx.Response(200, json=pages[asked[-1]])
        return httpx.Response(200, json={"id": JOB_ID, "status": polls.pop()})

    asked: list[str | None] = []
    client = connect(handler=answer)
    connect.clock(client)
    assert [file.id for file in client.jobs.follow(JOB_ID)] == ["file_3", "file_2", "file_1", "file_0"]
    assert asked == [None, "a", "b", "c"] * 2


@pytest.mark.parametrize(("lag", "came"), [(7, 3), (29, 3), (HOUR, 2)])
def test_a_list_that_lags_behind_the_job_is_read_again(connect: Connect, lag: float, came: int) -> None:
    """A file that the job counts is waited for half a minute, with few requests."""
    service = Service(0, 0, DAY, files_lag=lag)
    service.age = DAY
    assert len(follow(connect, service)) == came
    assert service.elapsed <= 30.5
    assert len(service.asked) <= 20


def test_a_count_of_a_completed_job_that_is_late_is_waited_for(connect: Connect) -> None:
    """It says that as many files as it needs were approved. Reads become rare, and its list has half a minute then."""
    service = Service(0, DAY, DAY, count_lag=3 * HOUR, files_lag=3 * HOUR + 20)
    service.age = DAY
    assert len(follow(connect, service)) == 3
    assert 3 * HOUR + 20 <= service.elapsed <= 3 * HOUR * 1.1 + 60
    assert len(service.asked) <= 500
    assert len([at for at, _ in service.asked if at < 600]) <= 90


def test_a_list_that_shows_what_a_completed_job_needs_is_enough(connect: Connect) -> None:
    """Its count need not."""
    service = Service(0, 0, 0, count_lag=DAY)
    assert len(follow(connect, service)) == 3
    assert service.elapsed == 0


@pytest.mark.parametrize(
    ("ended", "waits"),
    [(None, 24 * HOUR), (-10 * HOUR, 14 * HOUR), (-25 * HOUR, 0)],
    ids=["for a day", "less what has passed", "not after a day"],
)
def test_a_low_count_is_not_waited_for_without_end(
    connect: Connect, ended: float | None, waits: float
) -> None:
    """A day after its end, the list counts."""
    service = Service(0, 0, short=1)
    if ended is not None:
        end = datetime.fromtimestamp(service.now() + ended, UTC).isoformat()
        service.changes = lambda body: body.update(completed_at=end)
    assert len(follow(connect, service)) == 2
    assert waits <= service.elapsed <= waits + 1


def test_a_count_that_was_full_is_not_waited_for(connect: Connect) -> None:
    """A file was withdrawn, which the list has never shown."""
    service = Service(0, 10, short=1)

    def count_one_more(body: dict[str, Any]) -> None:
        if service.elapsed < 5 and "files_approved" in body:
            body["files_approved"] = 3

    service.changes = count_one_more
    assert len(follow(connect, service)) == 2
    assert service.elapsed == 10


def test_a_file_that_was_withdrawn_is_not_waited_for(connect: Connect) -> None:
    """Before the job was completed: the list has shown it, and shows others now."""
    service = Service(0, 0, 50, 100, short=1)
    first = service.job.files[0]

    def withdraw(body: dict[str, Any]) -> None:
        if service.elapsed < 50:
            return
        if "data" in body:
            body["data"] = [row for row in body["data"] if row["id"] != first]
        else:
            body["files_approved"] -= 1

    service.changes = withdraw
    assert len(follow(connect, service)) == 4
    assert service.elapsed == 100


def test_a_wait_for_a_late_count_ends_with_its_timeout(connect: Connect) -> None:
    """And says which count it waits for."""
    service = Service(0, short=2)
    with pytest.raises(
        WaitTimeoutError, match="is completed, but the service counts 1 of 3 files as approved; run"
    ):
        timed(connect, service, timeout=100)
    assert service.elapsed == 100


def test_a_list_without_end_is_left_at_the_timeout(connect: Connect) -> None:
    """A cursor that is always new, on pages that bring nothing: few requests, and an end."""
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == PAGE:
            asked.append(request.url.params.get("cursor"))
            return httpx.Response(200, json={"data": [], "next_cursor": f"c{len(asked)}"})
        return httpx.Response(200, json={"id": JOB_ID, "status": "completed"})

    client = connect(handler=answer)
    connect.clock(client)
    with pytest.raises(WaitTimeoutError):
        list(client.jobs.follow(JOB_ID, timeout=10))
    assert len(asked) <= 15


def test_download_all_ends_with_a_list_without_end(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no timeout, so the pages count."""
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == PAGE:
            asked.append(request.url.params.get("cursor"))
            return httpx.Response(200, json={"data": [], "next_cursor": f"c{len(asked)}"})
        return httpx.Response(200, json={"id": JOB_ID, "status": "completed"})

    client = connect(handler=answer)
    connect.clock(client)
    monkeypatch.setattr(f"firsthandapi._{connect.kind}.following.MOST_PAGES", 9)
    with pytest.raises(PaginationError, match="did not end after 9 pages"):
        client.files.download_all(JOB_ID, tmp_path)
    assert len(asked) == 9


@pytest.mark.parametrize("list_", ["empty-head", "no-end", "ever-new"])
@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_pages_that_bring_nothing_count(connect: Connect, status: str, list_: str) -> None:
    """Polls and pages together stay below 15 requests in the first 10 s, whatever the list is like."""
    asked: list[float] = []
    names = itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(clock.now - started)
        if request.url.path == PAGE:
            if list_ == "empty-head" and "cursor" in request.url.params:
                return httpx.Response(200, json={"data": [{"id": "file_1"}], "next_cursor": None})
            new = [{"id": f"file_{next(names)}"} for _ in range(100 if list_ == "ever-new" else 0)]
            return httpx.Response(200, json={"data": new, "next_cursor": f"c{next(names)}"})
        flapping = {"id": JOB_ID, "status": status, "files_approved": len(asked)}
        return httpx.Response(200, json=flapping)

    client = connect(handler=answer)
    clock = connect.clock(client)
    started = clock.now
    with contextlib.suppress(WaitTimeoutError):
        list(client.jobs.follow(JOB_ID, timeout=60))
    assert sum(at <= 10 for at in asked) <= 15
    assert len(asked) <= 60


def test_a_repeated_cursor_is_an_error(connect: Connect, fresh_server: MockServer) -> None:
    """Following it would never end."""
    job_id = completed_job(fresh_server, 1)
    fresh_server.faults.add(path=f"/v1/jobs/{job_id}/files", repeat_cursor=True, times=None)
    with pytest.raises(PaginationError):
        list(connect(fresh_server).jobs.follow(job_id))


def test_a_job_that_is_over_costs_its_list(connect: Connect) -> None:
    """One look at the job, and each page once."""
    service = Service(*[0] * 250)
    assert len(follow(connect, service)) == 250
    assert [event for _, event in service.asked] == ["poll 0", "head", "page", "page"]


def test_a_service_without_long_poll_is_not_hammered(connect: Connect) -> None:
    """Answers that come too early are followed by pauses that grow."""
    service = Service(0, 300, 600, hold=False)
    assert len(follow(connect, service)) == 3
    assert len(service.asked) < 3 * 60 + 20
    assert all(later - earlier <= 10.5 for earlier, later in pairwise(service.heads()))


def test_a_short_deadline_of_the_client_does_not_end_the_polls(connect: Connect) -> None:
    """A poll is a call, so its answer has time to come within it."""
    service = Service(20, 25)
    assert len(follow(connect, service, deadline=5.0)) == 2
    assert all(float(event[5:]) < 5 for _, event in service.asked if event.startswith("poll"))


@pytest.mark.parametrize("failure", [None, 429])
def test_a_failure_that_heals_is_borne(connect: Connect, failure: int | None) -> None:
    """Of a poll or of the list, again and again: the walk goes on where it was."""
    service = Service(*[0] * 150, 30, 300)
    note = service.note

    def fail_often(*answer: Any) -> tuple[int, Any]:
        if len(service.asked) + 1 in (1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 20, 21):
            service.failures = [failure]
        return note(*answer)

    service.says = fail_often
    seen = follow(connect, service)
    assert len(seen) == len(set(seen)) == 152


def test_a_service_that_is_down_is_asked_ever_less(connect: Connect) -> None:
    """The pauses between failed polls grow to 10 s."""
    service = Service(HOUR)
    service.failures = [None] * 1_000
    with pytest.raises(WaitTimeoutError):
        follow(connect, service, timeout=600)
    assert len(service.asked) < 70


def test_what_cannot_heal_in_time_is_told(connect: Connect) -> None:
    """Such as a revoked key."""
    service = Service(10)
    service.failures = [401]
    with pytest.raises(AuthenticationError):
        follow(connect, service, timeout=50)


@pytest.mark.parametrize("timeout", [0.5, 5.0, 12.0, 25.7])
def test_the_timeout_is_kept(connect: Connect, timeout: float) -> None:
    """To the moment, whatever the rest of a round is; the error has the job as last seen."""
    service = Service(1, 1, 1, 100)
    with pytest.raises(WaitTimeoutError, match="the job continues") as caught:
        follow(connect, service, timeout=timeout)
    assert service.elapsed == pytest.approx(timeout, abs=0.01)
    assert caught.value.job is not None


def test_without_time_a_job_that_is_over_is_given(connect: Connect) -> None:
    """A timeout of 0 looks once; if even that fails there is no job to tell of."""
    assert len(follow(connect, Service(0, 0, 0), timeout=0)) == 3
    with pytest.raises(WaitTimeoutError):
        follow(connect, Service(HOUR), timeout=0)
    down = Service(HOUR)
    down.failures = [None] * 10
    with pytest.raises(WaitTimeoutError) as caught:
        follow(connect, down, timeout=0)
    assert caught.value.job is None


def test_bad_arguments_are_told_at_once(connect: Connect, shared_server: MockServer) -> None:
    """Not when the walk begins."""
    with pytest.raises(InvalidArgumentError):
        connect(shared_server).jobs.follow("../me")
    with pytest.raises(InvalidArgumentError, match="0 or more, or None; 0 looks once"):
        connect(shared_server).jobs.follow(JOB_ID, timeout=-1)


def test_a_real_job_is_followed(connect: Connect) -> None:
    """Workers of the bundled server deliver, are rejected and retried; every approved file comes once."""
    with MockServer(speed=100) as server:
        server.rate_limit = None
        client = connect(server)
        job = client.jobs.create(**JOB, files_needed=20)
        files = list(client.jobs.follow(job.id))
        assert len({file.id for file in files}) == len(files) == 20
        assert all(file.download_url for file in files)
        server.check_books()


@contextlib.contextmanager
def all_followed(server: MockServer, half: str, job_ids: list[str]) -> Iterator[list[tuple[str, str]]]:
    """Follow jobs in threads or in tasks: the job and the id of each file that has come."""
    came: list[tuple[str, str]] = []

    def follow(job_id: str) -> None:
        for file in client.jobs.follow(job_id, timeout=60):
            came.append((job_id, file.id))

    async def follow_in_task(client: Any, job_id: str) -> None:
        async for file in client.jobs.follow(job_id, timeout=60):
            came.append((job_id, file.id))

    async def main() -> None:
        async with server.async_client() as client:
            await asyncio.gather(*(follow_in_task(client, job_id) for job_id in job_ids))

    with contextlib.ExitStack() as stack:
        if half == "_async":
            stack.enter_context(in_background(asyncio.run, main()))
        else:
            client = stack.enter_context(server.client())
            for job_id in job_ids:
                stack.enter_context(in_background(follow, job_id))
        yield came


def deliver_all(server: MockServer, job_ids: list[str]) -> None:
    """Let each job get a file."""
    for job_id in job_ids:
        server.submit(job_id)
    server.clock.advance(minutes=1)


@pytest.mark.parametrize("half", ["_sync", "_async"])
def test_ten_follows_cost_the_requests_of_one(
    fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    """One list of jobs tells of all; the files are read only of a job whose count has moved."""
    monkeypatch.setattr(f"firsthandapi.{half}.following.HEAD_EVERY", 0.25)
    with fresh_server.client() as owner:
        job_ids = [owner.jobs.create(**JOB, files_needed=2).id for _ in range(10)]

    def read_lists(times: int) -> list[str]:
        since = len(fresh_server.requests)
        wait_until(lambda: api(fresh_server, since).count("GET /v1/jobs") >= times)
        return api(fresh_server, since)

    with all_followed(fresh_server, half, job_ids) as came:
        deliver_all(fresh_server, job_ids)
        wait_until(lambda: {job_id for job_id, _ in came} == {*job_ids})
        read_lists(4)  # by now all know of it
        # On busy cores, one that wakes late may still be at it.
        wait_until(lambda: (quiet := read_lists(6)).count("GET /v1/jobs") >= len(quiet) - 2)
        deliver_all(fresh_server, job_ids)
        wait_until(lambda: len(came) == 2 * len(job_ids))


@pytest.mark.parametrize("half", ["_sync", "_async"])
@pytest.mark.parametrize("why", ["newer jobs", "no list"])
def test_follows_of_jobs_that_no_list_shows_take_turns(
    fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch, half: str, why: str
) -> None:
    """Two pages of newer jobs hide them, or the list fails: after each look at it, only some are read by themselves.
    Each has its turn, and all files come."""
    monkeypatch.setattr(f"firsthandapi.{half}.following.HEAD_EVERY", 0.25)
    monkeypatch.setattr(f"firsthandapi.{half}.reader.LARGEST_PAGE", 20)
    with fresh_server.client() as owner:
        job_ids = [owner.jobs.create(**JOB, files_needed=1).id for _ in range(6)]
        for _ in range(40 if why == "newer jobs" else 0):
            owner.jobs.create(**JOB, files_needed=1)
    if why == "no list":
        fresh_server.faults.add(path="/v1/job[s]", status=500, times=None)
    pages = 2 if why == "newer jobs" else 1
    since = len(fresh_server.requests)

    def reads() -> list[int]:
        asked = api(fresh_server, since)
        return [asked.count(f"GET /v1/jobs/{job_id}") for job_id in job_ids]

    with all_followed(fresh_server, half, job_ids) as came:
        # Each was read at the start, and had two turns since.
        wait_until(lambda: min(reads()) >= 3)
        single = sum(reads())
        looks = api(fresh_server, since).count("GET /v1/jobs") // pages + 1
        assert single <= len(job_ids) + 3 * looks
        deliver_all(fresh_server, job_ids)
        wait_until(lambda: len({*came}) == len(job_ids))


def test_threads_come_and_go_without_an_error(shared_server: MockServer) -> None:
    """Those who follow are counted by many threads at once; an error there would end a run that was paid for."""
    errors: list[BaseException] = []

    def come_and_go(reader: SharedReader) -> None:
        try:
            for _ in range(10_000):
                reader.join()
                assert not reader.is_alone
                reader.leave()
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with shared_server.client() as client:
            readers = [
                SharedReader(client._transport, Waiting(client._transport, f"job_{n}")) for n in range(10)
            ]
            for stays in readers[:2]:
                stays.join()
            threads = [threading.Thread(target=come_and_go, args=(reader,)) for reader in readers[2:]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


def test_the_shared_list_passes_a_gateway() -> None:
    """It carries a follower's `extra_headers`, and not its `extra_query`, which could hide the jobs of others."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"data": []})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as http_client,
        FirstHandClient("fh_test_x", http_client=http_client) as client,
    ):
        extras: Any = {"extra_headers": {"X-Gate": "open"}, "extra_query": {"status": "open"}}
        waiting = Waiting(client._transport, JOB_ID, **extras)
        SharedReader(client._transport, waiting)._read_list()
    (request,) = asked
    assert request.headers["x-gate"] == "open"
    assert dict(request.url.params) == {"limit": "100"}


def test_a_held_poll_wakes(
    connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real socket: the file is there long before its time is over."""
    monkeypatch.setattr(f"firsthandapi._{connect.kind}.following.HEAD_EVERY", 60.0)
    client = connect(fresh_server)
    job_id = client.jobs.create(**JOB, files_needed=1).id
    with in_background(lambda: [file.id for file in client.jobs.follow(job_id)]) as ended:
        wait_until(lambda: any("prefer" in r.headers for r in fresh_server.requests))
        work = fresh_server.submit(job_id)
        started = time.monotonic()
        fresh_server.clock.advance(minutes=1)
    assert time.monotonic() - started < 30
    assert ended[0] == list(work.file_ids)


def test_a_list_that_never_shows_a_file_is_told_of(connect: Connect, tmp_path: Path) -> None:
    """After half a minute; nothing is said of a refund, since there was none."""
    job = {"id": "job_1", "status": "completed", "files_needed": 2, "files_approved": 2}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path in ("/v1/jobs/job_1/files", "/v1/jobs"):
            return httpx.Response(200, json={"data": []} if request.method == "GET" else job)
        return httpx.Response(200, json=job)

    client = connect(handler=answer)
    clock = connect.clock(client)
    started = clock.now
    with pytest.raises(IncompleteJobError, match=r"counts 2 approved files, .* does not show 2") as caught:
        client.jobs.collect(tmp_path, **JOB, files_needed=2)
    assert 30 <= clock.now - started < 32
    assert "refund" not in str(caught.value)


def test_a_few_urls_that_ended_are_asked_for_alone(patient: Buyer) -> None:
    """One request each, and the file is there."""
    job_id = completed_job(patient.server, 10)
    patient.server.faults.add(path="/files/*", expired_url=True, times=2)
    dataset = patient.client.files.download_all(job_id, patient.dest)
    assert dataset.verify()
    assert len([line for line in api(patient.server) if line.endswith("/refresh_url")]) == 2


@contextlib.contextmanager
def held_in_mid_run(
    monkeypatch: pytest.MonkeyPatch, buyer: Buyer, job_id: str, *, page: int, pages: int
) -> Iterator[list[Any]]:
    """Download a job whose lists are read in small pages. No thread has put its first file in place until the block is
    over; what the run ends with is in the list afterwards."""
    for module in ("following", "workers"):
        monkeypatch.setattr(f"firsthandapi._{buyer.connect.kind}.{module}.LARGEST_PAGE", page)
    go_on, put = threading.Event(), Part.put
    monkeypatch.setattr(Part, "put", lambda part: go_on.wait(120) and put(part))
    since = len(buyer.server.requests)
    with in_background(buyer.client.files.download_all, job_id, buyer.dest) as ended:
        try:
            wait_until(
                lambda: (
                    len(downloads(buyer.server, since)) >= 8 and len(api(buyer.server, since)) >= 1 + pages
                )
            )
            yield ended
        finally:
            go_on.set()


def test_many_urls_that_ended_are_renewed_by_pages(patient: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight days pass in mid-run: a page of the list brings all its URLs for the price of one."""
    job_id = completed_job(patient.server, 90)
    since = len(patient.server.requests)
    with held_in_mid_run(monkeypatch, patient, job_id, page=20, pages=5) as ended:
        patient.server.clock.advance(days=8)
    assert ended[0].verify()
    assert len(ended[0]) == 90
    asked = api(patient.server, since)
    assert len([line for line in asked if line.endswith("/refresh_url")]) == 3
    # The last five are of submissions.
    assert len(asked) <= 1 + 5 + 3 + 5 + 5


def test_urls_are_renewed_where_the_list_has_moved_to(
    patient: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that stood at the head are pages behind others by now; they are still found by pages."""
    job_id = patient.client.jobs.create(**JOB, files_needed=120).id
    for number in range(40):
        patient.server.submit(job_id, content=b"%d" % number)
    patient.server.clock.advance(minutes=1)
    since = len(patient.server.requests)
    with held_in_mid_run(monkeypatch, patient, job_id, page=40, pages=1) as ended:
        for number in range(80):
            patient.server.submit(job_id, content=b"new %d" % number)
        patient.server.clock.advance(days=8)
    assert len(ended[0]) == 40
    asked = [line for line in api(patient.server, since) if not line.endswith("/submissions")]
    assert len(asked) <= 2 + 3 + 3


def test_a_file_that_is_listed_no_more_is_asked_for_alone(connect: Connect, tmp_path: Path) -> None:
    """The walk over the list ends; its own URL is asked for, and the lack of one is that file's failure."""
    files = [{"id": f"file_{n}", "content_type": "image/jpeg"} for n in range(6)]
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        asked.append(path)
        if path.endswith("/files"):
            return httpx.Response(200, json={"data": files, "next_cursor": None})
        if path.endswith("/refresh_url"):
            return httpx.Response(200, json={"download_url": None})
        return httpx.Response(200, json={"id": "job_1", "status": "completed"})

    with pytest.raises(DownloadError, match="no URL") as caught:
        connect(handler=answer).files.download_all("job_1", tmp_path)
    assert len(caught.value.failures) == 6
    assert asked.count("/v1/jobs/job_1/files") == 1 + 3
    assert len([path for path in asked if path.endswith("/refresh_url")]) == 6


def test_an_async_walk_that_is_closed_early_ends() -> None:
    """Without a note, and without an error."""

    async def main() -> None:
        with MockServer(speed=300) as server:
            async with server.async_client() as client:
                job = await client.jobs.create(**{**JOB, "files_needed": 2})
                files = client.jobs.follow(job.id)
                await anext(files)
                await files.aclose()
                with pytest.raises(StopAsyncIteration):
                    await anext(files)

    asyncio.run(main())


def test_a_job_that_does_not_exist_has_no_note(connect: Connect, shared_server: MockServer) -> None:
    """There is nothing to continue."""
    with pytest.raises(NotFoundError) as caught:
        list(connect(shared_server).jobs.follow("job_01JPDOESNOTEXIST"))
    assert not getattr(caught.value, "__notes__", [])
