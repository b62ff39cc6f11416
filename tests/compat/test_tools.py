"""Other people's instruments work with both clients: one test each."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from client.support import Connect
from firsthandapi import (
    AsyncFirstHandClient,
    ConfigurationError,
    FirstHandClient,
    FirstHandConnectionError,
    FirstHandTimeoutError,
)
from firsthandapi.testing import MockServer

ME = {"organization_id": "org_1"}
URL = "https://api.firsthandapi.com/v1/me"


def run(code: str, *arguments: str) -> str:
    """What a program of its own prints: some tools change a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_respx(connect: Connect) -> None:
    """respx mocks the calls of an `http_client`."""
    with respx.mock:
        route = respx.get(URL).respond(json=ME)
        assert connect(http_client=connect.http_client()).me().organization_id == "org_1"
        assert route.call_count == 1


def test_pytest_httpx(connect: Connect, httpx_mock: Any) -> None:
    """pytest-httpx mocks the calls of an `http_client`."""
    httpx_mock.add_response(url=URL, json=ME)
    assert connect(http_client=connect.http_client()).me().organization_id == "org_1"


@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_pytest_httpx_and_the_default_client(
    connect: Connect,
    fresh_server: MockServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It mocks the calls of every client, even of one created before, and says which response it lacks."""
    client = connect(fresh_server, max_retries=0)
    client.me()
    httpx_mock = request.getfixturevalue("httpx_mock")
    httpx_mock.add_response(url=f"{fresh_server.url}/v1/me", json=ME)
    assert client.me().organization_id == "org_1"
    with pytest.raises(
        FirstHandTimeoutError, match=r"No response can be found for GET request on .*/credits"
    ):
        client.billing.credits()
    with pytest.raises(ConfigurationError, match="while pytest-httpx mocks httpx"):
        client.files.download_all("job_1", "dest")
    assert len(fresh_server.requests) == 1
    monkeypatch.undo()  # as the fixture does at its end
    client.me()
    assert len(fresh_server.requests) == 2


def test_vcr(tmp_path: Path) -> None:
    """vcrpy records the calls of an `http_client`, and plays them without the server."""
    import vcr

    cassette = str(tmp_path / "tape.yaml")
    with MockServer(speed=0) as server:
        key, url = server.api_key, server.url
        with (
            vcr.use_cassette(cassette),
            httpx.Client() as http,
            FirstHandClient(key, url, http_client=http) as client,
        ):
            first = client.me()
    with (
        vcr.use_cassette(cassette),
        httpx.Client() as http,
        FirstHandClient(key, url, http_client=http) as client,
    ):
        assert client.me() == first


def test_vcr_and_the_default_client(connect: Connect, tmp_path: Path) -> None:
    """It records and plays the calls of every client, even of one created before."""
    import vcr

    cassette = str(tmp_path / "tape.yaml")
    with MockServer(speed=0) as server:
        client = connect(server, max_retries=0)
        client.me()
        with vcr.use_cassette(cassette, filter_headers=["authorization"]):
            identity = client.me()
            with pytest.raises(ConfigurationError, match="while vcrpy mocks httpx"):
                client.files.download_all("job_1", tmp_path / "dest")
        assert server.api_key not in Path(cassette).read_text(encoding="utf-8")
    with vcr.use_cassette(cassette, record_mode="none"):
        assert client.me() == identity
        with pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException):
            client.billing.credits()
    with pytest.raises(FirstHandConnectionError):
        client.me()


BLOCKED = """
import pytest_socket
from firsthandapi import FirstHandClient
pytest_socket.disable_socket()
try:
    FirstHandClient("fh_test_x").me()
except pytest_socket.SocketBlockedError as error:
    print("blocked")
"""


def test_pytest_socket() -> None:
    """A call that should have been mocked ends in pytest-socket's own error, unretried."""
    assert run(BLOCKED) == "blocked\n"


FROZEN = """
import datetime, sys
import pydantic
class AppModel(pydantic.BaseModel): at: datetime.datetime
import firsthandapi, firsthandapi.types
from firsthandapi import FirstHandClient
def call():
    with FirstHandClient(sys.argv[1], sys.argv[2]) as client:
        return client.jobs.list().data == [] and client.me().organization_id
"""


@pytest.mark.parametrize(
    "stop",
    [
        "from freezegun import freeze_time\nwith freeze_time('2027-01-01'): print(bool(call()))\nprint(bool(call()))",
        "import time_machine\nwith time_machine.travel('2027-01-01', tick=False): print(bool(call()))",
    ],
    ids=["freezegun", "time-machine"],
)
def test_time_that_stands_still(stop: str, fresh_server: MockServer) -> None:
    """The first call may come while time is frozen."""
    printed = run(FROZEN + stop, fresh_server.api_key, fresh_server.url)
    assert set(printed.split()) == {"True"}


GEVENT = """
from gevent import monkey; monkey.patch_all()
import sys, gevent
from firsthandapi import FirstHandClient
with FirstHandClient(sys.argv[1], sys.argv[2]) as client:
    jobs = [gevent.spawn(client.me) for _ in range(20)]
    gevent.joinall(jobs, raise_error=True)
    print(len({job.value.organization_id for job in jobs}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="gevent is not tried there")
def test_gevent(fresh_server: MockServer) -> None:
    """The sync client works in a program that gevent has patched."""
    assert run(GEVENT, fresh_server.api_key, fresh_server.url) == "1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist there")
def test_uvloop(fresh_server: MockServer) -> None:
    """The async client works on uvloop."""
    import uvloop

    async def main() -> list[Any]:
        async with AsyncFirstHandClient(fresh_server.api_key, fresh_server.url) as client:
            return await asyncio.gather(*(client.me() for _ in range(20)))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(main())) == 20


OTEL_HTTPX = """
import json, sys, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
HTTPXClientInstrumentor().instrument()
from firsthandapi import FirstHandClient
with httpx.Client() as http, FirstHandClient(sys.argv[1], sys.argv[2], http_client=http) as client:
    client.me()
print(json.dumps([span.name for span in exporter.get_finished_spans()]))
"""


def test_opentelemetry_s_own_httpx_instrumentation(fresh_server: MockServer) -> None:
    """Its span stands below ours."""
    names = json.loads(run(OTEL_HTTPX, fresh_server.api_key, fresh_server.url))
    assert names[1:] == ["GET /v1/me", "firsthandapi me"]
    assert "traceparent" in fresh_server.requests[0].headers
