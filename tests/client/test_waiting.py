"""Waiting for a job: `jobs.wait` and `jobs.create_and_wait`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.strategies import Int64
from firsthandapi.errors import (
    AuthenticationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    InvalidArgumentError,
    NotFoundError,
    SpendLimitError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer
from firsthandapi.types import Job

from .support import JOB, Connect, FakeClock

JOB_ID = "job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"
Step = Any


@dataclass(frozen=True)
class Reply:
    """A step that is an answer of its own."""

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Script:
    """A service that plays a script: each step is a job's status, a status with files, or an error."""

    def __init__(self, *steps: Step, after: str = "completed") -> None:
        self.steps = list(steps)
        self.after = after
        self.waits: list[str | None] = []
        self.clock: FakeClock | None = None
        self.slower = 1

    def __call__(self, request: httpx.Request) -> httpx.Response:
        prefer = request.headers.get("prefer")
        self.waits.append(prefer)
        step = self.steps.pop(0) if self.steps else self.after
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Reply):
            return httpx.Response(step.status, content=step.content, headers=step.headers)
        status, files = step if isinstance(step, tuple) else (step, 0)
        if prefer and self.clock:
            self.clock.pass_(float(prefer.partition("=")[2]) * self.slower)
        return httpx.Response(200, json={"id": JOB_ID, "status": status, "files_approved": files})


def play(
    connect: Connect, *steps: Step, after: str = "completed", **options: Any
) -> tuple[Any, FakeClock, Script]:
    script = Script(*steps, after=after)
    client = connect(handler=script, **options)
    script.clock = connect.clock(client)
    return client, script.clock, script


def test_an_index_is_an_int_in_every_call(connect: Connect) -> None:
    """As the seconds of a wait, and as the most that a job may cost."""
    client, clock, _ = play(connect, "open", after="open")
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait(JOB_ID, timeout=Int64(5))
    assert clock.now == 5_005
    with pytest.raises(SpendLimitError, match="max_spend_cents is 5:"):
        client.jobs.create(**JOB, max_spend_cents=Int64(5))


def test_the_first_read_is_not_held(connect: Connect) -> None:
    """The job is read at once; then each poll is held for a minute, with no pause between."""
    client, clock, script = play(connect, "open", "open", "open", "completed")
    assert client.jobs.wait(JOB_ID).status == "completed"
    assert script.waits == [None, "wait=60", "wait=60", "wait=60"]
    assert clock.sleeps == []


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_job_that_is_over(status: str, connect: Connect) -> None:
    """A job that is over is given after one read."""
    client, _, script = play(connect, status)
    seen: list[Any] = []
    assert client.jobs.wait(JOB_ID, on_update=seen.append).status == status
    assert script.waits == [None]
    assert [job.status for job in seen] == [status]


def test_updates(connect: Connect) -> None:
    """`on_update` gets the first job, each change of status or files, and the last; nothing twice."""
    steps = ["open", "open", ("in_progress", 1), ("in_progress", 1), ("in_progress", 2), ("completed", 2)]
    client, _, _ = play(connect, *steps)
    seen: list[Any] = []
    last = client.jobs.wait(JOB_ID, on_update=seen.append)
    assert [(job.status, job.files_approved) for job in seen] == [
        ("open", 0),
        ("in_progress", 1),
        ("in_progress", 2),
        ("completed", 2),
    ]
    assert seen[-1] is last


@pytest.mark.parametrize("at", [0, 1])
def test_a_poll_that_failed_does_not_end_the_wait(at: int, connect: Connect) -> None:
    """A dropped poll is followed by another, after a pause."""
    steps: list[Any] = ["open", "open", "completed"]
    steps[at:at] = [httpx.ReadError("cut")] * 2
    client, clock, script = play(connect, *steps)
    assert client.jobs.wait(JOB_ID).status == "completed"
    assert clock.sleeps == [0.5, 1]
    assert len(script.waits) == 5


@pytest.mark.parametrize("at", [0, 1])
def test_what_cannot_heal_ends_the_wait(at: int, connect: Connect) -> None:
    """A refused key ends the wait at once."""
    client, clock, script = play(connect, *["open"] * at, Reply(401))
    with pytest.raises(AuthenticationError):
        client.jobs.wait(JOB_ID)
    assert len(script.waits) == at + 1
    assert clock.sleeps == []


@pytest.mark.parametrize("method", ["create_and_wait", "wait", "wait_all"])
def test_a_job_that_was_just_posted_may_not_show_yet(method: str, connect: Connect) -> None:
    """A job that this program has just seen is waited for, though reads that lag do not have it; an old one is not."""
    late = [Reply(404), Reply(404)]
    client, clock, script = play(connect, *(["open"] if method == "create_and_wait" else []), *late)
    new = Job(id=JOB_ID, status="open", created_at=datetime.fromtimestamp(clock.wall, UTC))
    old = new.model_copy(update={"created_at": new.created_at - timedelta(minutes=1)})  # type: ignore[operator] # it has one
    if method == "create_and_wait":
        assert client.jobs.create_and_wait(**JOB).status == "completed"
    else:
        call, many = getattr(client.jobs, method), method == "wait_all"
        assert call([new] if many else new)
        script.steps = list(late)
        with pytest.raises(NotFoundError):
            call([old] if many else old)
    assert clock.sleeps == [0.5, 1]


def test_the_timeout_of_a_wait(connect: Connect) -> None:
    """When the time is up the error has the last state seen, and says that the job continues."""
    client, clock, script = play(connect, "open", ("in_progress", 1), after="in_progress")
    began = clock.now
    with pytest.raises(
        WaitTimeoutError, match=r"did not finish .*: it is in_progress, 0 files .* continues"
    ) as caught:
        client.jobs.wait(JOB_ID, timeout=150)
    assert caught.value.job.status == "in_progress"
    assert 150 <= clock.now - began < 151
    assert script.waits == [None, "wait=60", "wait=60", "wait=30"]


def test_a_timeout_of_nothing_looks_once(connect: Connect) -> None:
    """With `timeout=0` the job is read once: it is done, or the error has it."""
    client, _, _ = play(connect, "completed")
    assert client.jobs.wait(JOB_ID, timeout=0).status == "completed"
    client, clock, script = play(connect, after="open")
    with pytest.raises(WaitTimeoutError, match="did not finish") as caught:
        client.jobs.wait(JOB_ID, timeout=0)
    assert caught.value.job.status == "open"
    assert script.waits == [None]
    assert clock.sleeps == []


def test_a_timeout_of_nothing_with_the_network_down(connect: Connect) -> None:
    """With `timeout=0` and no answer there is one attempt, and the error says why."""
    client, _, script = play(connect, *[httpx.ConnectError("refused")] * 5)
    with pytest.raises(WaitTimeoutError) as caught:
        client.jobs.wait(JOB_ID, timeout=0)
    assert caught.value.job is None
    assert isinstance(caught.value.__cause__, FirstHandConnectionError)
    assert len(script.waits) == 1


def test_a_day_by_default(connect: Connect) -> None:
    """By default a wait ends after a day."""
    client, clock, script = play(connect, after="open")
    script.slower = 80  # so that a day has 18 polls, not 1,440
    began = clock.now
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait(JOB_ID)
    assert clock.now - began == 86_400


def test_polls_stay_within_the_client_s_deadline(connect: Connect) -> None:
    """The client's deadline is that of each poll: a poll is held shorter, and the wait goes on."""
    client, _, script = play(connect, "open", "open", "completed", deadline=10)
    assert client.jobs.wait(JOB_ID).status == "completed"
    assert script.waits == [None, "wait=8", "wait=8"]


@pytest.mark.parametrize("value", [-1, float("nan"), "5", True])
def test_bad_timeouts(value: Any, connect: Connect) -> None:
    """A bad timeout is told before anything is sent, or bought."""
    client, _, script = play(connect)
    for call in (
        lambda: client.jobs.wait(JOB_ID, timeout=value),
        lambda: client.jobs.create_and_wait(**JOB, timeout=value),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            call()
        assert caught.value.field == "timeout"
    assert script.waits == []


async def coroutine_function(job: Any) -> None:
    """What the sync client cannot await."""


class AwaitedCall:
    """An object whose call is a coroutine function."""

    async def __call__(self, job: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize("callback", [5, "print", coroutine_function, AwaitedCall()])
def test_bad_callbacks(callback: Any, connect: Connect) -> None:
    """What cannot be called, or not be awaited, is told before a job is bought."""
    if connect.is_async and callable(callback):
        return
    client, _, script = play(connect)
    for call in (
        lambda: client.jobs.wait(JOB_ID, on_update=callback),
        lambda: client.jobs.create_and_wait(**JOB, on_update=callback),
    ):
        message = "AsyncFirstHandClient" if callable(callback) else "must be"
        with pytest.raises(InvalidArgumentError, match=message) as caught:
            call()
        assert caught.value.field == "on_update"
    assert script.waits == []


def test_the_async_client_awaits_its_callback(connect: Connect) -> None:
    """The async client takes a function, a coroutine function, and an object with an async call."""
    if not connect.is_async:
        return
    seen: list[str] = []

    async def note(job: Any) -> None:
        seen.append(job.status)

    class Note:
        async def __call__(self, job: Any) -> None:
            seen.append(job.status)

    for callback in (note, Note()):
        client, _, _ = play(connect, "open", "completed")
        client.jobs.wait(JOB_ID, on_update=callback)
    assert seen == ["open", "completed"] * 2


def test_what_a_callback_raises(connect: Connect) -> None:
    """What `on_update` raises ends the wait and reaches the caller as it is."""
    client, _, _ = play(connect, "open", "completed")

    def stop(job: Any) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        client.jobs.wait(JOB_ID, on_update=stop)


def test_extras_go_with_every_poll(connect: Connect) -> None:
    """Headers and query of a wait go with each poll."""
    seen: list[tuple[str | None, str]] = []
    script = Script("open", "open", "completed")

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers.get("x-a"), request.url.query.decode()))
        return script(request)

    client = connect(handler=answer)
    script.clock = connect.clock(client)
    client.jobs.wait(JOB_ID, extra_headers={"X-A": "b"}, extra_query={"q": 1})
    assert seen == [("b", "q=1")] * 3


def test_against_the_server(connect: Connect, fresh_server: MockServer) -> None:
    """A job is made and waited for over a real long-poll, with few requests and prompt news."""
    client = connect(fresh_server)
    seen: list[Any] = []

    def work() -> None:
        while not seen:
            time.sleep(0.005)
        for _ in range(2):
            fresh_server.submit(seen[0].id)
            fresh_server.clock.advance(minutes=1)

    worker = threading.Thread(target=work)
    worker.start()
    job = client.jobs.create_and_wait(**JOB, on_update=seen.append, timeout=30)
    worker.join()
    assert job.status == "completed"
    assert (seen[0].status, seen[0].files_approved) == ("open", 0)
    assert (seen[-1].status, seen[-1].files_approved) == ("completed", 2)
    polls = [request for request in fresh_server.requests if request.headers.get("prefer")]
    assert 1 <= len(polls) <= 10


@pytest.mark.parametrize("journal", [False, True])
def test_the_timeout_bounds_the_post_too(journal: bool, connect: Connect, tmp_path: Path) -> None:
    """With its attempts and pauses. The error names the key, and the call continues by it: one key is sent."""
    keys: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":  # the journal asks whose key it is, and looks for the job
            return httpx.Response(200, json={"organization_id": "org_1", "data": [], "has_more": False})
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 4:
            clock.pass_(min(3, request.extensions["timeout"]["read"]))
            raise httpx.ReadTimeout("slow")
        return httpx.Response(201, json={"id": JOB_ID, "status": "completed"})

    client = connect(handler=answer, **({"journal": tmp_path / "journal"} if journal else {}))
    clock = connect.clock(client)
    began = clock.now
    with pytest.raises(
        WaitTimeoutError, match=r"passed before the service confirmed the job; it may"
    ) as caught:
        client.jobs.create_and_wait(**JOB, timeout=9)
    assert clock.now - began <= 9
    error = caught.value
    assert (error.job, error.request_sent, set(keys)) == (None, True, {error.idempotency_key})
    assert error.idempotency_key in str(error)
    key = {} if journal else {"idempotency_key": error.idempotency_key}
    assert client.jobs.create_and_wait(**JOB, **key).id == JOB_ID
    assert set(keys) == {error.idempotency_key}


def test_the_clients_own_deadline_stays_its_own(connect: Connect) -> None:
    """It is shorter than the timeout, and raises its own error."""
    client = connect(handler=Script(httpx.ReadTimeout("slow")), deadline=0.3)
    connect.clock(client)
    with pytest.raises(DeadlineExceededError):
        client.jobs.create_and_wait(**JOB)


def test_create_and_wait_buys_once(connect: Connect, fresh_server: MockServer) -> None:
    """`create_and_wait` with a key buys one job, whose wait ends in time, with the job in the error."""
    client = connect(fresh_server)
    for _ in range(2):
        with pytest.raises(WaitTimeoutError) as caught:
            client.jobs.create_and_wait(**JOB, idempotency_key="once", timeout=0)
        assert caught.value.job.status == "open"
    assert len(list(client.jobs.list())) == 1
