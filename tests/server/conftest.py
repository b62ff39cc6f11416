"""A server for each test, and a plain HTTP caller that knows nothing of the SDK."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from firsthandapi.testing import MockServer, SubmittedWork

JOB = {
    "type": "data_collection",
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}


@dataclass
class Reply:
    """A response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error of a response that must have one, in the documented envelope."""
        error = self.json["error"]
        assert set(self.json) == {"error"}
        assert all(isinstance(error[name], str) for name in ("type", "message", "request_id"))
        return error


def send(
    url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """One request on a connection of its own."""
    host = url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=45)) as connection:
        connection.request(method, path.removeprefix(url), body, headers or {})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())


_keys = iter(range(10**9))


@dataclass
class Caller:
    """Calls a server with one API key; a POST gets a fresh idempotency key unless it brings its own, or None."""

    server: MockServer
    key: str | None

    def __call__(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        fields: dict[str, str | None] = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            fields.setdefault("Authorization", f"Bearer {self.key}")
        if method == "POST":
            fields.setdefault("Idempotency-Key", f"test-{next(_keys)}")
        raw = body
        if body is not None and not isinstance(body, bytes):
            raw = json.dumps(body).encode()
        if raw:
            fields.setdefault("Content-Type", "application/json")
        sent = {name: value for name, value in fields.items() if value is not None}
        return send(self.server.url, method, path, raw, sent)

    def get(self, path: str) -> Any:
        """What is at a path."""
        return self("GET", path).json

    def create_job(self, **fields: Any) -> Any:
        """A new job, which must succeed."""
        reply = self("POST", "/v1/jobs", {**JOB, **fields})
        assert reply.status == 201, reply.body
        return reply.json

    def job(self, job_id: str) -> Any:
        """The job now."""
        return self.get(f"/v1/jobs/{job_id}")

    def files(self, job_id: str) -> Any:
        """Its approved files, whatever their stars."""
        return self.get(f"/v1/jobs/{job_id}/files?min_score=1&limit=100")["data"]


def scored(server: MockServer, job_id: str, **options: Any) -> SubmittedWork:
    """What a worker submits, and the stars that it gets 15 seconds later."""
    work = server.submit(job_id, **options)
    server.clock.advance(seconds=15)
    return work


@dataclass
class Receiver:
    """A webhook receiver: what came, and what it answers."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[], int] = lambda: 200
    before: Callable[[], None] = lambda: None

    @property
    def events(self) -> list[Any]:
        """The envelopes."""
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server whose time stands still unless advanced; its books must add up at the end."""
    with MockServer(speed=0) as server:
        server.rate_limit = None
        yield server
    server.check_books()


@pytest.fixture
def hand() -> Iterator[MockServer]:
    """Like `server`, with workers driven by hand only."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        yield server
    server.check_books()


@pytest.fixture
def api(server: MockServer) -> Caller:
    """Calls `server` with its live key."""
    return Caller(server, server.api_key)


@pytest.fixture
def by_hand(hand: MockServer) -> Caller:
    """Calls `hand` with its live key."""
    return Caller(hand, hand.api_key)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            result.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            result.before()
            self.send_response(result.answer())
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        result = Receiver(f"http://127.0.0.1:{http_server.server_port}/hook")
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield result
        http_server.shutdown()
        thread.join()
