"""Log lines, `on_attempt`, and OpenTelemetry spans."""

from __future__ import annotations

import functools
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from client.support import JOB, KEY, Connect, FakeClock
from firsthandapi import Attempt, Progress
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    NotFoundError,
    ServerError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer

# The headers of a window of the rate limit that is spent for 30 s.
SPENT = {
    "x-ratelimit-limit": "1",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": f"{FakeClock.begins + 30:.0f}",
}

# --- on_attempt


def test_every_attempt_is_told(connect: Connect, fresh_server: MockServer) -> None:
    """A retry, a success, and a refusal each make one `Attempt`, with what was decided on it."""
    seen: list[Attempt] = []
    client = connect(fresh_server, on_attempt=seen.append)
    clock = connect.clock(client)
    fresh_server.faults.add(status=503)
    job = client.jobs.create(**JOB)
    with pytest.raises(NotFoundError) as caught:
        client.jobs.get("job_01JPNONE")
    first, second, third = seen
    assert (first.method, first.path, first.endpoint, first.kind) == (
        "POST",
        "/v1/jobs",
        "POST /v1/jobs",
        "api",
    )
    assert [attempt.number for attempt in seen] == [1, 2, 1]
    assert [attempt.status for attempt in seen] == [503, 201, 404]
    assert isinstance(first.error, ServerError)
    assert first.retry_in == clock.sleeps[0] > 0
    assert (second.error, second.retry_in) == (None, None)
    assert second.request_id == job.response.request_id
    assert first.idempotency_key == second.idempotency_key == job.response.idempotency_key
    assert (third.error, third.retry_in, third.idempotency_key) == (caught.value, None, None)
    assert third.path == "/v1/jobs/job_01JPNONE"
    assert third.endpoint == "GET /v1/jobs/:id"
    assert all(attempt.seconds >= 0 for attempt in seen)


def test_an_attempt_pickles(connect: Connect) -> None:
    """An `Attempt` goes to another process, its error included."""
    seen: list[Attempt] = []
    client = connect(base_url="http://127.0.0.1:9", max_retries=0, on_attempt=seen.append)
    with pytest.raises(FirstHandConnectionError):
        client.me()
    (attempt,) = seen
    copy = pickle.loads(pickle.dumps(attempt))
    assert (copy.status, copy.number, str(copy.error)) == (None, 1, str(attempt.error))
    assert str(attempt).startswith("GET /v1/me FirstHandConnectionError ")
    frozen: Any = attempt
    with pytest.raises(AttributeError):
        frozen.status = 200


def test_what_on_attempt_raises_is_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """An exception of the hook never reaches the call."""

    def broken(attempt: Attempt) -> None:
        raise ValueError("mine")

    client = connect(handler=lambda request: httpx.Response(200, json={}), on_attempt=broken)
    client.me()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.name == "firsthandapi"
    assert "on_attempt raised" in record.getMessage()
    assert record.exc_info is not None


def test_a_foreign_exception_is_told_and_passes(connect: Connect) -> None:
    """What is not the network's passes unchanged and unretried, and the hook sees it."""
    calls: list[Any] = []
    seen: list[Attempt] = []
    failure = AssertionError("nobody mocked this")

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise failure

    client = connect(handler=handler, on_attempt=seen.append)
    with pytest.raises(AssertionError) as caught:
        client.me()
    assert caught.value is failure
    assert len(calls) == 1
    assert [attempt.error for attempt in seen] == [failure]


def test_no_attempt_no_call_of_the_hook(connect: Connect) -> None:
    """A call that ends before it sends anything tells nothing."""
    seen: list[Attempt] = []
    client = connect(
        handler=lambda request: httpx.Response(200, json={}, headers=SPENT),
        on_attempt=seen.append,
        deadline=5,
    )
    connect.clock(client)
    client.me()
    with pytest.raises(DeadlineExceededError):
        client.me()
    assert len(seen) == 1


async def async_hook(attempt: Attempt) -> None:
    """A hook that nobody would await."""


class AsyncHook:
    """An object that is one."""

    async def __call__(self, attempt: Attempt) -> None: ...


@pytest.mark.parametrize("wrong", [5, async_hook, AsyncHook(), functools.partial(async_hook)])
def test_a_hook_that_cannot_be_called(wrong: Any, connect: Connect) -> None:
    """A hook must be a plain function: nobody would await it."""
    with pytest.raises(ConfigurationError, match=r"^on_attempt must be"):
        connect.client_class(KEY, on_attempt=wrong)


def test_a_coroutine_of_a_hook_is_logged(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A plain function that returns a coroutine does nothing: a line says so, once an attempt."""
    client = connect(
        handler=lambda request: httpx.Response(200, json={}), on_attempt=lambda attempt: async_hook(attempt)
    )
    client.me()
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage().startswith("on_attempt returned a coroutine")


def test_lines_have_no_secret_and_no_control(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A key in a path is masked, and what drives a terminal is escaped, wherever an attempt is shown."""
    caplog.set_level(logging.DEBUG, "firsthandapi")
    seen: list[Attempt] = []
    headers = [(b"x-request-id", b"req_\x9b31m\x85forged")]
    client = connect(
        handler=lambda request: httpx.Response(503, json={}, headers=headers),
        on_attempt=seen.append,
        max_retries=1,
    )
    connect.clock(client)
    with pytest.raises(ServerError) as caught:
        client.request("GET", "/v1/fh_live_5ecretPart")
    for text in (caplog.text, str(seen[0]), str(caught.value), repr(caught.value.response)):
        assert "5ecret" not in text
        assert "\x9b" not in text
        assert "\x85" not in text
    assert "req_\\u009b31m" in caplog.text


def test_messages_name_the_call(connect: Connect) -> None:
    """A connection error names method, path, seconds, and attempts, also after pickling."""
    client = connect(base_url="http://127.0.0.1:9", max_retries=2, frozen=True)
    with pytest.raises(FirstHandConnectionError, match=r"\(GET /v1/me, 1\.5 s, 3 attempts\)$") as caught:
        client.me()
    error = caught.value
    assert (error.method, error.path, error.seconds, error.attempts) == ("GET", "/v1/me", 1.5, 3)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.message == error.message


# --- log lines


def test_log_lines(connect: Connect, fresh_server: MockServer, caplog: pytest.LogCaptureFixture) -> None:
    """DEBUG has a line an attempt, INFO one for each retry with its reason; neither has the key."""
    caplog.set_level(logging.DEBUG, "firsthandapi")
    client = connect(fresh_server, frozen=True)
    fresh_server.faults.add(status=503)
    client.me()
    lines = [
        (record.levelname, record.getMessage()) for record in caplog.records if record.name == "firsthandapi"
    ]
    assert [level for level, _ in lines] == ["DEBUG", "INFO", "DEBUG"]
    assert lines[0][1].startswith("GET /v1/me 503 ")
    assert " ms attempt 1 req_" in lines[0][1]
    assert lines[1][1].startswith("GET /v1/me is retried in 0.50 s: ")
    assert lines[2][1].startswith("GET /v1/me 200 ")
    text = "\n".join(line for _, line in lines)
    assert fresh_server.api_key not in text


def test_a_hold_is_a_line(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """INFO has a line when calls wait for the rate limit."""
    caplog.set_level(logging.INFO, "firsthandapi")
    client = connect(handler=lambda request: httpx.Response(200, json={}, headers=SPENT), frozen=True)
    client.me()
    client.me()
    assert "waiting 30.0 s for the rate limit of the key to reset" in caplog.text


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


CALL = """
from firsthandapi import FirstHandClient, FirstHandError
for _ in range(2):
    try:
        FirstHandClient("fh_live_5ecretPart", "http://127.0.0.1:9", max_retries=1).me()
    except FirstHandError as error:
        pass
"""


@pytest.mark.parametrize(("level", "debug", "info"), [("debug", 4, 2), ("INFO", 0, 2)])
def test_firsthand_log(level: str, debug: int, info: int) -> None:
    """`FIRSTHAND_LOG` prints the lines to stderr, once however many clients there are."""
    done = run(CALL, FIRSTHAND_LOG=level)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count(" DEBUG firsthandapi: GET /v1/me") == debug
    assert done.stderr.count(" INFO firsthandapi: GET /v1/me") == info
    assert "5ecret" not in done.stderr


def test_a_bad_firsthand_log(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another level is refused by the variable's name."""
    monkeypatch.setenv("FIRSTHAND_LOG", "loud")
    with pytest.raises(ConfigurationError, match="FIRSTHAND_LOG must be debug or info"):
        connect.client_class(KEY)


def test_off_is_free() -> None:
    """Where nobody watches, importing and constructing load neither logging nor OpenTelemetry."""
    done = run(
        "import sys; before = set(sys.modules)\n"
        "from firsthandapi import FirstHandClient; FirstHandClient('fh_test_x').close()\n"
        "print({m for m in ('logging', 'opentelemetry') if m in sys.modules and m not in before})",
        FIRSTHAND_LOG="",
    )
    assert done.stdout.strip() == "set()", done.stderr


# --- OpenTelemetry


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a program with OpenTelemetry exports."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def test_spans(connect: Connect, fresh_server: MockServer, spans: InMemorySpanExporter) -> None:
    """A call is a span, each attempt a CLIENT span under it by the HTTP conventions."""
    client = connect(fresh_server, frozen=True)
    job = client.jobs.create(**JOB)
    spans.clear()
    fresh_server.faults.add(status=503)
    request_id = client.jobs.get(job.id).response.request_id
    first, second, call = spans.get_finished_spans()
    assert call.name == "firsthandapi jobs.get"
    assert {first.kind.name, second.kind.name} == {"CLIENT"}
    assert first.parent.span_id == second.parent.span_id == call.context.span_id
    port = int(fresh_server.url.rpartition(":")[2])
    first_id = first.attributes["firsthandapi.request.id"]
    assert first_id != request_id
    assert call.attributes == {"firsthandapi.job.id": job.id}
    common = {
        "http.request.method": "GET",
        "url.full": f"{fresh_server.url}/v1/jobs/{job.id}",
        "firsthandapi.job.id": job.id,
        "url.template": "/v1/jobs/{id}",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert dict(first.attributes) == {
        **common,
        "firsthandapi.request.id": first_id,
        "http.response.status_code": 503,
        "error.type": "503",
    }
    assert dict(second.attributes) == {
        **common,
        "firsthandapi.request.id": request_id,
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
    }
    assert not first.status.is_ok
    assert call.status.status_code.name == "UNSET"
    sent = [request.headers["traceparent"] for request in fresh_server.requests[-2:]]
    for attempt, header in zip((first, second), sent, strict=True):
        assert header.split("-")[1:3] == [
            f"{attempt.context.trace_id:032x}",
            f"{attempt.context.span_id:016x}",
        ]


def test_a_failed_call_is_an_error_span(connect: Connect, spans: InMemorySpanExporter) -> None:
    """The class of the exception is `error.type`, and no span has a secret."""
    client = connect(base_url="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(FirstHandConnectionError):
        client.me()
    attempt, call = spans.get_finished_spans()
    assert call.name == "firsthandapi me"
    for span in (attempt, call):
        assert span.attributes["error.type"] == "FirstHandConnectionError"
        assert not span.status.is_ok
        assert KEY not in span.to_json()


def test_a_foreign_exception_s_text_is_masked(connect: Connect, spans: InMemorySpanExporter) -> None:
    """What a mock or a hook says of a request is no way for the key into a span."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"nobody mocked {request.headers['authorization']}")

    with pytest.raises(AssertionError):
        connect(handler=handler).me()
    assert [span.attributes["error.type"] for span in spans.get_finished_spans()] == ["AssertionError"] * 2
    assert all("5ecret" not in span.to_json() for span in spans.get_finished_spans())


def test_a_traceparent_of_one_s_own_wins(
    connect: Connect, fresh_server: MockServer, spans: InMemorySpanExporter
) -> None:
    """What a caller passes as `traceparent` is sent as it is, once."""
    mine = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    connect(fresh_server).me(extra_headers={"traceparent": mine})
    assert fresh_server.requests[-1].headers["traceparent"] == mine


def test_a_call_of_many_requests_is_one_span(
    connect: Connect, fresh_server: MockServer, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """All that `collect` and the like do hangs under a span of theirs, downloads included."""
    client = connect(fresh_server)
    job = client.jobs.create(**JOB)
    spans.clear()
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait(job.id, timeout=0)
    client.jobs.cancel(job.id)
    client.jobs.wait(job.id)
    client.files.download_all(job.id, tmp_path / "all")

    submitted: list[Any] = []

    def progress(now: Progress) -> None:
        if now.job is not None and not submitted:
            submitted.append(fresh_server.submit(now.job.id))
            fresh_server.clock.advance(minutes=1)

    client.jobs.collect(tmp_path / "one", **{**JOB, "files_needed": 1}, on_progress=progress)
    with pytest.raises(WaitTimeoutError):
        client.jobs.create_and_wait(**JOB, timeout=0)
    trace = spans.get_finished_spans()
    roots = {span.name: span for span in trace if span.parent is None}
    assert [*roots] == [
        "firsthandapi jobs.wait",
        "firsthandapi jobs.cancel",
        "firsthandapi files.download_all",
        "firsthandapi jobs.collect",
        "firsthandapi jobs.create_and_wait",
    ]
    collect = roots["firsthandapi jobs.collect"]
    names = [span.name for span in trace if span.parent and span.parent.span_id == collect.context.span_id]
    assert {"firsthandapi jobs.create", "firsthandapi download"} <= {*names}
    assert "firsthandapi jobs.get" not in names  # its polls are no spans
    ordered = {event.attributes["firsthandapi.job.id"] for event in collect.events}
    assert ordered == {collect.attributes["firsthandapi.job.id"]}
    create = roots["firsthandapi jobs.create_and_wait"]
    assert create.attributes["firsthandapi.job.id"] in {row.id for row in client.jobs.list()}


class Polled:
    """A service whose job changes from poll to poll, and the `traceparent` of each of these."""

    def __init__(self, *answers: tuple[int, str, int]) -> None:
        self.answers = [*answers]
        self.parents: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.parents.append(request.headers.get("traceparent"))
        if "/files" in request.url.path:
            return httpx.Response(200, json={"data": [], "has_more": False, "next_cursor": None})
        status, word, approved = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {"x-request-id": f"req_{status}"}
        body = {"id": "job_01JP", "status": word, "files_needed": 2, "files_approved": approved}
        return httpx.Response(status, json=body, headers=headers)


def test_a_wait_is_one_span(connect: Connect, spans: InMemorySpanExporter) -> None:
    """However long it takes, what changes and what fails are events of it, and each poll goes out in its trace."""
    polled = Polled(
        *[(200, "open", 0)] * 30, *[(503, "", 0)] * 9, *[(200, "open", 1)] * 9, (200, "completed", 2)
    )
    client = connect(handler=polled)
    connect.clock(client)
    client.jobs.wait("job_01JP")
    (span,) = spans.get_finished_spans()
    assert (span.name, span.attributes) == ("firsthandapi jobs.wait", {"firsthandapi.job.id": "job_01JP"})
    assert [(event.name, *list(event.attributes.values())[1:]) for event in span.events] == [
        ("firsthandapi.job", "open", 0),
        ("firsthandapi.failure", "ServerError", 503, "req_503"),
        ("firsthandapi.job", "open", 1),
        ("firsthandapi.job", "completed", 2),
    ]
    assert len(polled.parents) == 49
    assert {str(parent).split("-")[2] for parent in polled.parents} == {f"{span.context.span_id:016x}"}


def test_who_stops_a_walk_has_met_no_error(
    fresh_server: MockServer, job_id: str, spans: InMemorySpanExporter
) -> None:
    """And while the caller has a file, the walk's span is not the current one."""
    with fresh_server.client() as client:
        walk: Any = client.jobs.follow(job_id)
        next(walk)
        assert not trace.get_current_span().get_span_context().is_valid
        walk.close()
    (span,) = [span for span in spans.get_finished_spans() if span.name == "firsthandapi jobs.follow"]
    assert span.status.status_code.name == "UNSET"


def test_a_walk_is_one_span(connect: Connect, spans: InMemorySpanExporter) -> None:
    """Of `follow`: what changes are its events."""
    client = connect(handler=Polled((200, "open", 0), (200, "cancelled", 0)))
    connect.clock(client)
    assert [*client.jobs.follow("job_01JP")] == []
    (walk,) = spans.get_finished_spans()
    assert (walk.name, walk.attributes) == ("firsthandapi jobs.follow", {"firsthandapi.job.id": "job_01JP"})
    assert [event.attributes["firsthandapi.job.status"] for event in walk.events] == ["open", "cancelled"]
    spans.clear()
    with pytest.raises(WaitTimeoutError):
        [*connect(handler=Polled((200, "open", 0))).jobs.follow("job_01JP", timeout=0)]
    assert [span.attributes["error.type"] for span in spans.get_finished_spans()] == ["WaitTimeoutError"]


def test_durations(connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt, polls of a wait too, is a duration by the HTTP conventions, with its status or its error."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", MeterProvider([reader]))
    client = connect(fresh_server)
    fresh_server.faults.add(status=503)
    client.me()
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait(client.jobs.create(**JOB), timeout=0)
    with pytest.raises(FirstHandConnectionError):
        connect(base_url="http://127.0.0.1:9", max_retries=0).me()
    client.with_options(tracing=False).me()
    (metric,) = json.loads(reader.get_metrics_data().to_json())["resource_metrics"][0]["scope_metrics"][0][
        "metrics"
    ]
    assert (metric["name"], metric["unit"]) == ("http.client.request.duration", "s")
    points = [(point["count"], point["attributes"]) for point in metric["data"]["data_points"]]
    port = int(fresh_server.url.rpartition(":")[2])
    me = {
        "http.request.method": "GET",
        "url.template": "/v1/me",
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert (1, {**me, "http.response.status_code": 503, "error.type": "503"}) in points
    assert (1, {**me, "http.response.status_code": 200}) in points
    assert (1, {**me, "server.port": 9, "error.type": "FirstHandConnectionError"}) in points
    assert [count for count, attributes in points if attributes["url.template"] == "/v1/jobs/{id}"] == [1]


def test_a_client_that_is_not_traced(
    connect: Connect, fresh_server: MockServer, job_id: str, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """With `tracing=False` there is no span and no header, of calls, waits, and downloads, one or many."""
    client = connect(fresh_server, tracing=False)
    client.jobs.wait(job_id)
    assert len([*client.jobs.follow(job_id)]) == 1
    client.files.download_all(job_id, tmp_path / "all")
    client.files.download(client.files.list(job_id).data[0], tmp_path / "one.jpg")
    assert spans.get_finished_spans() == ()
    assert not any("traceparent" in request.headers for request in fresh_server.requests)
    client.with_options(tracing=True).me()
    assert len(spans.get_finished_spans()) == 2


# --- downloads


@pytest.fixture
def job_id(fresh_server: MockServer) -> str:
    """A job with one approved file."""
    with fresh_server.client() as client:
        job = client.jobs.create(**{**JOB, "files_needed": 1})
    fresh_server.submit(job.id)
    fresh_server.clock.advance(minutes=1)
    return job.id


def test_downloads_are_told(
    connect: Connect, fresh_server: MockServer, job_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each attempt of a download is an `Attempt` and a line, one file or all, with the path and no query."""
    caplog.set_level(logging.DEBUG, "firsthandapi")
    seen: list[Attempt] = []
    client = connect(fresh_server, on_attempt=seen.append)
    (file,) = client.files.list(job_id)
    seen.clear()
    caplog.clear()
    fresh_server.faults.add(path="/files/*", status=503)
    client.files.download(file, tmp_path / "a.jpg")
    first, second = (attempt for attempt in seen if attempt.kind == "download")
    assert (first.method, first.number, first.status) == ("GET", 1, 503)
    assert first.retry_in is not None
    assert first.retry_in > 0
    assert "503" in str(first.error)
    assert (second.number, second.status, second.error, second.retry_in) == (2, 200, None, None)
    assert second.path.startswith("/files/")
    assert second.endpoint == "GET " + fresh_server.url.removeprefix("http://")
    assert pickle.loads(pickle.dumps(seen))
    seen.clear()
    client.files.download_all(job_id, tmp_path / "all")
    assert [attempt.status for attempt in seen if attempt.kind == "download"] == [200]
    lines = [record.getMessage() for record in caplog.records if record.name == "firsthandapi.download"]
    assert [line.split()[2] for line in lines if line.startswith("GET ")] == ["503", "200", "200"]
    assert sum("retrying in" in line for line in lines) == 1
    signature = file.download_url.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert signature not in caplog.text
    assert signature not in str(seen)


def test_a_file_is_a_span(
    connect: Connect, fresh_server: MockServer, job_id: str, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    """A downloaded file is a span with its bytes under the caller's, and `traceparent` goes to the API only."""
    client = connect(fresh_server)
    count = len(fresh_server.requests)
    dataset = client.files.download_all(job_id, tmp_path / "all")
    (span,) = [span for span in spans.get_finished_spans() if span.name == "firsthandapi download"]
    assert span.attributes["http.response.body.size"] == dataset.records[0].size_bytes
    assert span.attributes["firsthandapi.file.id"] == dataset.records[0].file_id
    assert str(span.attributes["url.full"]).startswith(f"{fresh_server.url}/files/")
    assert "Signature" not in span.to_json()
    for request in fresh_server.requests[count:]:
        assert ("traceparent" in request.headers) == request.path.startswith("/v1/"), request.path
