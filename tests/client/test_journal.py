"""The journal of a client, over a real server: every POST is done once, whoever dies when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import AsyncFirstHandClient, FirstHandClient, Pending
from firsthandapi._base.host import replacing
from firsthandapi._base.host.byte_locks import try_lock
from firsthandapi._core.orders.record import OrderRecord, read_record
from firsthandapi.datasets._journal import LOCK_FILE, journal_at
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandError,
    IdempotencyError,
    InsufficientCreditsError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    UnexpectedResponseError,
    WaitTimeoutError,
)
from firsthandapi.testing import HostileService, MockServer
from processes import unmeasured
from raw import RawRequest, refused

from .support import JOB, Connect


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "orders.journal")


@pytest.fixture
def client(connect: Connect, fresh_server: MockServer, path: str) -> Any:
    """With the journal, and without retries."""
    return connect(fresh_server, journal=path, max_retries=0)


@pytest.fixture(autouse=True)
def nothing_stays_open(path: str) -> Iterator[None]:
    """Whatever a test does, at its end no call of this process is under way."""
    yield
    assert not journal_at(path)._held
    assert journal_at(path)._fd == -1


def posts(server: MockServer, path: str = "/v1/jobs") -> list[str]:
    """The keys of the POSTs that have arrived."""
    return [r.headers["idempotency-key"] for r in server.requests if (r.method, r.path) == ("POST", path)]


def lose(client: Any, server: MockServer, **fault: Any) -> FirstHandError:
    """Post a job whose answer is lost."""
    server.faults.add(path="/v1/jobs", method="POST", **(fault or {"drop": "after"}))
    with pytest.raises(FirstHandError) as caught:
        client.jobs.create(**JOB)
    return caught.value


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Somebody looks into the journal all the time, such as a process that is stopped."""
    fd = os.open(Path(path, LOCK_FILE), os.O_RDWR)
    assert try_lock(fd, 0)
    yield
    os.close(fd)


def record_files(path: str) -> list[Path]:
    return sorted(Path(path).glob("[!.]*.json"))


def records(path: str) -> list[OrderRecord]:
    """What the journal contains."""
    return [read_record(file.read_bytes(), file) for file in record_files(path)]


def change(path: str, **changes: Any) -> None:
    """Have its one record say something else."""
    (file,) = record_files(path)
    file.write_bytes(replace(read_record(file.read_bytes(), file), **changes).encode())


def age(path: str, hours: float) -> None:
    """Make every record so much older."""
    for file in record_files(path):
        record = read_record(file.read_bytes(), file)
        first_sent_at = (record.first_sent_at or 0.0) - 3600 * hours
        file.write_bytes(replace(record, first_sent_at=first_sent_at).encode())


def test_the_deadline_bounds_the_wait_for_another_process(
    client: Any, fresh_server: MockServer, path: str
) -> None:
    """The call ends, and sends nothing. One that repeats no other call has nobody to wait for."""
    lose(client, fresh_server)
    hurried = client.with_options(deadline=0.01)
    sent = len(fresh_server.requests)
    with locked(path):
        with pytest.raises(
            DeadlineExceededError, match=r"its deadline of 0.01 s: journal: .* is locked by another"
        ):
            hurried.jobs.create(**JOB)
        assert len(fresh_server.requests) == sent
        second_job = client.with_options(deadline=60).jobs.create(**{**JOB, "files_needed": 1})
    job = client.jobs.create(**JOB)
    assert sorted(jobs(client)) == sorted([job.id, second_job.id])
    assert client.journal.pending() == ()


def test_without_a_deadline_the_journal_is_waited_for(
    client: Any, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For ten seconds; what another process may have had for so long is not the deadline's."""
    lose(client, fresh_server)
    monkeypatch.setattr("firsthandapi.datasets._journal.taken_within", lambda *_: False)
    with pytest.raises(ConfigurationError, match="is locked by another process; nothing was sent"):
        client.jobs.create(**JOB)


def jobs(client: Any) -> list[str]:
    return [job.id for job in client.jobs.list()]


# ── What is known ────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_call_is_finished(client: Any, fresh_server: MockServer, path: str) -> None:
    """The next equal call is a new one, and costs no request more; the journal has nothing of it any more."""
    first, second = client.jobs.create(**JOB), client.jobs.create(**JOB)
    assert first.id != second.id
    assert [request.method for request in fresh_server.requests] == ["POST", "POST"]
    assert client.journal.pending() == ()
    assert records(path) == []
    assert first.metadata["firsthandapi_key"] == posts(fresh_server)[0] == first.response.idempotency_key


def test_the_key_is_on_the_disk_before_the_first_byte(connect: Connect, path: str) -> None:
    """And the request with it, flushed; under way, it is not unknown."""
    seen: list[OrderRecord] = []

    def answer(request: httpx.Request) -> httpx.Response:
        (record,) = records(path)
        assert request.headers["idempotency-key"] == record.key
        assert record.request == json.loads(request.content)
        assert journal_at(path).pending() == []
        seen.append(record)
        return httpx.Response(201, json={"object": "job", "id": "job_1", "status": "open"})

    client = connect(handler=answer, journal=path)
    assert client.jobs.create(**JOB).id == "job_1"
    assert len(seen) == 1


def test_no_secret_is_in_the_file(client: Any, fresh_server: MockServer, path: str) -> None:
    """Neither the API key, nor anything of an answer but the id of a job that is waited for."""
    for where in ("/v1/jobs", "/v1/api_keys"):
        fresh_server.faults.add(path=where, method="POST", drop="after")
    with pytest.raises(FirstHandConnectionError):
        client.api_keys.create(name="ci")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.create(**JOB)
    with pytest.raises(WaitTimeoutError):
        client.jobs.create_and_wait(**JOB, timeout=0)
    text = "".join(file.read_text() for file in record_files(path))
    assert '"name": "ci"' in text
    assert jobs(client)[0] in text
    for secret in (fresh_server.api_key, "fh_live", "files_approved"):
        assert secret not in text
    for pending in client.journal.pending():
        client.journal.forget(pending.key)


def test_what_never_left_is_not_pending(client: Any, connect: Connect, path: str) -> None:
    """No connection was made, so nothing was done."""
    with refused() as port:
        nowhere = client.with_options(base_url=f"http://127.0.0.1:{port}", max_retries=0)
        with pytest.raises(FirstHandConnectionError):
            nowhere.jobs.create(**JOB)
    assert client.journal.pending() == ()
    assert records(path) == []


def test_a_refusal_drops_no_key(client: Any, fresh_server: MockServer) -> None:
    """The service may have bought first: the same call sends the same key again, also with less to pay for."""
    error = lose(client, fresh_server, status=402)
    assert [(call.key, call.refused) for call in client.journal.pending()] == [(error.idempotency_key, True)]
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert posts(fresh_server) == [error.idempotency_key] * 2
    assert client.journal.pending() == ()


def test_a_job_that_was_bought_despite_its_refusal_is_found(connect: Connect, path: str) -> None:
    """By its metadata, in the same call."""
    with HostileService(refused=1.0) as liar:
        client = connect(base_url=liar.url, journal=path, max_retries=0)
        assert client.jobs.create(**JOB).id == liar.jobs[0].id
        assert len(liar.jobs) == 1
    assert client.journal.pending() == ()


@pytest.mark.parametrize(("skew", "is_bounded"), [(0.0, True), (None, False)])
def test_the_search_behind_the_refusal_of_a_new_key_reads_one_page(
    connect: Connect, path: str, skew: float | None, is_bounded: bool
) -> None:
    """A large account has thousands of jobs, and a 400 is common. It takes a service that says what time it is."""
    searches: list[str] = []

    def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
        if request.method == "POST":
            return 400, {"error": {"type": "refused", "message": "no"}}
        searches.append(request.target)
        return status, body

    with HostileService(skew=skew, list_lag=60.0) as liar:
        liar.says = says
        client = connect(base_url=liar.url, journal=path, max_retries=0)
        with pytest.raises(InvalidRequestError):
            client.jobs.create(**JOB)
    assert ["created_after" in search for search in searches] == [is_bounded]


def test_the_job_is_looked_for_before_its_key_is_sent_again(client: Any, fresh_server: MockServer) -> None:
    """A service may lose its table of keys."""
    lose(client, fresh_server)
    fresh_server.clock.advance(days=2)
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert len(posts(fresh_server)) == 1


def test_a_key_that_may_not_read_jobs_sends_the_same_key_again(
    connect: Connect, fresh_server: MockServer, path: str
) -> None:
    """As long as the service certainly knows it; later it is not sent."""
    with fresh_server.client() as owner:
        writer = owner.api_keys.create(name="writer", scopes=["jobs:write"])
    client = connect(api_key=writer.secret, base_url=fresh_server.url, journal=path, max_retries=0)
    lose(client, fresh_server, drop="before")
    age(path, 24)
    with pytest.raises(PermissionDeniedError):
        client.jobs.create(**JOB)
    age(path, -24)
    client.jobs.create(**JOB)
    assert len(set(posts(fresh_server))) == 1
    assert isinstance(
        lose(client, fresh_server, status=422), InvalidRequestError
    )  # not the error of the search


# ── What is unknown ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"drop": "before"}, {"status": 503}])
def test_a_lost_answer_is_settled_by_the_same_call(
    client: Any, fresh_server: MockServer, fault: dict[str, Any]
) -> None:
    """By its key and its bytes; the call after that is a new one."""
    error = lose(client, fresh_server, **fault)
    assert "run the same call again: it sends the same key" in str(error)
    (pending,) = client.journal.pending()
    assert isinstance(pending, Pending)
    assert (pending.key, pending.path, pending.job_id) == (error.idempotency_key, "/v1/jobs", None)
    job = client.jobs.create(**{**JOB, "description": f" {JOB['description']}\n"})
    assert jobs(client) == [job.id]
    assert set(posts(fresh_server)) == {error.idempotency_key}
    assert client.journal.pending() == ()
    assert client.jobs.create(**JOB).id != job.id


def test_an_answer_that_cannot_be_read_leads_to_the_job(client: Any, fresh_server: MockServer) -> None:
    """It is no answer, and the list shows what the POST has bought."""
    fresh_server.faults.add(path="/v1/jobs", method="POST", garbage=True, times=2)
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert client.journal.pending() == ()


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_key_of_the_callers_with_other_arguments(
    client: Any, fresh_server: MockServer, path: str, drop: Any
) -> None:
    """What is asked for now is sent, unless the key has bought something else before."""
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop=drop)
    with pytest.raises(FirstHandConnectionError):
        client.jobs.create(**JOB, idempotency_key="mine")
    arguments = {**JOB, "files_needed": 1}
    if drop == "before":
        assert client.jobs.create(**arguments, idempotency_key="mine").files_needed == 1
    else:
        with pytest.raises(
            InvalidArgumentError, match=r"idempotency_key mine has already bought job_.* with other arguments"
        ):
            client.jobs.create(**arguments, idempotency_key="mine")
    assert len(jobs(client)) == 1


def test_every_post_but_a_harmless_one(client: Any, fresh_server: MockServer) -> None:
    """Purchases, keys, and the rest; to refresh a URL changes nothing, and happens by the thousand."""
    job = client.jobs.create(**JOB)
    calls: dict[str, Any] = {
        "/v1/billing/credits/purchase": lambda: client.billing.purchase(1000),
        "/v1/api_keys": lambda: client.api_keys.create(name="ci"),
        "/v1/webhook_endpoints": lambda: client.webhooks.create(url="https://example.com/hook"),
        f"/v1/jobs/{job.id}/cancel": lambda: client.jobs.cancel(job.id),
    }
    for where, call in calls.items():
        fresh_server.faults.add(path=where, method="POST", drop="after")
        with pytest.raises(FirstHandConnectionError):
            call()
        assert [call.path for call in client.journal.pending()] == [where]
        call()
        assert len(set(posts(fresh_server, where))) == 1
        assert client.journal.pending() == ()
    fresh_server.faults.add(path="/v1/files", drop="before")
    with pytest.raises(FirstHandConnectionError):
        client.files.refresh_url("file_1")
    assert client.journal.pending() == ()
    assert [key.name for key in client.api_keys.list()].count("ci") == 1


def test_a_post_of_the_callers_own(client: Any, fresh_server: MockServer) -> None:
    """`client.request` goes through it too."""
    fresh_server.faults.add(path="/v1/api_keys", drop="after")
    with pytest.raises(FirstHandConnectionError):
        client.request("POST", "/v1/api_keys", json={"name": "ci"})
    assert client.request("POST", "/v1/api_keys", json={"name": "ci"}).idempotent_replay
    assert client.journal.pending() == ()


def test_an_unknown_outcome_may_stay_unknown(client: Any, fresh_server: MockServer) -> None:
    """Whatever happens when it is settled, the entry stays until its outcome is known."""
    error = lose(client, fresh_server, drop="before")
    fresh_server.faults.add(path="/v1/me", drop="before")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.create(**JOB)
    fresh_server.faults.add(path="/v1/me", status=401)
    with pytest.raises(AuthenticationError):
        client.jobs.create(**JOB)
    fresh_server.faults.add(path="/v1/jobs", method="POST", status=503)
    with pytest.raises(ServerError):
        client.with_options(deadline=60).jobs.create(**JOB)
    fresh_server.faults.add(path="/v1/me", status=403)  # whose key it is need not be known
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert set(posts(fresh_server)) == {error.idempotency_key}
    assert client.journal.pending() == ()


# ── Whose call it is ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_rotated_key_is_the_same_account(
    connect: Connect, fresh_server: MockServer, path: str, drop: str
) -> None:
    """The API key of the same organization and environment continues the calls of the old one."""
    plain = connect(fresh_server)
    old = plain.api_keys.create(name="old")
    client = connect(fresh_server, journal=path, max_retries=0, api_key=old.secret)
    error = lose(client, fresh_server, drop=drop)
    new = plain.api_keys.rotate(old.id)
    rotated = connect(fresh_server, journal=path, api_key=new.secret)
    job = rotated.jobs.create(**JOB)
    assert jobs(plain) == [job.id]
    assert set(posts(fresh_server)) == {error.idempotency_key}
    assert len(client.journal.pending()) == (drop == "before")  # nobody has said whose the first one was
    assert rotated.jobs.create(**JOB).id != job.id


def test_another_organization_is_another_account(
    client: Any, connect: Connect, fresh_server: MockServer, path: str
) -> None:
    """Its equal call is its own, and the unknown one of the first organization stays and is settled by it."""
    lose(client, fresh_server)
    signed = connect.run(
        connect.client_class.signup(name="B", email="b@b.example", base_url=fresh_server.url)
    )
    stranger = connect(fresh_server, journal=path, api_key=signed.api_key)
    first = stranger.jobs.create(**JOB)
    stranger.jobs.cancel(first.id)  # the free tier has one open job
    second = stranger.jobs.create(**JOB)
    assert sorted(jobs(stranger)) == sorted([first.id, second.id])
    assert len(client.journal.pending()) == 1
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert client.journal.pending() == ()


def test_an_organization_that_is_known_shares_no_key(
    client: Any, connect: Connect, fresh_server: MockServer, path: str
) -> None:
    """Once the service has named it, its calls are not even tried by another one."""
    lose(client, fresh_server)
    client.jobs.create(**JOB)  # asks whose API key it is
    error = lose(client, fresh_server)
    signed = connect.run(
        connect.client_class.signup(name="B", email="b@b.example", base_url=fresh_server.url)
    )
    connect(fresh_server, journal=path, api_key=signed.api_key).jobs.create(**JOB)
    assert posts(fresh_server).count(error.idempotency_key) == 1
    assert [call.key for call in client.journal.pending()] == [error.idempotency_key]


# ── An old key ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_old_call_is_looked_for_since_its_key_was_used(
    client: Any, fresh_server: MockServer, path: str
) -> None:
    """Where the caller says so, and the entry at least; older jobs are not read."""
    lose(client, fresh_server)
    age(path, 24)
    (record,) = records(path)
    now = datetime.now(UTC)
    job = client.jobs.create(**JOB, key_since=now + timedelta(hours=3))
    assert jobs(client) == [job.id]
    search = next(r for r in fresh_server.requests if (r.method, r.path) == ("GET", "/v1/jobs"))
    expected = datetime.fromtimestamp(int((record.first_sent_at or 0.0) - 24 * 3600), UTC)
    assert search.query == {"limit": "100", "created_after": f"{expected:%Y-%m-%dT%H:%M:%SZ}"}


def test_an_old_call_that_is_not_found_is_sent_with_the_same_key(
    client: Any, fresh_server: MockServer, path: str
) -> None:
    """Whatever the clock says: a job that is young is bought by its key, and an old one would have been found."""
    error = lose(client, fresh_server, drop="before")
    age(path, 24)
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    assert posts(fresh_server)[-1] == error.idempotency_key
    assert client.journal.pending() == ()


def test_an_old_key_that_no_search_can_find_is_not_sent_with_other_arguments(
    client: Any, fresh_server: MockServer, path: str
) -> None:
    """What was written down says whether a search would find its job, not what the caller passes now."""
    full = {**JOB, "metadata": {str(n): n for n in range(20)}}
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.create(**full, idempotency_key="k")
    # The young key is sent with them. The record does not look afterwards as if a search found what it has bought.
    fresh_server.faults.add(path="/v1/jobs", method="POST", drop="before")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.create(**JOB, idempotency_key="k")
    age(path, 24)
    fresh_server.clock.advance(days=2)
    with pytest.raises(ConfigurationError, match=r"no search finds its job. .*client.journal.forget"):
        client.jobs.create(**JOB, idempotency_key="k")
    assert len(jobs(client)) == 1


def test_one_clock_is_not_believed_alone(
    client: Any, connect: Connect, fresh_server: MockServer, path: str
) -> None:
    """The local clock may have been set back: the service's says that a day has passed."""
    fresh_server.faults.add(path="/v1/api_keys", method="POST", drop="before")
    with pytest.raises(FirstHandConnectionError) as lost:
        client.api_keys.create(name="ci")
    clock = connect.clock(client)
    clock.wall = (records(path)[0].first_sent_at or 0.0) - 24 * 3600
    age(path, 24)  # and the local clock with it
    with pytest.raises(ConfigurationError, match="the same key is too old") as caught:
        client.api_keys.create(name="ci")
    key = lost.value.idempotency_key
    assert caught.value.idempotency_key == key
    assert f"client.journal.forget('{key}')" in str(caught.value)
    assert f"firsthandapi orders forget {path} {key}" in str(caught.value)
    client.journal.forget(key)
    with pytest.raises(InvalidArgumentError, match="is not pending"):
        client.journal.forget(key)
    assert posts(fresh_server, "/v1/api_keys") == [key]


def test_what_does_no_harm_twice_is_not_refused(client: Any, fresh_server: MockServer, path: str) -> None:
    """An old call to cancel must not keep a job running; an old one for an API key is refused."""
    job = client.jobs.create(**JOB)
    for where in (f"/v1/jobs/{job.id}/cancel", "/v1/api_keys"):
        fresh_server.faults.add(path=where, method="POST", drop="before")
    with pytest.raises(FirstHandConnectionError):
        client.jobs.cancel(job.id)
    with pytest.raises(FirstHandConnectionError):
        client.api_keys.create(name="ci")
    age(path, 24)
    assert client.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(ConfigurationError, match="what it did cannot be looked up"):
        client.api_keys.create(name="ci")
    assert [call.path for call in client.journal.pending()] == ["/v1/api_keys"]


def test_a_key_that_the_service_holds_for_another_body(
    client: Any, fresh_server: MockServer, path: str
) -> None:
    """The job that it has bought is looked for by it."""
    lose(client, fresh_server)
    (record,) = records(path)
    change(path, request={**record.request, "description": f"{record.request['description']} "})
    job = client.jobs.create(**JOB)
    assert jobs(client) == [job.id]
    fresh_server.faults.add(path="/v1/api_keys", drop="after")
    with pytest.raises(FirstHandConnectionError):
        client.api_keys.create(name="a")
    change(path, request={"name": "a "})
    with pytest.raises(IdempotencyError):
        client.api_keys.create(name="a")
    assert len(client.journal.pending()) == 1


# ── create_and_wait ──────────────────────────────────────────────────────────────────────────────────────


def test_a_stopped_create_and_wait_continues_its_job(client: Any, path: str) -> None:
    """It is finished when it returns: at any age the same call waits for the job, and posts none."""
    with pytest.raises(WaitTimeoutError) as caught:
        client.jobs.create_and_wait(**JOB, timeout=0)
    job = caught.value.job
    assert job is not None
    assert (
        f"The job {job.id} continues: run the same call again, which posts no other job"
        in caught.value.__notes__
    )
    assert [call.job_id for call in client.journal.pending()] == [job.id]
    age(path, 100)

    class Stop(BaseException):
        pass

    def stop(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        client.jobs.create_and_wait(**JOB, on_update=stop)
    second_job = client.jobs.create(**JOB)  # not the same call: it does not wait
    client.jobs.cancel(job.id)
    assert client.jobs.create_and_wait(**JOB).id == job.id
    assert client.journal.pending() == ()
    assert sorted(jobs(client)) == sorted([job.id, second_job.id])


def test_a_create_and_wait_whose_answer_was_lost(client: Any, fresh_server: MockServer) -> None:
    """It is settled by its key, and then waits."""
    lose(client, fresh_server)
    with pytest.raises(WaitTimeoutError) as caught:
        client.jobs.create_and_wait(**JOB, timeout=0)
    assert jobs(client) == [getattr(caught.value.job, "id", None)]
    assert [call.job_id for call in client.journal.pending()] == jobs(client)
    client.journal.forget(client.journal.pending()[0].key)


def test_a_create_and_wait_whose_job_has_no_usable_id(connect: Connect, path: str) -> None:
    """The error names the job and its key, and the call stays in the journal: the same one posts no other job."""
    posted: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            posted.append(request)
            return httpx.Response(201, json={"id": "job_1/cancel", "status": "open"})
        return httpx.Response(200, json={"object": "list", "data": [], "has_more": False})

    client = connect(handler=answer, journal=path, max_retries=0)
    with pytest.raises(UnexpectedResponseError, match="is paid for") as caught:
        client.jobs.create_and_wait(**JOB)
    (pending,) = client.journal.pending()
    assert caught.value.idempotency_key == pending.key
    assert caught.value.job is not None
    with pytest.raises(UnexpectedResponseError):
        client.jobs.create_and_wait(**JOB)
    assert {request.headers["idempotency-key"] for request in posted} == {pending.key}


@pytest.mark.parametrize("method", ["create", "create_and_wait"])
def test_a_call_that_is_stopped_while_its_end_is_written(
    connect: Connect, path: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody got its result: the same call returns it."""

    class Stop(BaseException):
        pass

    remove = replacing.remove

    def removed(file: Any) -> None:
        remove(file)
        if not Path(file).name.startswith("."):
            monkeypatch.undo()
            raise Stop

    with HostileService(pace=0.0, list_lag=60.0) as liar:
        client = connect(base_url=liar.url, journal=path)
        call = getattr(client.jobs, method)
        monkeypatch.setattr(replacing, "remove", removed)
        with pytest.raises(Stop):
            call(**JOB)
        (job,) = liar.jobs
        assert [call.key for call in client.journal.pending()] == [job.key]
        assert call(**JOB).id == job.id
        assert client.journal.pending() == ()
        assert call(**JOB).id == liar.jobs[1].id


def test_a_job_that_does_not_show_yet(connect: Connect, path: str) -> None:
    """The same call waits for it, rather than advise to forget it."""
    with HostileService(get_lag=3.0) as liar:
        client = connect(base_url=liar.url, journal=path)
        liar.follow(clock := connect.clock(client))
        with pytest.raises(WaitTimeoutError):
            client.jobs.create_and_wait(**JOB, timeout=0)
        assert client.jobs.create_and_wait(**JOB).status == "completed"
        assert (len(liar.jobs), clock.sleeps) == (1, [0.5, 1, 2])


def test_a_job_that_is_gone(client: Any, path: str) -> None:
    """The error says how to have another one."""
    with pytest.raises(WaitTimeoutError):
        client.jobs.create_and_wait(**JOB, timeout=0)
    (record,) = records(path)
    change(path, job={"id": "job_01JPGONE"}, first_sent_at=(record.first_sent_at or 0.0) - 3600)
    with pytest.raises(NotFoundError) as caught:
        client.jobs.create_and_wait(**JOB, timeout=0)
    assert f"client.journal.forget({record.key!r})" in caught.value.__notes__[0]
    api_key = client.api_keys.create(name="new")
    with pytest.raises(WaitTimeoutError):  # of another organization, perhaps, so it is no job of this one
        client.with_options(api_key=api_key.secret).jobs.create_and_wait(**JOB, timeout=0)
    assert len(jobs(client)) == 2


def test_without_a_journal_the_note_says_how_to_wait(connect: Connect, fresh_server: MockServer) -> None:
    """The same call would post another job."""
    client = connect(fresh_server)
    with pytest.raises(WaitTimeoutError) as caught:
        client.jobs.create_and_wait(**JOB, timeout=0)
    job_id = getattr(caught.value.job, "id", None)
    advice = f"client.jobs.wait({job_id!r}) waits for it; the same call would post another job"
    assert caught.value.__notes__ == [f"The job {job_id} continues: {advice}"]
    assert advice in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == caught.value.__notes__  # made here


# ── Who has one ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_path_that_cannot_be_written_sends_nothing(connect: Connect, tmp_path: Path) -> None:
    """It is refused when the client is made, or a copy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="is a file: a journal of an earlier version"):
        connect(journal=tmp_path / "file")
    with pytest.raises(ConfigurationError, match="journal"):
        connect().with_options(journal=tmp_path / "no" / "file")


def test_a_copy_shares_it_or_has_none(connect: Connect, fresh_server: MockServer, path: str) -> None:
    """`with_options(journal=…)` is as any other option."""
    client = connect(fresh_server, max_retries=0)
    with pytest.raises(ConfigurationError, match="this client has no journal; create it with journal=path"):
        client.journal.pending()
    client.jobs.create(**JOB)
    assert not os.path.exists(path)  # noqa: PTH110 # no journal was asked for
    copy = client.with_options(journal=path)
    lose(copy.with_options(timeout=5), fresh_server)
    assert len(copy.journal.pending()) == 1
    copy.with_options(journal=None).jobs.create(**JOB)
    assert len(copy.journal.pending()) == 1


def test_a_full_disk_sends_nothing(
    connect: Connect,
    fresh_server: MockServer,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And what the disk refuses after the answer costs no answer."""
    client = connect(fresh_server, journal=path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(replacing, "flush", full)
        with pytest.raises(ConfigurationError, match="nothing was sent"):
            client.jobs.create(**JOB)
    assert fresh_server.requests == []
    with monkeypatch.context() as patch:
        patch.setattr(replacing, "remove", full)
        job = client.jobs.create(**JOB)
    assert "cannot be removed: No space left on device; its call has ended" in caplog.text
    assert client.journal.pending() == ()
    assert client.jobs.create(**JOB).id != job.id
    (file,) = record_files(path)
    file.unlink()
    journal_at(path)._give_back(int(file.stem.split("-")[1], 16))


def test_a_disk_that_is_full_beside_a_refusal(
    client: Any, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets the refusal. A refused key is sent again only once its record says so."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(replacing, "replace", full)
        assert isinstance(lose(client, fresh_server, status=402), InsufficientCreditsError)
    assert isinstance(lose(client, fresh_server, status=402), InsufficientCreditsError)
    with monkeypatch.context() as patch:
        patch.setattr(replacing, "replace", full)
        with pytest.raises(ConfigurationError, match="No space left on device; nothing was sent"):
            client.jobs.create(**JOB)
    assert len(posts(fresh_server)) == 2
    assert [client.jobs.create(**JOB).id] == jobs(client)


def test_collect_has_its_own_record(client: Any, fresh_server: MockServer, path: str, tmp_path: Path) -> None:
    """The folder: the journal does not have it too."""
    with pytest.raises(WaitTimeoutError):
        client.jobs.collect(tmp_path / "signs", **JOB, timeout=0)
    assert client.journal.pending() == ()
    assert len(posts(fresh_server)) == 1
    assert records(path) == []


# ── Many at once ─────────────────────────────────────────────────────────────────────────────────────────


def test_threads_and_one_unknown_call(fresh_server: MockServer, path: str) -> None:
    """One of ten equal calls settles it; the nine others are new ones."""
    with FirstHandClient(fresh_server.api_key, fresh_server.url, journal=path, max_retries=0) as client:
        error = lose(client, fresh_server)
        job_ids: list[str] = []
        threads = [
            threading.Thread(target=lambda: job_ids.append(client.jobs.create(**JOB).id)) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(set(job_ids)) == 10
        assert sorted(jobs(client)) == sorted(job_ids)
        assert posts(fresh_server).count(str(error.idempotency_key)) == 1
        assert client.journal.pending() == ()


# For each step, a call in a process that kills itself with SIGKILL at that step: before the n-th change on the disk, or
# in the middle of it; and the same call in another process, which lives. Each step has a journal of its own.
DYING = """if True:
    import itertools, json, os, signal, sys
    import firsthandapi._sync.journal, firsthandapi._sync.ordering, firsthandapi._sync.waiting, firsthandapi.types
    from firsthandapi import FirstHandClient
    key, url, path, call, job = sys.argv[1:]
    def run(step):
        if (child := os.fork()):
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        left = [step]
        def dying(function):
            def run(*args):
                left[0] -= 1
                if left[0] == 0:
                    if function is write:
                        write(args[0], args[1][: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args)
            return run
        write = os.write
        for name in ("write", "fsync", "link", "replace", "unlink"):
            setattr(os, name, dying(getattr(os, name)))
        with FirstHandClient(key, url, journal=f"{path}{number}") as client:
            getattr(client.jobs, call)(**json.loads(job), title=f"step {number}")
        os._exit(0)
    for number in itertools.count(1):
        if run(number) == 0:
            break
        assert run(0) == 0
"""


# The first steps of `create_and_wait` are those of `create`.
@pytest.mark.parametrize(
    ("call", "steps"), [pytest.param("create", 8, marks=pytest.mark.slow), ("create_and_wait", 13)]
)
def test_a_process_that_is_killed_at_each_step_buys_once(path: str, call: str, steps: int) -> None:
    """Whatever was written, and half of it: the same call in the next process is the same job."""
    with MockServer(speed=600) as server, server.client() as client:
        arguments = [server.api_key, server.url, path, call, json.dumps(JOB)]
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", DYING, *arguments],
            timeout=120,
            check=True,
            env=unmeasured(),
        )
        bought = Counter(job.title for job in client.jobs.list())
        # Killed after its record was removed, a call is finished: the next one has bought a job of its own.
        assert [bought[f"step {n}"] for n in range(1, steps + 2)] == [*[1] * (steps - 1), 2, 1]
        assert not any(records(f"{path}{n}") for n in range(1, steps + 2))


# A call in a process of its own.
CALLING = """if True:
    import json, sys
    from firsthandapi import FirstHandClient
    key, url, path, job = sys.argv[1:]
    FirstHandClient(key, url, journal=path).jobs.create(**json.loads(job))
"""


def test_two_processes_at_once_buy_two(path: str, fresh_server: MockServer) -> None:
    """An equal call beside a living one goes out by its own key; beside a killed one it settles that."""
    fresh_server.faults.add(path="/v1/jobs", method="POST", delay=60)
    arguments = [fresh_server.api_key, fresh_server.url, path, json.dumps(JOB)]
    with (
        subprocess.Popen([sys.executable, "-c", CALLING, *arguments], env=unmeasured()) as living,
        FirstHandClient(fresh_server.api_key, fresh_server.url, journal=path) as client,
    ):
        while not posts(fresh_server):
            threading.Event().wait(0.02)
        (first,) = posts(fresh_server)
        assert client.journal.pending() == ()
        client.jobs.create(**JOB)
        assert len(set(posts(fresh_server))) == 2
        living.kill()
        living.wait(60)
        assert [call.key for call in client.journal.pending()] == [first]
        client.jobs.create(**JOB)
        assert len(set(posts(fresh_server))) == 2
        assert len(jobs(client)) == 2


def test_a_cancelled_task_leaves_an_unknown_call(fresh_server: MockServer, path: str) -> None:
    """`asyncio.timeout` around a call: the same call settles it."""
    fresh_server.faults.add(path="/v1/jobs", method="POST", delay=60)

    async def main() -> None:
        options: Any = {"journal": path, "max_retries": 0}
        async with AsyncFirstHandClient(fresh_server.api_key, fresh_server.url, **options) as client:
            task = asyncio.create_task(client.jobs.create(**JOB))
            while not posts(fresh_server):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (pending,) = await client.journal.pending()
            job = await client.jobs.create(**JOB)
            assert job.response is not None
            assert job.response.idempotency_key == pending.key
            assert [row.id async for row in client.jobs.list()] == [job.id]

    asyncio.run(main())


@pytest.mark.parametrize("pending", [0, 1])
def test_a_call_that_is_stopped_before_it_is_sent(
    client: Any, fresh_server: MockServer, path: str, monkeypatch: pytest.MonkeyPatch, pending: int
) -> None:
    """A thread may have begun it all the same: nothing is left of it. What was unknown before stays unknown."""
    keys = {lose(client, fresh_server).idempotency_key for _ in range(pending)}
    sent = len(posts(fresh_server))
    with monkeypatch.context() as patch:
        for half in ("_async", "_sync"):
            posting = import_module(f"firsthandapi.{half}.journal")._Posting
            patch.setattr(posting, "_chosen", _torn(posting._chosen))
        with pytest.raises(_TornError):
            client.jobs.create(**JOB)
    assert {call.key for call in client.journal.pending()} == keys
    assert (len(records(path)), len(posts(fresh_server))) == (pending, sent)
    assert [client.jobs.create(**JOB).id] == jobs(client)


def _torn(chosen: Any) -> Any:
    def torn(self: Any, seconds: float) -> Any:
        if (entry := chosen(self, seconds)) is not None:
            raise _TornError
        return entry

    return torn


class _TornError(Exception):
    """What no code of ours raises."""


def test_a_limit_that_is_spent_stops_before_anything_is_settled(
    connect: Connect, fresh_server: MockServer, path: str
) -> None:
    """Whose call it is cannot be asked, so nothing is sent; the entry stays."""
    lose(connect(fresh_server, journal=path, max_retries=0), fresh_server)
    client = connect(fresh_server, journal=path, max_retries=0)
    fresh_server.faults.add(path="/v1/me", status=429, retry_after=1800)
    with pytest.raises(RateLimitError):
        client.me()
    sent = len(fresh_server.requests)
    with pytest.raises(RateLimitError):
        client.jobs.create(**JOB)
    with pytest.raises(RateLimitError):
        client.jobs.create(**{**JOB, "files_needed": 1})  # another call, which has never left
    assert len(fresh_server.requests) == sent
    assert len(client.journal.pending()) == 1
