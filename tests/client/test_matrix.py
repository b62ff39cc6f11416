"""Every endpoint under every fault of a network and a server: the right error or the right retry, and nothing left.

A row is a fault, as bytes on a socket; a column is a method of the table in test_methods.py. Each cell has the same
rules: the call heals by one more attempt, or raises the one error that the fault deserves. All its attempts carry one
key and one body. It ends in bounded time, and no leftover answers the next call. No message and no traceback shows the
key, and no socket stays open. `make test` takes a method of each kind, and one with the async client; `make soak` takes
all of them.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import socket
import time
import traceback
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from dataset.support import wait_until
from firsthandapi import errors
from firsthandapi._core.calls.retry import NoRetry, RetryIn
from firsthandapi._sync import transport
from firsthandapi._sync.pool import Pool
from firsthandapi._sync.wire import Connection, Wire
from raw import CERTIFICATE, RawRequest, RawServer, Reply, Step, refused, reset, response

from .support import KEY, Connect, FakeClock
from .test_methods import ANYTHING, CASES, NOWHERE, Case

# Short where a fault is silence: on busy cores a good answer may be late as well, which takes one more attempt.
PATIENT: dict[str, Any] = {"timeout": 20.0}
HASTY: dict[str, Any] = {"timeout": 0.2, "max_retries": 50}
MARK = "whsec_leftover"  # a secret, in what should never be shown
JSON = {"Content_Type": "application/json"}


def answer(request: RawRequest) -> Reply:
    """What a well-behaved service says to anything."""
    if "/revoke" in request.target or request.method == "DELETE":
        return response(status=204, length=None)
    if "/after" in request.target:
        return response(b'{"id": "after"}', **JSON)
    body = {**ANYTHING, "data": {}} if "webhook_events/" in request.target else ANYTHING
    return response(json.dumps(body).encode(), **JSON)


@dataclass(frozen=True)
class Fault:
    """What happens to the first attempt, and what must come of the call.

    Args:
        name: what it is called.
        step: the bytes.
        raises: the error; None where the next attempt heals it, as it does for a POST that raises `ODD`.
        attempts: how many there are, where it is not 2 of a call that heals and 1 of one that raises.
        unread: whether a method without a result succeeds all the same, since it reads no body.
        silent: whether only the client's own timeout ends it.
    """

    name: str
    step: Step | Reply
    raises: type[Exception] | None = None
    attempts: int | None = None
    unread: bool = False
    silent: bool = False


def head(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1")


@functools.cache
def bomb(byte: bytes, times: int, pack: Callable[[bytes, int], bytes] = gzip.compress) -> bytes:
    """So many times one byte, packed: megabytes in some kilobytes."""
    return pack(byte * times, 1)


def cut(at: float, then: str, *, chunked: bool = False) -> Step:
    """The good response, up to a part of its bytes."""

    def step(request: RawRequest) -> Reply:
        body = json.dumps({**ANYTHING, "secret": MARK}).encode()
        if chunked:
            framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            data = response(framed, length=None, Transfer_Encoding="chunked", **JSON).data
        else:
            data = response(body, **JSON).data
        return Reply(data[: int(len(data) * at)], then)

    return step


def error(status: int, body: bytes | None = None, **headers: str) -> Reply:
    envelope = {"error": {"type": "x", "message": "no", "request_id": "req_1"}}
    content = json.dumps(envelope).encode() if body is None else body
    return response(content, status, **{**JSON, **headers})


def ok(body: bytes, **headers: str) -> Reply:
    return response(body, **{**JSON, **headers})


BROKEN = errors.FirstHandConnectionError
LATE = errors.FirstHandTimeoutError
ODD = errors.UnexpectedResponseError
API = errors.FirstHandApiError

FAULTS = [
    # The connection breaks, or says nothing.
    Fault("closed without a byte", Reply(b"", "close")),
    Fault("reset without a byte", Reply(b"", "reset")),
    *(Fault(f"cut in the head, {then}", cut(0.2, then)) for then in ("close", "reset")),
    *(Fault(f"cut in the body, {then}", cut(0.7, then)) for then in ("close", "reset")),
    *(Fault(f"cut in the last byte, {then}", cut(0.9999, then)) for then in ("close", "reset")),
    *(Fault(f"cut in a chunk, {then}", cut(0.7, then, chunked=True)) for then in ("close", "reset")),
    Fault("cut before the last chunk", cut(0.9999, "close", chunked=True)),
    Fault("silent", Reply(b"", "hang"), silent=True),
    Fault("silent after half a head", cut(0.1, "hang"), silent=True),
    Fault("silent after half a body", cut(0.7, "hang"), silent=True),
    Fault(
        "a head a byte at a time",
        lambda request: Reply(answer(request).data, "hang", pieces=1, pause=0.02),
        silent=True,
    ),
    Fault(
        "a body a byte at a time",
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 500, "hang", pieces=38, pause=0.05),
        silent=True,
    ),
    # What comes is not HTTP.
    Fault("garbage", Reply(b"\x00\xff\x16\x03" * 50 + b"\r\n\r\n", "close")),
    Fault("another protocol", Reply(b"220 mail.example ESMTP\r\n", "close")),
    Fault("a head of 200 kB", ok(b"{}", X_Big="x" * 200_000)),
    Fault("a length below zero", Reply(head("HTTP/1.1 200 OK\nContent-Length: -1\n\n{}"), "close")),
    Fault("a length that is a word", Reply(head("HTTP/1.1 200 OK\nContent-Length: two\n\n{}"), "close")),
    Fault("two lengths", Reply(head("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\n{}"), "close")),
    Fault(
        "a chunk size that is a word",
        Reply(head("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n{}\n"), "close"),
    ),
    Fault("a length beyond the body", response(b'{"id": "x_1"', length=500, then="close", **JSON)),
    Fault("a gzip cut short", ok(gzip.compress(json.dumps(ANYTHING).encode())[:-9], Content_Encoding="gzip")),
    # What comes is HTTP, and not the service.
    Fault(
        "a length short of the body",
        response(b'{"id": "x_1"}' + MARK.encode(), length=5, **JSON),
        ODD,
        unread=True,
    ),
    Fault("a gzip that is none", ok(b'{"id": "x_1"}', Content_Encoding="gzip"), ODD),
    Fault("an encoding nobody asked for", ok(b"\x8b\x01\x80{}\x03", Content_Encoding="br"), ODD, unread=True),
    Fault("a gzip bomb", lambda _: ok(bomb(b" ", 40_000_000), Content_Encoding="gzip"), ODD),
    Fault(
        "a zlib bomb", lambda _: ok(bomb(b"[", 40_000_000, zlib.compress), Content_Encoding="deflate"), ODD
    ),
    *(
        Fault(name, reply, ODD, unread=True)
        for name, reply in {
            "ten thousand headers": Reply(head("HTTP/1.1 200 OK\n" + "A: b\n" * 10_000 + "\n"), "close"),
            "an empty 200": ok(b""),
            "a page of a proxy": response(b"<html>Sign in</html>", Content_Type="text/html"),
            "a list": ok(b"[1, 2]"),
            "null": ok(b"null"),
            "a number of 400 digits": ok(b"1" * 400),
            "no UTF-8": ok(b'{"id": "\xff\xfe"}'),
            "ten thousand brackets": ok(b"[" * 10_000),
            "half a JSON": ok(b'{"id": "x_1", "data": ['),
        }.items()
    ),
    # Interim responses, and redirects.
    Fault("100 first", lambda r: Reply(head("HTTP/1.1 100 Continue\n\n") + answer(r).data), attempts=1),
    Fault(
        "103 twice",
        lambda r: Reply(head("HTTP/1.1 103 Early Hints\nLink: </x>\n\n") * 2 + answer(r).data),
        attempts=1,
    ),
    *(
        Fault(f"redirected by {status}", error(status, b"", Location="https://evil.example/v1/jobs"), API)
        for status in (300, 301, 302, 303, 304, 307, 308)
    ),
    # Errors of the service, or of what stands before it.
    *(
        Fault(f"status {status}", error(status), kind)
        for status, kind in {
            400: errors.InvalidRequestError,
            401: errors.AuthenticationError,
            402: errors.InsufficientCreditsError,
            403: errors.PermissionDeniedError,
            404: errors.NotFoundError,
            405: API,
            409: errors.ConflictError,
            410: errors.GoneError,
            422: errors.InvalidRequestError,
            425: API,
            431: API,
            451: API,
            501: errors.ServerError,
            505: errors.ServerError,
            599: errors.ServerError,
        }.items()
    ),
    *(Fault(f"status {status}", error(status)) for status in (408, 429, 500, 502, 503, 504)),
    *(
        Fault(f"503 with {name}", error(503, body))
        for name, body in {
            "nothing": b"",
            "a page": b"<html>" + b"x" * 100_000,
            "null": b'{"error": null}',
            "a list": b"[]",
            "no UTF-8": b"\xff\xfe\x00",
            "brackets": b"[" * 10_000,
        }.items()
    ),
    Fault("503 with a gzip that is none", error(503, b"plain", Content_Encoding="gzip")),
    Fault("503 cut in the body", response(b'{"error": {', 503, length=900, then="close", **JSON)),
    Fault(
        "409 idempotency", error(409, b'{"error": {"type": "idempotency_error"}}'), errors.IdempotencyError
    ),
    *(
        Fault(f"429, Retry-After {text[:12]!r}", error(429, Retry_After=text))
        for text in ("0", "1", "2.5", "60", "soon", "-1", "", "1e9", "nan")
    ),
    Fault("429, a date that has passed", error(429, Retry_After=formatdate(0, usegmt=True))),
    Fault(
        "429, a date to come",
        lambda _: error(
            429,
            Retry_After=formatdate(1_800_000_009, usegmt=True),
            Date=formatdate(1_800_000_000, usegmt=True),
        ),
    ),
    Fault("429, too long", error(429, Retry_After="61"), errors.RateLimitError),
    Fault("429 from a proxy", error(429, b"<html>slow down</html>", Content_Type="text/html")),
]

# A method of each kind: read, list, post with and without a result, change, delete.
SAMPLE = {"jobs.get", "files.list", "jobs.create", "api_keys.revoke", "webhooks.update", "webhooks.delete"}
METHODS: list[Case] = [param.values[0] for param in CASES]
assert {case.name for case in METHODS} >= SAMPLE
# `_sync` is generated from `_async`, so one method is enough to compare them.
QUICK = {"sync": SAMPLE, "async": {"jobs.create"}}
on_each_method = pytest.mark.parametrize(
    ("connect", "methods"),
    [
        pytest.param(
            kind,
            [case for case in METHODS if (case.name in quick) is is_quick],
            id=f"{kind}-{'sample' if is_quick else 'others'}",
            marks=() if is_quick else pytest.mark.slow,
        )
        for kind, quick in QUICK.items()
        for is_quick in (True, False)
    ],
    indirect=["connect"],
)


def shown(caught: BaseException) -> str:
    """All that a log, a tracker of errors or a person sees of an error."""
    return f"{caught!r} {caught} {vars(caught)} {''.join(traceback.format_exception(caught))}"


def problem(case: Case, fault: Fault, client: Any, clock: FakeClock, server: RawServer) -> str:
    """What is wrong in a cell; nothing if all is as it should be."""
    server.requests.clear()
    server.script = deque([fault.step])
    raises = None if fault.unread and case.result is None else fault.raises
    expected = fault.attempts or (1 if fault.raises else 2)
    started = time.monotonic()
    try:
        case.call(client, NOWHERE)
        caught = None
    except Exception as error:
        caught = error
    seconds = time.monotonic() - started
    tried = list(server.requests)
    if raises is ODD and tried[0].method == "POST":
        # Only the response says what was done: it is asked for once more.
        raises, expected = None, 2
    if (type(caught) if caught else None) is not raises:
        return f"ended with {caught!r}"
    if caught is not None and (KEY in shown(caught) or MARK in shown(caught)):
        return f"shows a secret: {shown(caught)}"
    if len(tried) < expected if fault.silent else len(tried) != expected:
        return f"took {len(tried)} attempts"
    if isinstance(caught, (API, BROKEN)) and caught.attempts != len(tried):
        return f"counts {caught.attempts} attempts"
    keys = {request.headers.get("idempotency-key") for request in tried}
    if len(keys) != 1 or (None in keys) is (tried[0].method == "POST"):
        return f"sent the keys {keys}"
    if len({(request.line, request.body) for request in tried}) != 1:
        return "sent something else the second time"
    if seconds > 10:
        return f"took {seconds:.1f} s"
    server.script.clear()
    clock.pass_(61)  # what a 429 has asked for is over
    if client.request("GET", "/v1/after").json()["id"] != "after":
        return "left something for the next call"
    return ""


@on_each_method
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_method_under_each_fault(fault: Fault, methods: list[Case], connect: Connect) -> None:
    """One more attempt heals it, or the right error ends it; one key, no leftover, no secret, no socket."""
    check_cells(fault, methods, connect)


def check_cells(fault: Fault, methods: list[Case], connect: Connect, *, seconds: float = 10) -> None:
    """Check the cells of a row; `seconds` is how long a socket may take to close."""
    # An attempt that was given up may reach the server late: it must not count for the next method.
    for cells in [[case] for case in methods] if fault.silent else [methods]:
        with RawServer(answer) as server:
            client = connect(base_url=server.base_url, **(HASTY if fault.silent else PATIENT))
            clock = connect.clock(client)
            problems = {case.name: problem(case, fault, client, clock, server) for case in cells}
            assert {name: text for name, text in problems.items() if text} == {}
            client.close()
            wait_until(lambda: server.open_connections == 0, seconds=seconds)


def keep_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    release = Pool.release
    monkeypatch.setattr(Connection, "usable", lambda self: True)
    monkeypatch.setattr(Pool, "release", lambda self, used, **_: release(self, used, reusable=True))


def key_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    number = itertools.count()
    exchange = Wire.exchange

    def with_another(self: Any, request: Any, headers: Any, **options: Any) -> Any:
        rest = [pair for pair in headers if pair[0].lower() != b"idempotency-key"]
        return exchange(self, request, [*rest, (b"Idempotency-Key", b"k%d" % next(number))], **options)

    monkeypatch.setattr(Wire, "exchange", with_another)


# What a change could break, the row that must show it, and what the row says then.
PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str, str]] = {
    "no retry": (
        lambda patch: patch.setattr(transport, "decide", lambda *_, **__: NoRetry()),
        "status 503",
        "ended with",
    ),
    "a retry too many": (
        lambda patch: patch.setattr(
            transport, "decide", lambda *_, attempts, **__: NoRetry() if attempts > 1 else RetryIn(0)
        ),
        "status 400",
        "ended with None",
    ),
    "a key for each attempt": (key_for_each_attempt, "status 503", "sent the keys"),
    "a leftover": (keep_every_connection, "a length short of the body", "our state is"),
    "a secret": (
        lambda patch: patch.setattr(API, "__str__", lambda self: f"refused {KEY}"),
        "status 403",
        "shows a secret",
    ),
    "an open socket": (
        lambda patch: patch.setattr(Pool, "close", lambda self: None),
        "status 400",
        "never became true",
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_matrix_finds_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its rules can fail: the cells that should show a bug do."""
    plant, row, message = PLANTED[bug]
    (fault,) = (fault for fault in FAULTS if fault.name == row)
    methods = [case for case in METHODS if case.name == "jobs.create"]
    connect = Connect("sync")
    plant(monkeypatch)
    try:
        with pytest.raises((AssertionError, BROKEN), match=message):
            check_cells(fault, methods, connect, seconds=0.1)
    finally:
        monkeypatch.undo()
        connect.close()


@on_each_method
@pytest.mark.parametrize(
    ("fault", "kind", "timeout"), [("hang", LATE, 0.1), ("close", BROKEN, 20.0), ("reset", BROKEN, 20.0)]
)
def test_what_does_not_heal(
    fault: str, kind: Any, timeout: float, methods: list[Case], connect: Connect
) -> None:
    """After `max_retries` the error tells how often it was tried, with one key."""
    for case in methods:  # each with a server of its own: an attempt that was given up may arrive late
        with RawServer(lambda _: Reply(b"", fault)) as server:
            client = connect(base_url=server.base_url, timeout=timeout, max_retries=2, frozen=True)
            with pytest.raises(kind) as caught:
                case.call(client, NOWHERE)
            assert type(caught.value) is kind
            assert caught.value.attempts == 3, case.name
            assert kind is LATE or len(server.requests) == 3, case.name
            assert len({request.headers.get("idempotency-key") for request in server.requests}) <= 1
            assert KEY not in shown(caught.value)
            client.close()
            wait_until(lambda: server.open_connections == 0, seconds=60)


@on_each_method
def test_a_port_that_nobody_listens_on(methods: list[Case], connect: Connect) -> None:
    """Nothing was sent, and the error says so."""
    with refused() as port:
        client = connect(base_url=f"http://127.0.0.1:{port}", timeout=20.0, max_retries=1, frozen=True)
        for case in methods:
            with pytest.raises(
                BROKEN, match=r"could not connect.* check the network, base_url and the proxy"
            ) as caught:
                case.call(client, NOWHERE)
            assert (caught.value.attempts, caught.value.request_sent) == (2, False), case.name
            assert KEY not in shown(caught.value)


def closed(sock: socket.socket) -> None:
    sock.recv(1)


def reset_at_once(sock: socket.socket) -> None:
    sock.recv(1)
    reset(sock)


def plain(sock: socket.socket) -> None:
    sock.recv(1)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def silent(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


@on_each_method
@pytest.mark.parametrize("first", [closed, reset_at_once, plain, silent], ids=lambda first: first.__name__)
def test_a_handshake_that_fails(
    first: Callable[[socket.socket], None], methods: list[Case], connect: Connect
) -> None:
    """Cut, answered in plain or never: tried again over a new connection, with the key sent to nobody before."""
    options = HASTY if first is silent else PATIENT
    with RawServer(answer, tls=True) as server:
        for case in methods:
            broken = [True]

            def once(sock: socket.socket, broken: list[bool] = broken) -> socket.socket | None:
                if broken:
                    broken.pop()
                    first(sock)
                    return None
                return sock

            server.first = once
            server.requests.clear()
            client = connect(base_url=server.base_url, verify=str(CERTIFICATE), **options, frozen=True)
            case.call(client, NOWHERE)
            assert not broken
            assert first is silent or len(server.requests) == 1, case.name
            client.close()
        wait_until(lambda: server.open_connections == 0, seconds=60)


@on_each_method
def test_a_certificate_that_is_not_trusted(methods: list[Case], connect: Connect) -> None:
    """The key reaches nobody whom the certificate does not name."""
    with RawServer(answer, tls=True) as server:
        client = connect(base_url=server.base_url, timeout=20.0, max_retries=0, frozen=True)
        for case in methods:
            with pytest.raises(BROKEN, match="certificate") as caught:
                case.call(client, NOWHERE)
            assert not caught.value.request_sent
        assert server.requests == []
        client.close()
        wait_until(lambda: server.open_connections == 0, seconds=60)


def test_a_flood_takes_bounded_memory(connect: Connect) -> None:
    """A body without end, in plain or packed, is given up at 32 MiB; what it takes stays near that."""
    packed = ok(bomb(b" ", 150_000_000), Content_Encoding="gzip")
    with RawServer(lambda _: packed) as server:
        client = connect(base_url=server.base_url, timeout=30.0)
        tracemalloc.start()
        with pytest.raises(ODD, match="32 MiB"):
            client.me()
        assert tracemalloc.get_traced_memory()[1] < 120 * 2**20
        tracemalloc.stop()


def test_the_size_of_the_matrix() -> None:
    """docs/reliability.md gives the number of cells: rows times methods times clients."""
    extras = 3 + 1 + 4 + 1  # what does not heal, a closed port, handshakes, a certificate
    cells = (len(FAULTS) + extras) * len(METHODS) * 2
    page = Path(__file__).parents[2] / "docs" / "reliability.md"
    assert f"| {cells:,} cells |" in page.read_text(encoding="utf-8")
    assert round(2 * len(METHODS) / sum(map(len, QUICK.values()))) == 9  # "a ninth of them"
