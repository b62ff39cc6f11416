"""Web pages, floods, and those who send half of something: refused or bounded, and the server goes on."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, closing, suppress

import pytest
from starlette.types import Receive, Scope, Send

from firsthandapi.testing import MockServer
from firsthandapi_server.http import reading, requests
from firsthandapi_server.http import server as server_http
from firsthandapi_server.http.deliveries import Sender
from firsthandapi_server.http.gate import refusal
from firsthandapi_server.state.limits import MAX_STORED, MemoryReplies, StoredResponse
from firsthandapi_server.state.model import Delivery, DeliveryAttempt
from processes import end_of

from .conftest import Caller, Receiver

SIGNUP = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture
def address(server: MockServer) -> tuple[str, int]:
    """Where the server listens, for raw sockets."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return host, int(port)


FOREIGN = {"Sec-Fetch-Site": "cross-site"}
LINK = {**FOREIGN, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        *(({"Host": host}, 421) for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example")),
        *(({"Host": host}, 421) for host in ("localhost.", "x", "10.0.0.1", "[::2]", "")),
        *(({"Host": host}, None) for host in ("127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080")),
        *(({"Host": host}, None) for host in ("app.localhost", "127.1.2.3")),
        *(({"Origin": page}, 403) for page in ("https://evil.example", "null", "http://[")),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://localhost:3000", **FOREIGN}, None),
        ({**FOREIGN, "Sec-Fetch-Mode": "no-cors"}, 403),
        ({**LINK, "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, None),
    ],
)
def test_who_may_call(headers: dict[str, str], status: int | None) -> None:
    """Programs, pages of this machine by each of its names, and any port, which a tunnel may change; no other page,
    not by DNS rebinding either."""
    for method in ("GET", "POST"):
        refused = refusal(method, [(name.lower().encode(), text.encode()) for name, text in headers.items()])
        assert (refused and refused.status) == status


def test_a_link_only_reads(api: Caller) -> None:
    """A link of a foreign page is followed by a GET; anything else that says it is one is refused."""
    assert api("GET", "/v1/me", **LINK).status == 200
    assert api("POST", "/_control/reset", **LINK).status == 403


@pytest.mark.parametrize(
    ("headers", "error"),
    [({"Host": "x"}, (421, "misdirected_request")), ({"Origin": "https://x"}, (403, "forbidden"))],
)
def test_nothing_is_kept_of_a_stranger(
    server: MockServer, headers: dict[str, str], error: tuple[int, str]
) -> None:
    """What is refused reaches neither the service, nor its files, nor the log."""
    for method, path in (("POST", "/v1/auth/signup"), ("GET", "/openapi.json"), ("GET", "/files/x")):
        reply = Caller(server, None)(method, path, SIGNUP, **headers)
        assert (reply.status, reply.error["type"]) == error
    assert server.requests == []
    assert len(server._world.state.organizations) == 1


def test_request_log_is_bounded(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log keeps the latest requests, in number and in bytes, and what it counts is what it has."""
    monkeypatch.setattr(requests, "MAX_REQUESTS", 5)
    monkeypatch.setattr(requests, "MAX_BYTES", 100_000)
    for number in range(8):
        api("GET", f"/v1/me?number={number}")
    entries = api.server.requests
    assert [request.query["number"] for request in entries] == ["3", "4", "5", "6", "7"]
    assert all(request.status == 400 for request in entries)
    for _ in range(3):
        api("POST", "/v1/jobs", b" " * 60_000)
    assert [len(request.body) for request in api.server.requests] == [60_000]
    everything = api.server.requests
    assert len(everything) == 11
    since = len(everything)
    api("GET", "/v1/me?number=new")
    (new,) = api.server.requests[since:]
    assert new == api.server.requests[-1] == api.server.requests[since]
    assert len(api.server.requests[2:]) == len([*api.server.requests])
    with pytest.raises(IndexError, match="was dropped"):
        _ = api.server.requests[0]
    log = api.server._front.log
    assert log._bytes == sum(request.size for request in log.latest())
    log.clear()
    assert (log.latest(), log._bytes) == ([], 0)


def test_replays_are_bounded() -> None:
    """Responses kept for idempotency keys go after a day, and the oldest where there are too many."""
    replays = MemoryReplies()
    for number in range(MAX_STORED + 5):
        replays.put(
            ("", "POST", "/", str(number)), StoredResponse("", 200, b"body", number + 100_000), number
        )
    assert len(replays._stored) == MAX_STORED
    assert replays.get(("", "POST", "/", "4"), 0) is None
    assert replays.get(("", "POST", "/", "5"), 100_004) is not None
    assert replays.get(("", "POST", "/", "5"), 100_005) is None
    replays.put(("", "POST", "/", "new"), StoredResponse("", 200, b"body", 10**9), 10**8)
    assert (len(replays._stored), replays._bytes) == (1, 4)


def test_deliveries_are_bounded(by_hand: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint with a full queue gets no more: the attempt failed, and its schedule goes on."""
    monkeypatch.setattr("firsthandapi_server.http.deliveries.MAX_QUEUE", 0)
    reports: list[DeliveryAttempt] = []
    sender = Sender(lambda _delivery, attempt: reports.append(attempt))
    api, hand = by_hand, by_hand.server
    api("POST", "/v1/webhook_endpoints", {"url": "https://example.com/x"})
    account = hand._organization.accounts["live"]
    delivery = Delivery("dlv_1", hand._world.events.emit(account, "job.flagged", {}, 0), account.endpoints[0])
    sender._queues[delivery.endpoint] = []  # type: ignore[assignment]
    sender.send(delivery, 5)
    assert "waiting" in str(reports[0].error)


def test_localhost_must_lead_here(
    hand: MockServer, by_hand: Caller, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that sends a name under localhost elsewhere gets no delivery."""
    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80))]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **more: elsewhere if host == "x.localhost" else real(host, *args, **more),
    )
    by_hand("POST", "/v1/webhook_endpoints", {"url": receiver.url.replace("127.0.0.1", "x.localhost")})
    hand.emit("job.flagged", {})
    hand.wait_idle()
    assert "this machine only" in str(hand.webhook_deliveries[0].attempts[0].error)
    assert receiver.got == []


HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("half", "answer"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 408"),
    ],
    ids=["nothing", "head", "body", "chunk"],
)
def test_half_sent(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, half: bytes, answer: bytes
) -> None:
    """Who stops in the middle is cut off, with a 408 where a request had begun."""
    # The server's patience, shortened; with the head of a request only where none is complete.
    patience = (reading, "_BODY_SECONDS") if answer else (server_http, "_HEAD_SECONDS")
    monkeypatch.setattr(*patience, 0.2)
    got = b""
    with closing(socket.create_connection(address, timeout=60)) as client, suppress(ConnectionError):
        client.sendall(half)
        while part := client.recv(65536):
            got += part
    assert got.startswith(answer)
    assert bool(got) == bool(answer)


def test_half_sent_after_a_whole_one(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that served a request is no excuse for half of the next."""
    with closing(socket.create_connection(address, timeout=60)) as client:
        client.sendall(b"HEAD /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 401")
        monkeypatch.setattr(server_http, "_HEAD_SECONDS", 0.2)
        client.sendall(b"GET /v1/me HT")
        assert client.recv(65536) == b""


def test_endless_body(address: tuple[str, int], server: MockServer) -> None:
    """A body without an end is cut off after some megabytes."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    sent = 0
    with closing(socket.create_connection(address, timeout=60)) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 1 << 30:
                client.sendall(chunk)
                sent += len(chunk)
    assert sent < 100 << 20
    assert server.requests == []


def test_endless_head(address: tuple[str, int], server: MockServer) -> None:
    """Headers without an end are a 400 in the envelope, or cut off."""
    line = b"X-Header: " + b"x" * 1000 + b"\r\n"
    with closing(socket.create_connection(address, timeout=60)) as client:
        client.sendall(HEAD)
        got = b""
        with suppress(OSError):
            for _ in range(1000):
                client.sendall(line)
            got = client.recv(65536)
    assert not got or json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "validation_error"
    assert server.requests == []


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many connections, those silent longest make room, and others are served."""
    monkeypatch.setattr(server_http, "_MAX_CONNECTIONS", 3)
    with MockServer() as server, ExitStack() as stack:
        address = "127.0.0.1", int(server.url.rpartition(":")[2])
        first, *_ = (
            stack.enter_context(closing(socket.create_connection(address, timeout=60))) for _ in range(5)
        )
        with server.client() as client:
            assert client.me()
        assert not received(first)


def received(client: socket.socket) -> bytes:
    """What comes next; nothing if the connection was cut."""
    with suppress(ConnectionResetError):
        return client.recv(65536)
    return b""


async def patient(_scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers when a request has come as a whole."""
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.request":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


def test_a_crowd_of_one_address_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of requests of one address, as its proxy names it, go first, although others' have been silent longer."""
    monkeypatch.setattr(server_http, "_MAX_CONNECTIONS", 10)
    server = server_http.HttpServer(patient, 0, is_behind_proxy=True)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)

        def half(number: int) -> socket.socket:
            client = stack.enter_context(
                closing(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            )
            head = f"{HEAD.decode()}X-Forwarded-For: 1.1.1.1, 10.0.0.{number}\r\nExpect: 100-continue\r\n"
            client.sendall(f"{head}Content-Length: 2\r\n\r\n".encode())
            assert b" 100 " in received(client)  # it waits for the body
            client.sendall(b"{")
            return client

        other_clients = [half(number) for number in range(4)]
        crowd = [half(9) for _ in range(20)]
        for client in (*other_clients, crowd[-1]):
            client.sendall(b"}")
            assert b" 204 " in received(client)
        assert not received(crowd[0])


# A server in a process that may open few files, until its input ends.
CRAMPED = """
import asyncio.constants, resource, sys
from firsthandapi_server.http import server as server_http

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})

asyncio.constants.ACCEPT_RETRY_DELAY = 0.01
resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
server = server_http.HttpServer(app, 0)
server.start()
print(server.port, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_system_without_descriptors() -> None:
    """Whoever comes then waits for a moment, and the log has a line of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CRAMPED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=60)))
        with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 204 " in received(client)
    _, errors = end_of(process)
    (line,) = errors.splitlines()
    assert "LimitNOFILE" in line
