"""Retries over a real server: what is tried again, with what, and when it ends."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace
from typing import Any

import httpx
import pytest

from firsthandapi._core.calls.request import build_request
from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandConnectionError,
    IdempotencyError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    UnexpectedResponseError,
)
from firsthandapi.testing import MockServer
from raw import refused

from .support import JOB, Connect, FakeClock


@pytest.fixture
def client(connect: Connect, fresh_server: MockServer) -> Any:
    """A client whose clock only sleeping moves."""
    return connect(fresh_server, frozen=True)


@pytest.fixture
def clock(client: Any) -> FakeClock:
    fake_clock: FakeClock = client._transport.shared.clock
    return fake_clock


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_dropped_post_makes_one_job(
    client: Any, clock: FakeClock, drop: Any, fresh_server: MockServer
) -> None:
    """A POST whose answer is lost is sent again with the same key and the same bytes, and makes one job."""
    fresh_server.faults.add(path="/v1/jobs", drop=drop, times=2)
    job = client.jobs.create(**JOB, metadata={"ü": [1, 2.5]})
    sent = fresh_server.requests
    assert len(sent) == job.response.attempts == 3
    assert len({request.headers["idempotency-key"] for request in sent}) == 1
    assert len({request.body for request in sent}) == 1
    assert job.response.idempotency_key == sent[0].headers["idempotency-key"]
    assert job.response.idempotent_replay is (drop == "after")
    assert clock.sleeps == [0.5, 1.0]
    assert [row.id for row in client.jobs.list()] == [job.id]


@pytest.mark.parametrize("while_it", ["waits for the response", "pauses"])
@pytest.mark.parametrize(("hours", "attempts"), [(22.99, 2), (23.01, 1)])
def test_a_post_is_not_repeated_once_its_key_may_be_forgotten(
    connect: Connect, fresh_server: MockServer, while_it: str, hours: float, attempts: int
) -> None:
    """A machine may sleep at any moment of a call: the wall clock says how old the key is, and what failed is told."""
    client = connect(fresh_server, max_retries=1)
    clock = connect.clock(client)
    plain = clock.sleep
    fresh_server.faults.add(path="/v1/jobs", drop="after", times=2)

    def doze(seconds: float) -> Any:
        clock.wall += hours * 3600
        return plain(seconds)

    if while_it == "pauses":
        clock.sleep = doze
    else:
        wall = clock.wall
        clock.time = lambda: wall + (hours * 3600 if fresh_server.requests else 0)
    with pytest.raises(FirstHandConnectionError) as caught:
        client.jobs.create(**JOB)
    assert caught.value.request_sent
    assert caught.value.attempts == len(fresh_server.requests) == attempts
    assert clock.sleeps == ([0.5] if while_it == "pauses" or attempts == 2 else [])


def test_only_a_post_has_a_key_that_is_forgotten(
    client: Any, clock: FakeClock, fresh_server: MockServer
) -> None:
    """Other methods do the same however often they are sent."""
    walls = itertools.count(clock.wall, 86_400)
    clock.time = walls.__next__
    fresh_server.faults.add(status=503, times=3)
    assert client.me().response.attempts == 4


def test_an_old_key_is_not_even_sent_once(
    client: Any, clock: FakeClock, connect: Connect, fresh_server: MockServer
) -> None:
    """A key of an earlier run may have become too old since it was checked, in the queue of a rate limit."""
    request = build_request("POST", "/v1/jobs", body=b"{}", idempotency_key="old")
    with pytest.raises(FirstHandConnectionError, match="23 hours") as caught:
        connect.run(client._transport.send(replace(request, key_sent_at=clock.wall - 86_400)))
    assert (caught.value.request_sent, caught.value.attempts) == (False, 0)
    assert fresh_server.requests == []


def test_the_caller_s_key_is_kept(client: Any, fresh_server: MockServer) -> None:
    """A key of the caller's goes with every attempt; used for something else it is an IdempotencyError."""
    fresh_server.faults.add(drop="after")
    job = client.jobs.create(**JOB, idempotency_key="mine")
    assert [request.headers["idempotency-key"] for request in fresh_server.requests] == ["mine", "mine"]
    assert client.jobs.create(**JOB, idempotency_key="mine").id == job.id
    with pytest.raises(IdempotencyError) as caught:
        client.jobs.create(**{**JOB, "files_needed": 1}, idempotency_key="mine")
    assert caught.value.status == 409
    assert not caught.value.retryable


def test_a_busy_service_is_obeyed(client: Any, clock: FakeClock, fresh_server: MockServer) -> None:
    """`Retry-After` is slept out, each time it comes."""
    fresh_server.faults.add(status=503, retry_after=2, times=2)
    assert client.me().response.attempts == 3
    assert clock.sleeps == [2, 2]


def test_the_last_failure_is_the_one_raised(connect: Connect, fresh_server: MockServer) -> None:
    """When the retries are used up, the last error is raised as it is, with the count of attempts."""
    client = connect(fresh_server, max_retries=2, frozen=True)
    fresh_server.faults.add(status=503, times=2)
    fresh_server.faults.add(drop="before")
    with pytest.raises(FirstHandConnectionError, match="broke") as caught:
        client.me()
    assert caught.value.attempts == 3


NO_ENDPOINT = "we_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"


def test_a_delete_that_finds_its_work_done(client: Any, fresh_server: MockServer) -> None:
    """A retried DELETE that finds nothing left is success: an attempt before has done it, or a 5xx may hide that."""
    endpoint = client.webhooks.create(url="https://a.example")
    fresh_server.faults.add(method="DELETE", drop="after")
    assert client.webhooks.delete(endpoint.id) is None
    assert [r.status for r in fresh_server.requests if r.method == "DELETE"] == [None, 404]
    fresh_server.faults.add(method="DELETE", status=502)
    assert client.webhooks.delete(NO_ENDPOINT) is None


@pytest.mark.parametrize(
    ("method", "fault", "attempts"),
    [("delete", {}, 1), ("delete", {"status": 429}, 2), ("get", {"drop": "after"}, 2)],
)
def test_what_finds_nothing(
    client: Any, fresh_server: MockServer, method: str, fault: dict[str, Any], attempts: int
) -> None:
    """A 404 is a NotFoundError at the first attempt, after attempts that reached nobody, and to any other method."""
    if fault:
        fresh_server.faults.add(**fault)
    with pytest.raises(NotFoundError) as caught:
        getattr(client.webhooks, method)(NO_ENDPOINT)
    assert caught.value.attempts == attempts


def test_the_deadline_ends_the_retries(connect: Connect, fresh_server: MockServer) -> None:
    """When the next pause would end after the deadline, the call ends now, and says what stood in its way."""
    client = connect(fresh_server, deadline=15.0, max_retries=9)
    clock = connect.clock(client)
    fresh_server.faults.add(status=503, times=None)
    with pytest.raises(DeadlineExceededError, match=r"GET /v1/me .* deadline of 15 s") as caught:
        client.me()
    assert clock.sleeps == [0.5, 1.0, 2.0, 4.0]
    assert caught.value.deadline == 15.0
    assert caught.value.attempts == 5
    assert isinstance(caught.value.__cause__, ServerError)


def test_the_deadline_is_over_before_the_next_attempt(connect: Connect, fresh_server: MockServer) -> None:
    """A pause that took longer than it should does not lead to an attempt after the deadline."""
    client = connect(fresh_server, deadline=5)
    clock = connect.clock(client)
    plain = clock.sleep

    def oversleep(seconds: float) -> Any:
        clock.pass_(10)
        return plain(seconds)

    clock.sleep = oversleep
    fresh_server.faults.add(status=503, times=None)
    with pytest.raises(DeadlineExceededError) as caught:
        client.me()
    assert caught.value.attempts == len(fresh_server.requests) == 1


def test_what_is_no_error_of_ours_ends_the_retries(client: Any, fresh_server: MockServer) -> None:
    """A warning that the caller made an error, in a later attempt, reaches the caller and is not retried."""
    fresh_server.faults.add(status=503)
    fresh_server.faults.add(headers={"Deprecation": "true"})
    with pytest.raises(DeprecationWarning):
        client.me()
    assert len(fresh_server.requests) == 2


# ── After a POST whose answer was lost ───────────────────────────────────────────────────────────────────

LOST: dict[str, tuple[dict[str, Any], type[Exception], bool]] = {
    "answer lost": ({"drop": "after", "times": 2}, FirstHandConnectionError, True),
    "never arrived": ({"drop": "before", "times": 2}, FirstHandConnectionError, True),
    "5xx": ({"status": 503, "times": 2}, ServerError, True),
    "not JSON": ({"garbage": True, "times": 2}, UnexpectedResponseError, True),
    "cut": ({"cut": 9, "times": 2}, FirstHandConnectionError, True),
    "refused": ({"status": 403, "times": 1}, PermissionDeniedError, False),
    "lost, then refused": ({"drop": "after", "times": 1}, PermissionDeniedError, True),
}


@pytest.mark.parametrize("name", LOST)
def test_the_advice_after_a_lost_answer_buys_once(
    name: str, connect: Connect, fresh_server: MockServer
) -> None:
    """The error has the key, and its message says how to repeat the call: whoever does so pays once."""
    fault, kind, may_have_arrived = LOST[name]
    client = connect(fresh_server, max_retries=1, frozen=True)
    fresh_server.faults.add(path="/v1/jobs", method="POST", **fault)
    if name == "lost, then refused":
        fresh_server.faults.add(path="/v1/jobs", method="POST", status=403)
    with pytest.raises(kind) as caught:
        client.jobs.create(**JOB)
    error: Any = caught.value
    keys = {request.headers["idempotency-key"] for request in fresh_server.requests}
    assert {error.idempotency_key} == keys
    assert error.request_sent is True
    assert f'the same key within 23 hours: idempotency_key="{error.idempotency_key}"' in str(error)
    assert ("it may have been done" in str(error)) is may_have_arrived
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # made here
    assert pickle.loads(pickle.dumps(error)).idempotency_key in keys  # made here
    job = client.jobs.create(**JOB, idempotency_key=error.idempotency_key)
    assert [row.id for row in client.jobs.list()] == [job.id]


def test_a_deadline_names_the_key(connect: Connect, fresh_server: MockServer) -> None:
    """A call that is cut by its deadline may have bought."""
    client = connect(fresh_server, deadline=3, max_retries=9, frozen=True)
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after", times=None)
    with pytest.raises(DeadlineExceededError) as caught:
        client.jobs.create(**JOB)
    assert caught.value.request_sent is True
    assert f'idempotency_key="{caught.value.idempotency_key}"' in caught.value.message


def test_a_post_that_was_never_sent_needs_no_key(connect: Connect) -> None:
    """Without a connection nothing was done, and the message says nothing of keys; the attribute is there anyway."""
    with refused() as port:
        client = connect(api_key="fh_test_x", base_url=f"http://127.0.0.1:{port}", max_retries=0)
        with pytest.raises(FirstHandConnectionError) as caught:
            client.jobs.create(**JOB)
    assert caught.value.request_sent is False
    assert caught.value.idempotency_key is not None
    assert "idempotency_key" not in str(caught.value)


def test_nothing_of_keys_after_a_get(connect: Connect, fresh_server: MockServer) -> None:
    """A read can be repeated as it is; and every error has both attributes."""
    client = connect(fresh_server, max_retries=0)
    fresh_server.faults.add(drop="after")
    with pytest.raises(FirstHandConnectionError) as caught:
        client.jobs.list().data  # noqa: B018 # the first page is read by this
    assert caught.value.idempotency_key is None
    assert "idempotency_key" not in str(caught.value)
    with pytest.raises(InvalidArgumentError) as invalid:
        client.jobs.get("")
    assert (invalid.value.idempotency_key, invalid.value.request_sent) == (None, None)


@pytest.mark.parametrize("body", [b"<html>", b'{"job": 1}', b'{"object":"job","id":"jo', b""])
def test_an_unreadable_success_is_asked_for_once_more(connect: Connect, body: bytes) -> None:
    """Only the response says what was bought, so it is asked for once more, by the same key; a GET is not."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, content=body)

    client = connect(handler=answer, max_retries=3, frozen=True)
    with pytest.raises(UnexpectedResponseError) as caught:
        client.jobs.create(**JOB)
    assert [request.headers["idempotency-key"] for request in seen] == [caught.value.idempotency_key] * 2
    seen.clear()
    with pytest.raises(UnexpectedResponseError):
        client.jobs.get("job_1")
    assert len(seen) == 1


def test_an_unreadable_success_keeps_the_deadline(connect: Connect) -> None:
    """Without time for another request, the error is that of the response."""
    client = connect(handler=lambda _: httpx.Response(201, content=b"<html>"), deadline=0.3, frozen=True)
    with pytest.raises(UnexpectedResponseError) as caught:
        client.jobs.create(**JOB)
    assert f'idempotency_key="{caught.value.idempotency_key}"' in str(caught.value)


def test_what_the_callers_http_client_may_have_sent(connect: Connect) -> None:
    """A client of the caller's may repeat a request by itself: whether it was sent cannot be known."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = connect(handler=fail, max_retries=0)
    with pytest.raises(FirstHandConnectionError) as caught:
        client.jobs.create(**JOB)
    assert caught.value.request_sent is None
    assert f'idempotency_key="{caught.value.idempotency_key}"' in str(caught.value)


def test_an_interrupted_post_has_a_note(connect: Connect) -> None:
    """Ctrl-C while the answer is on its way: the note says how to repeat the call."""

    class Stop(BaseException):
        pass

    def stop(request: httpx.Request) -> httpx.Response:
        raise Stop(request.headers.get("idempotency-key", ""))

    client = connect(handler=stop)
    with pytest.raises(Stop) as caught:
        client.jobs.create(**JOB)
    assert caught.value.__notes__ == [
        "POST /v1/jobs was interrupted; it may have been done: to repeat this call safely, send the same key within 23 "
        f'hours: idempotency_key="{caught.value}"'
    ]
    with pytest.raises(Stop) as caught:
        client.jobs.get("job_1")
    assert not hasattr(caught.value, "__notes__")
