"""One exchange over the caller's httpx client."""

from __future__ import annotations

import errno
import gzip
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    UnexpectedResponseError,
)
from firsthandapi.testing import MockServer
from raw import refused

from .support import JOB, Connect
from .test_wire import BODY, Broken


def test_an_http_client_of_httpx2(connect: Connect, fresh_server: MockServer) -> None:
    """httpx's successor is as good: same calls, same errors, and no class of httpx in between."""
    httpx2 = pytest.importorskip("httpx2")
    kind, twin = httpx2.AsyncClient, httpx2.Client
    if not connect.is_async:
        kind, twin = twin, kind
    http_client = kind()
    client = connect(fresh_server, http_client=http_client, max_retries=0)
    assert client.jobs.get(client.jobs.create(**JOB).id).response.attempts == 1
    fresh_server.faults.add(drop="before")
    with pytest.raises(FirstHandConnectionError) as caught:
        client.me()
    assert caught.value.request_sent
    with refused() as port, pytest.raises(FirstHandConnectionError) as caught:
        client.with_options(base_url=f"http://127.0.0.1:{port}").me()
    assert not caught.value.request_sent
    assert caught.value.errno == errno.ECONNREFUSED
    connect.run(http_client.aclose() if connect.is_async else http_client.close())
    with pytest.raises(ConfigurationError, match="http_client is closed"):
        client.me()
    with pytest.raises(ConfigurationError, match=r"or httpx2\."):
        connect(http_client=twin())


def test_an_http_client_is_used_and_not_closed(connect: Connect, fresh_server: Any) -> None:
    """Calls go over the caller's http client, with its timeout, headers and hooks, and it stays open."""
    http_client = connect.http_client(headers={"X-Mine": "1", "User-Agent": "theirs"})
    client = connect(fresh_server, http_client=http_client)
    job = client.jobs.create(**JOB)
    assert client.jobs.get(job.id) == job
    request = fresh_server.requests[-1]
    assert request.headers["x-mine"] == "1"
    assert request.headers["user-agent"].startswith("firsthandapi-python/")
    client.close()
    assert not http_client.is_closed


def test_an_http_client_s_auth_and_redirects_are_not_asked(connect: Connect) -> None:
    """The caller's http client neither adds its own credentials nor takes the key to another address."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "https://evil.example"})

    http_client = connect.http_client(
        transport=httpx.MockTransport(answer), auth=("user", "pw"), follow_redirects=True
    )
    with pytest.raises(FirstHandError, match="check base_url"):
        connect(http_client=http_client).me()
    assert [request.headers["authorization"].partition(" ")[0] for request in seen] == ["Bearer"]


def test_the_query_survives_an_http_client(connect: Connect) -> None:
    """What the query says is not changed on its way through the caller's http client."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    client = connect(handler=answer)
    client.request("GET", "/v1/x", params={"a": "1+1=2 & 100%/ü?#", "b": ["x", "y"]})
    assert seen[0].url.params.multi_items() == [("a", "1+1=2 & 100%/ü?#"), ("b", "x"), ("b", "y")]
    client.request("GET", "/v1/x")
    assert str(seen[1].url) == "https://api.firsthandapi.com/v1/x"


def test_more_than_32_mib_over_an_http_client(connect: Connect) -> None:
    """The limit of 32 MiB holds over the caller's http client too."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pack.compress(bytes(1 << 20)) for _ in range(40)) + pack.flush()
    stream = httpx.ByteStream(bomb)
    headers = {"Content-Encoding": "gzip"}
    client = connect(handler=lambda request: httpx.Response(200, headers=headers, stream=stream))
    with pytest.raises(UnexpectedResponseError, match="larger than 32 MiB"):
        client.me()


@pytest.mark.parametrize("streamed", [True, False])
def test_answers_that_were_read_already(streamed: bool, connect: Connect) -> None:
    """A mock's answer, or one that an event hook has read, is as good as one from the wire."""

    def answer(request: httpx.Request) -> httpx.Response:
        data = gzip.compress(BODY)
        headers = {"Content-Encoding": "gzip", "X-Request-Id": "req_1"}
        if streamed:
            return httpx.Response(200, headers=headers, stream=httpx.ByteStream(data))
        return httpx.Response(200, headers=headers, content=data)

    identity = connect(handler=answer).me()
    assert identity.organization_id == "org_1"
    assert identity.response.request_id == "req_1"


def test_an_http_client_that_is_closed(connect: Connect) -> None:
    """A closed http client is told as what it is: the caller's to mend."""
    http_client = connect.http_client()
    client = connect(http_client=http_client)
    connect.run(http_client.aclose() if connect.is_async else http_client.close())
    with pytest.raises(ConfigurationError, match="http_client is closed"):
        client.me()


def test_a_transport_that_blocks(connect: Connect) -> None:
    """A chunk that came too late is too late, also where a transport of the caller's let nobody cancel it."""

    class Late(Broken):
        def __iter__(self) -> Iterator[bytes]:
            time.sleep(0.05)
            yield BODY

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self.__iter__():
                yield chunk

    stream = Late(OSError())
    client = connect(handler=lambda request: httpx.Response(200, stream=stream), timeout=0.01, max_retries=0)
    with pytest.raises(FirstHandTimeoutError):
        client.me()
    assert stream.closed


def test_the_timeout_holds_over_an_http_client(connect: Connect, fresh_server: Any) -> None:
    """An attempt over the caller's http client ends with its timeout, against a body a byte at a time."""
    http_client = connect.http_client()
    fresh_server.faults.add(dribble=0.002, times=None, headers={"Content-Length": "100000"})
    client = connect(fresh_server, http_client=http_client, timeout=1.0, max_retries=0)
    started = time.monotonic()
    with pytest.raises(FirstHandTimeoutError):
        client.me()
    assert time.monotonic() - started < 60  # the body takes 200 s
