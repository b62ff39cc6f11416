"""The seam to the layers below: every exception of theirs surfaces as one of ours, at every stage."""

from __future__ import annotations

import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import h11
import httpcore
import httpx
import pytest

import firsthandapi._async.borrowed
import firsthandapi._async.wire
import firsthandapi._sync.borrowed
import firsthandapi._sync.wire
from firsthandapi import FirstHandClient
from firsthandapi._base.network.handshakes import ProxyError
from firsthandapi._core.calls.body import TruncatedBodyError
from firsthandapi.errors import (
    AuthenticationError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    InsufficientCreditsError,
)
from raw import RawServer, Reply

from .support import JOB, KEY, Connect, FakeStream


def exceptions_of(module: Any) -> set[type[Exception]]:
    """Every exception that a package shows."""
    classes = {
        value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Exception)
    }
    # And what they derive from, which may be private.
    return {
        base
        for kind in classes
        for base in kind.__mro__
        if base.__module__.partition(".")[0] == module.__name__
    }


HTTPCORE = sorted(exceptions_of(httpcore), key=lambda kind: kind.__name__)
HTTPX = sorted(exceptions_of(httpx), key=lambda kind: kind.__name__)
OTHERS: list[type[Exception]] = [OSError, ConnectionResetError, ssl.SSLError, TimeoutError]
BUGS: list[type[Exception]] = [
    AssertionError,
    AttributeError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    UnicodeError,
]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_exception_is_unnamed(kind: str) -> None:
    """The table names every exception that httpcore and httpx have: this fails when either grows one."""
    table = getattr(firsthandapi, f"_{kind}").borrowed.EXCEPTIONS
    assert {kind.__name__ for kind in [*HTTPX, *HTTPCORE]} == table.keys()
    for below, (ours, sent) in table.items():
        assert issubclass(ours, FirstHandTimeoutError) is ("Timeout" in below), below
        assert not (sent and ("Connect" in below or "Pool" in below)), below


def make(kind: type[Exception]) -> Exception:
    """An exception of this class, whatever it takes, quoting what nobody should read."""
    text = "see https://anna:5ecret@a.example/x?sig=5ecret, key fh_live_5ecret"
    request, response = httpx.Request("GET", "https://a.example"), httpx.Response(500)
    for arguments in ((text,), ()):
        for extras in ({}, {"request": request, "response": response}):
            with contextlib.suppress(TypeError):
                return kind(*arguments, **extras)
    raise AssertionError(f"{kind} takes something new")


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks after its first bytes."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"organ'
        raise self.error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"organ'
        raise self.error

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("stage", ["before", "body"])
@pytest.mark.parametrize(
    "kind", [*HTTPX, *HTTPCORE, *OTHERS], ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_each_exception_of_an_http_client(kind: type[Exception], stage: str, connect: Connect) -> None:
    """Each of them, raised by the caller's http client before an answer or in its body, is one of ours."""
    error = make(kind)
    stream = Broken(error)

    def answer(request: httpx.Request) -> httpx.Response:
        if stage == "before":
            raise error
        return httpx.Response(200, stream=stream)

    client = connect(handler=answer, max_retries=0)
    with pytest.raises(FirstHandConnectionError) as caught:
        client.me()
    # Its own text may quote a secret, so a traceback does not show it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, FirstHandTimeoutError) is ("Timeout" in kind.__name__)
    assert caught.value.attempts == 1
    assert "5ecret" not in str(caught.value) + repr(caught.value)
    if stage == "body":
        assert stream.closed


@pytest.mark.parametrize(
    "kind",
    [h11.LocalProtocolError, h11.RemoteProtocolError, TruncatedBodyError, ProxyError, *OTHERS, *BUGS],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("stage", ["connect", "headers", "body"])
def test_each_exception_of_the_pooled_wire(
    kind: type[Exception], stage: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the network's, raised while connecting, before headers or in the body, is one of ours; any other passes
    as it is, after one attempt. Nothing leaks."""
    error = make(kind)
    bug = kind in BUGS
    came = iter([HEAD + b"Content-Length: 27\r\n\r\n{"] if stage == "body" else [])

    def read() -> bytes:
        for data in came:
            return data
        raise error

    def dial(*_: object) -> Any:
        raise error

    stream = FakeStream(read=read).patch(monkeypatch)
    if stage == "connect":
        monkeypatch.setattr(f"firsthandapi._{connect.kind}.wire.connect", dial)
    client = connect(base_url="http://127.0.0.1:9", max_retries=3 if bug else 0)
    with pytest.raises(kind if bug else FirstHandConnectionError) as caught:
        client.me()
    # The connection that broke is not used again.
    assert stream.closed == (stage != "connect")
    if bug:
        assert caught.value is error
        return
    # Its own text may quote a secret, so a traceback does not show it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, FirstHandTimeoutError) is (kind is TimeoutError)
    assert caught.value.request_sent is (stage != "connect")
    assert "5ecret" not in str(caught.value)


def test_a_request_that_cannot_be_written_may_have_a_response(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may respond before it has read everything, and close; one that takes too long is a timeout."""
    error: OSError = BrokenPipeError()

    def write(_: bytes) -> None:
        raise error

    FakeStream(read=lambda: HEAD + b"Content-Length: 27\r\n\r\n" + BODY, write=write).patch(monkeypatch)
    client = connect(base_url="http://127.0.0.1:9", max_retries=0)
    assert client.me().organization_id == "org_1"
    client._transport.shared._wires.clear()
    error = TimeoutError()
    with pytest.raises(FirstHandTimeoutError) as caught:
        client.me()
    assert caught.value.request_sent


def test_ctrl_c_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt in the middle of a request passes, and its connection is neither kept nor counted as busy."""

    def read() -> bytes:
        raise KeyboardInterrupt

    stream = FakeStream(read=read).patch(monkeypatch)
    with FirstHandClient(KEY, "http://127.0.0.1:9") as client:
        for _ in range(150):
            with pytest.raises(KeyboardInterrupt):
                client.me()
    assert stream.closed == 150


@pytest.mark.parametrize("stage", ["before", "body"])
@pytest.mark.parametrize("kind", BUGS, ids=lambda kind: kind.__name__)
def test_what_is_no_error_of_the_network_passes(kind: type[Exception], stage: str, connect: Connect) -> None:
    """A bug, or what a mock or a hook of the caller's raises, passes as it is and is not tried again."""
    error, asked = kind("a bug of the caller's"), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if stage == "before":
            raise error
        return httpx.Response(500, stream=Broken(error))

    with pytest.raises(kind, match="a bug of the caller's") as caught:
        connect(handler=answer).me()
    assert caught.value is error
    assert len(asked) == 1


def test_an_unknown_exception_is_looked_up_by_its_parents() -> None:
    """A class that is not in the table counts as its nearest parent."""

    class New(httpcore.ConnectTimeout):
        pass

    for half in (firsthandapi._async, firsthandapi._sync):
        assert half.borrowed.look_up(New()) == (FirstHandTimeoutError, False)
        assert half.borrowed.look_up(TruncatedBodyError()) == (FirstHandConnectionError, True)
        assert half.borrowed.look_up(KeyError()) is None


# --- real sockets


def answering(answer: bytes) -> RawServer:
    """A server that answers each request with these bytes, then hangs up."""
    return RawServer(lambda _: Reply(answer, "close"))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = b'{"organization_id":"org_1"}'


@pytest.mark.parametrize(
    "answer", [HEAD + b"Connection: close\r\n\r\n" + BODY, b"HTTP/1.0 200 OK\r\n\r\n" + BODY]
)
def test_a_body_may_end_with_its_connection(answer: bytes, connect: Connect) -> None:
    """The other framings are in `test_what_comes_after_a_response`."""
    with answering(answer) as server:
        assert connect(base_url=server.base_url, max_retries=0).me().organization_id == "org_1"


NEXT = b'{"organization_id":"org_2"}'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
STRAY = HEAD + b'Content-Length: 28\r\n\r\n{"organization_id":"org_bad"}'


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (HEAD + b"Content-Length: 27\r\n\r\n" + BODY, True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1b\r\n" + BODY + b"\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 27\r\n\r\n" + BODY, True),
        (CHUNKED + b"1b\r\n" + BODY + b"\r\n0\r\nServer-Timing: a\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (CHUNKED + b'1b;a=b;c="d e"\r\n' + BODY + b"\r\n0;last\r\nX-A: b\r\nX-C: d\r\n\r\n", True),
        (CHUNKED + b"001b\r\n" + BODY + b"\r\n0000\r\n\r\n", True),
        (CHUNKED + b"1b\r\n" + BODY + b"\r\n0\r\nServer-Timing: a\n\n" + STRAY, False),
        # Two framings: the bytes are read as chunks, and the connection is closed.
        (
            HEAD + b"Content-Length: 27\r\n" + CHUNKED[len(HEAD) :] + b"1b\r\n" + BODY + b"\r\n0\r\n\r\n",
            False,
        ),
        (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n1b\r\n" + BODY + b"\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 27\r\n\r\n" + BODY + STRAY, False),
        (HEAD + b"Content-Length: 27\r\n\r\n" + BODY + STRAY, False),
        (HEAD + b"Content-Length: 27\r\n\r\n" + BODY + b"\r\n", False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1b\r\n" + BODY + b"\r\n0\r\n\r\n" + STRAY, False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_comes_after_a_response(answer: bytes, is_kept: bool, method: str, connect: Connect) -> None:
    """Bytes beyond a response never answer the next request, and cost it no attempt; without any, the connection is
    kept."""
    if method == "HEAD" and BODY in answer:
        is_kept = False  # the response to a HEAD has no body, whatever it announces
    with RawServer(lambda _: Reply(HEAD + b"Content-Length: 27\r\n\r\n" + NEXT)) as server:
        server.script.append(Reply(answer))
        client = connect(base_url=server.base_url, max_retries=0)
        with contextlib.suppress(FirstHandError):  # a 304 is one
            client.request(method, "/v1/me")
        assert client.me().organization_id == "org_2"
        assert [request.connection for request in server.requests] == ([1, 1] if is_kept else [1, 2])
        client.close()


@pytest.mark.parametrize(("status", "kind"), [(402, InsufficientCreditsError), (401, AuthenticationError)])
@pytest.mark.parametrize("is_own", [False, True])
def test_an_error_whose_body_is_cut(
    status: int, kind: type[FirstHandError], is_own: bool, connect: Connect
) -> None:
    """The status says what went wrong; a body that was cut does not hide it, nor make it worth another attempt."""
    answer = b'HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"err' % status
    with answering(answer) as server:
        http_client = connect.http_client() if is_own else None
        client = connect(base_url=server.base_url, http_client=http_client, frozen=True)
        with pytest.raises(kind):
            client.jobs.create(**JOB)
        assert len(server.requests) == 1
        client.close()
        if http_client is not None:
            connect.run(http_client.aclose() if connect.is_async else http_client.close())


def test_what_goes_over_the_wire(connect: Connect) -> None:
    """A request on the wire has a length if it has a body or could have one, and each header once."""
    answer = HEAD + b"Content-Length: 27\r\n\r\n" + BODY
    calls = [
        ("GET", None),
        ("DELETE", None),
        ("POST", None),
        ("PUT", None),
        ("POST", {"a": "ü"}),
        ("DELETE", {"a": 1}),
    ]
    lengths = [None, None, "0", "0", "10", "7"]
    with answering(answer) as server:
        for method, body in calls:
            client = connect(base_url=server.base_url, max_retries=0)
            client.request(method, "/v1/x", json=body, params={"q": "a b/ü"})
    for request, (method, _), length in zip(server.requests, calls, lengths, strict=True):
        assert request.line == f"{method} /v1/x?q=a%20b%2F%C3%BC HTTP/1.1"
        assert len(request.names) == len(set(request.names))
        assert request.headers.get("content-length") == length
        assert request.names[0] == "host"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"", "the server closed it without a response"), (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, "")],
)
def test_no_head(answer: bytes, reason: str, connect: Connect) -> None:
    """A server that hangs up, and one whose head does not end."""
    with answering(answer) as server, pytest.raises(FirstHandConnectionError, match=f"broke: {reason}"):
        connect(base_url=server.base_url, max_retries=0).me()


@pytest.mark.parametrize("half", [firsthandapi._async.wire, firsthandapi._sync.wire])
def test_the_words_of_the_library_below_become_a_clause(half: Any) -> None:
    """What follows in a message, such as how to repeat the call, does not stand behind its full stop. An error
    of anyio's without words gets some."""
    for error, reason in (
        (OSError("Server disconnected."), "Server disconnected"),
        (ConnectionError(""), "the peer closed it"),
    ):
        failure = half.connection_error(error, "host", sent=True)
        assert str(failure) == f"the connection to host broke: {reason}"
