"""Faults on demand, and the request log."""

from __future__ import annotations

import http.client
import json
import re
import time
from contextlib import closing
from typing import Any

import pytest

from firsthandapi.testing import MockServer

from .conftest import JOB, Caller, send

BROKEN = (http.client.HTTPException, ConnectionError)


def test_status(server: MockServer, api: Caller) -> None:
    """A status is answered so many times, with Retry-After, and nothing is handled."""
    server.faults.add(path="/v1/jobs", status=503, times=2, retry_after=1)
    for _ in range(2):
        reply = api("POST", "/v1/jobs", JOB)
        assert (reply.status, reply.error["type"]) == (503, "service_unavailable")
        assert reply.headers["retry-after"] == "1"
    assert api.get("/v1/jobs")["data"] == []


def test_where_and_when(server: MockServer, api: Caller) -> None:
    """A fault goes by path, folder or glob and by method, after so many, until it is cleared."""
    server.faults.add(path="/v1/billing", status=500, method="get", after=1, times=None)
    assert api("GET", "/v1/billing/credits").status == 200
    assert api("GET", "/v1/billing/credits").error["type"] == "internal_error"
    assert api("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).status == 200
    assert api("GET", "/v1/billingx").status == 404
    server.faults.clear()
    assert api("GET", "/v1/billing/credits").status == 200
    server.faults.add(path="*/me", status=418)
    assert api("GET", "/v1/me").error["type"] == "internal_error"
    assert api("GET", "/v1/me").status == 200
    server.faults.add(status=400, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    assert api("GET", "/v1/me").headers["retry-after"].startswith("Wed")


@pytest.mark.parametrize(("drop", "jobs"), [("before", 0), ("after", 1)])
def test_drop(server: MockServer, api: Caller, drop: str, jobs: int) -> None:
    """A dropped request has no answer; whether it was handled is the question."""
    server.faults.add(path="/v1/jobs", method="POST", drop=drop)
    with pytest.raises(BROKEN):
        api("POST", "/v1/jobs", JOB)
    assert server.requests[-1].status is None
    assert len(api.get("/v1/jobs")["data"]) == jobs


def test_cut(server: MockServer, api: Caller) -> None:
    """A body that is cut breaks off before its Content-Length."""
    server.faults.add(path="/v1/me", cut=10)
    with pytest.raises(http.client.IncompleteRead) as caught:
        api("GET", "/v1/me")
    assert len(caught.value.partial) == 10


def test_delay(server: MockServer, api: Caller) -> None:
    """A delay is in real seconds."""
    server.faults.add(delay=0.1)
    start = time.monotonic()
    assert api("GET", "/v1/me").status == 200
    assert time.monotonic() - start >= 0.1


def test_garbage(server: MockServer, api: Caller) -> None:
    """Garbage is a 200 that is not JSON, of a request that was handled."""
    server.faults.add(method="POST", garbage=True)
    reply = api("POST", "/v1/jobs", JOB)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html")
    with pytest.raises(json.JSONDecodeError):
        _ = reply.json
    assert len(api.get("/v1/jobs")["data"]) == 1
    server.faults.add(garbage=True)
    assert api("GET", "/v1/nothing").status == 404


def test_dribble(server: MockServer, api: Caller) -> None:
    """Dribbling takes its time for every byte of headers and body, and the answer is whole."""
    server.faults.add(dribble=0.0005)
    start = time.monotonic()
    assert api.get("/v1/me")["environment"] == "live"
    assert time.monotonic() - start > 0.3
    server.faults.add(dribble=0.0001)
    assert api("HEAD", "/v1/me").body == b""


def test_dribble_to_nobody(server: MockServer, api: Caller) -> None:
    """A client that hangs up ends the dribble."""
    server.faults.add(dribble=0.2)
    with closing(http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=0.05)) as connection:
        connection.request("GET", "/v1/me")
        with pytest.raises(TimeoutError):
            connection.getresponse().read()
    assert api("GET", "/v1/me").status == 200


def test_expired_url(server: MockServer, api: Caller) -> None:
    """Download URLs come expired, in lists and on refresh; or a download is refused as expired."""
    job = api.create_job()["id"]
    server.clock.advance(hours=1)
    server.faults.add(path=f"/v1/jobs/{job}/files", expired_url=True)
    server.faults.add(path="/v1/files/*", expired_url=True)
    file = api.files(job)[0]
    assert b"Request has expired" in send(server.url, "GET", file["download_url"]).body
    fresh = api("POST", f"/v1/files/{file['id']}/refresh_url").json["download_url"]
    assert send(server.url, "GET", fresh).status == 403
    fresh = api("POST", f"/v1/files/{file['id']}/refresh_url").json["download_url"]
    assert send(server.url, "GET", fresh).status == 200
    server.faults.add(path="/files/*", expired_url=True)
    assert [send(server.url, "GET", fresh).status for _ in range(2)] == [403, 200]


def test_repeat_cursor(server: MockServer, api: Caller) -> None:
    """Every page says that there is more, and gives the cursor it was asked with."""
    api.create_job()
    server.faults.add(path="/v1/jobs", method="GET", times=None, repeat_cursor=True)
    first = api.get("/v1/jobs")
    assert first["has_more"]
    second = api.get(f"/v1/jobs?cursor={first['next_cursor']}")
    assert second["next_cursor"] == first["next_cursor"]


def test_faults_of_json_spare_what_is_none(server: MockServer, api: Caller) -> None:
    """A file, a page, and a response without a body have neither a cursor nor URLs, and come unchanged."""
    job = api.create_job(files_needed=1)["id"]
    server.clock.advance(hours=1)
    file = api.files(job)[0]
    hook = api("POST", "/v1/webhook_endpoints", {"url": "https://example.com/x"}).json["id"]
    page = api("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).json["checkout_url"]
    server.faults.add(times=None, repeat_cursor=True)
    assert len(send(server.url, "GET", file["download_url"]).body) == file["size_bytes"]
    server.faults.clear()
    server.faults.add(times=None, expired_url=True)
    assert b"Paid" in send(server.url, "GET", page).body
    assert api("DELETE", f"/v1/webhook_endpoints/{hook}").status == 204


def test_odd_status(server: MockServer, api: Caller) -> None:
    """Any status from 200 to 599 can be asked for, dribbled too."""
    server.faults.add(status=599, dribble=0.00001)
    assert api("GET", "/v1/me").status == 599
    with pytest.raises(ValueError, match="200 to 599"):
        server.faults.add(status=600)


def test_headers(server: MockServer, api: Caller) -> None:
    """Headers are added, or replaced."""
    server.faults.add(headers={"X-RateLimit-Remaining": "0", "X-More": "yes"})
    reply = api("GET", "/v1/me")
    assert (reply.headers["x-ratelimit-remaining"], reply.headers["x-more"]) == ("0", "yes")


@pytest.mark.parametrize(
    "fault", [{"headers": {"X\r\nY": "1"}}, {"headers": {"X": "1\r\nY: 2"}}, {"retry_after": "1\r\nY: 2"}]
)
def test_headers_that_cannot_be_sent(api: Caller, fault: dict[str, Any]) -> None:
    """They are a 400, and no later request breaks on them."""
    assert api("POST", "/_control/faults", fault).status == 400
    assert api("GET", "/v1/me").status == 200


def test_request_log(server: MockServer, api: Caller) -> None:
    """Everything received is kept, in order; its repr shows no secret."""
    api("POST", "/v1/jobs", JOB, X_Twice="a")
    start = time.time()
    api("GET", "/v1/jobs?limit=5&status=")
    first, second = server.requests
    assert (first.method, first.path, first.status, json.loads(first.body)) == ("POST", "/v1/jobs", 201, JOB)
    assert first.headers["x-twice"] == "a"
    assert (second.query, second.query_string) == ({"limit": "5", "status": ""}, "limit=5&status=")
    assert start <= second.time <= time.time()
    assert server.api_key not in repr(server.requests)
    assert repr(second) == "<GET /v1/jobs?limit=5&status= [400, Bearer fh_live_…, 0 bytes]>"
    with pytest.raises(AttributeError):
        first.status = 1


def test_own_failures_are_loud(
    server: MockServer, api: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the server itself is a 500 in the envelope, with a traceback in the log."""
    monkeypatch.setattr(server._app, "rate_limit", "nonsense")
    reply = api("GET", "/v1/me")
    assert (reply.status, reply.error["type"]) == (500, "internal_error")
    assert reply.error["message"] == "The bundled server has a bug; its log shows where."
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"path": "v1/jobs", "status": 503}, "no path 'v1/jobs'; did you mean /v1/jobs?"),
        ({"path": "/v1/jbos", "status": 503}, "did you mean /v1/jobs?"),
        ({"path": "/v1/jobs/*/fils", "status": 503}, "no path"),
        ({"path": "/v1/jobs?limit=5", "status": 503}, "no path"),
        ({"path": "/v1/jobs", "method": "PSOT", "status": 503}, "method PSOT; use GET, HEAD, POST"),
        ({"path": "/v1/me", "method": "post", "status": 503}, "method POST; use GET, HEAD"),
        ({"path": "/v1/jobs"}, "no effect"),
        ({"path": "/v1/jobs", "optional": True, "headers": {}}, "no effect"),
        ({"drop": "befor"}, "drop"),
        ({"status": 503, "times": 0}, "times"),
        ({"delay": -1}, "delay"),
    ],
)
def test_a_fault_that_cannot_strike_is_refused(
    server: MockServer, api: Caller, fault: dict[str, Any], words: str
) -> None:
    """It would let a test pass for the wrong reason; `/_control` refuses it as well."""
    with pytest.raises(ValueError, match=re.escape(words)):
        server.faults.add(**fault)
    assert api("POST", "/_control/faults", fault).status == 400
    with pytest.raises(TypeError):
        server.faults.add(statsu=503)  # misspelt
    assert server.faults.active() == []


@pytest.mark.parametrize(
    "path",
    [
        "*",
        "/",
        "/v1",
        "/v1/jobs/",
        "*/me",
        "/v1/job[s]",
        "/v1/jobs/job_1",
        "/v1/jobs/job_1*",
        "/v1/jobs/job_*/files",
        "*/job_1/files",
        "/files",
        "/files/*",
        "/openapi.json",
        "/purchase/x/500",
    ],
)
def test_a_path_a_folder_and_a_glob_of_the_server_are_taken(server: MockServer, path: str) -> None:
    """Whatever ids they name."""
    server.faults.add(path=path, status=503)


def test_a_fault_that_never_fired_is_named(server: MockServer, api: Caller) -> None:
    """Unless it is optional, or was removed."""
    used = server.faults.add(path="/v1/me", status=503, times=None)
    server.faults.add(path="/v1/jobs", status=503, optional=True)
    idle = server.faults.add(path="/v1/jobs", method="POST", drop="after")
    assert [api("GET", "/v1/me").status for _ in range(2)] == [503, 503]
    assert (used.fired, idle.fired) == (2, 0)
    with pytest.raises(AssertionError, match=rf"{idle.id} on POST /v1/jobs \(drops the connection after"):
        server.faults.check_fired()
    assert [fault["fired"] for fault in api.get("/_control/faults")["data"]] == [2, 0, 0]
    server.faults.remove(idle.id)
    server.faults.check_fired()
