"""What is no request gets the documented 4xx envelope, never a 500."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest

from firsthandapi.testing import MockServer

from .conftest import JOB, Caller, send
from .test_life import idle_address

DEEP = b'{"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001


def with_field(name: str, raw: bytes) -> bytes:
    """A job whose field `name` is raw JSON text."""
    return json.dumps(JOB)[:-1].encode() + f', "{name}": '.encode() + raw + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\x00",
        b"\xff\xfe{}",
        b'{"a": \xff}',
        b"{}" * 2,
        DEEP,
        b"[" * 200_000,
        with_field("min_width", b"9" * 5000),
        with_field("metadata", b'{"a": NaN}'),
        with_field("metadata", b'{"a": 1e999}'),
        with_field("location", b'{"a": -Infinity}'),
        with_field("min_width", b"1e400"),
        with_field("title", b'"\\ud800"'),
        b" " * (1 << 20) + b"{}",
        b"x" * (3 << 20),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_bodies(api: Caller, body: bytes) -> None:
    """A body that is not a JSON object of the documented shape is a 400."""
    reply = api("POST", "/v1/jobs", body)
    assert (reply.status, reply.error["type"]) == (400, "validation_error")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "\xff"],
)
def test_content_types(api: Caller, content_type: str) -> None:
    """A body that is not declared as JSON in UTF-8 is a 400."""
    reply = api("POST", "/v1/jobs", JOB, Content_Type=content_type)
    assert (reply.status, reply.error["details"][0]["field"]) == (400, "Content-Type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_good_content_types(api: Caller, content_type: str) -> None:
    """JSON may be declared in every usual way."""
    assert api("POST", "/v1/jobs", JOB, Content_Type=content_type).status == 201


def test_odd_but_good_text(api: Caller) -> None:
    """NUL, emoji and text that looks like markup are text, and come back as they were."""
    title = "\x00 <b>\N{GRINNING FACE}</b> \u202e"
    assert api.create_job(title=title)["title"] == title


@pytest.mark.parametrize("name", ["metadata", "location"])
def test_free_json_is_json_that_every_reader_takes(api: Caller, name: str) -> None:
    """Lone surrogates and bottomless nesting are a 400: answered back, they would break a client's whole list."""
    deep: dict[str, object] = {}
    for _ in range(200):
        deep = {"a": deep}
    for value in ({"a": "\ud800"}, {"\ud800": 1}, deep):
        assert api("POST", "/v1/jobs", {**JOB, name: value}).error["details"][0]["field"] == name


def test_numbers_and_dates_out_of_this_world(api: Caller) -> None:
    """A date outside the calendar is a 400, a range of a thousand digits is not a range."""
    bad = {**JOB, "deadline": "9999-12-31T23:59:59-23:59"}
    assert api("POST", "/v1/jobs", bad).error["details"][0]["field"] == "deadline"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs/%00",
        "/v1/jobs/%FF%FE",
        "/v1/jobs/" + "a" * 5000,
        "/v1/jobs/..%2F..%2Fetc",
        "//",
        "/files/%00",
        "/files/x?%FF=%FF",
        "/checkout/%ED%A0%80",
        "/v1/jobs?%00=1",
        "/v1/submissions?start_date=9999-12-31T23:59:59-23:59",
        "/v1/submissions?start_date=0001-01-01T00:00:00%2B23:59",
    ],
)
def test_paths(api: Caller, path: str) -> None:
    """A path or query of junk is a 4xx (or nothing found)."""
    assert api("GET", path).status in (200, 400, 403, 404)


@pytest.mark.parametrize(
    "header", ["Authorization", "Idempotency-Key", "Prefer", "Content-Type", "Range", "Cookie", "Host"]
)
def test_headers(api: Caller, header: str) -> None:
    """A header of junk never makes a 500."""
    numbers = "9" * 500
    for value in (
        "\xff\xfe",
        "a" * 20_000,
        ",,,;;;===",
        "Bearer",
        "[::1",
        f"wait={numbers}",
        f"bytes={numbers}-",
    ):
        for method, path in (("POST", "/v1/jobs"), ("GET", "/v1/jobs/job_x"), ("GET", "/files/file_x")):
            assert api(method, path, JOB, **{header: value}).status < 500


@pytest.mark.parametrize(
    "raw",
    [
        b"junk\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: y\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_not_http(server: MockServer, raw: bytes) -> None:
    """What is not HTTP gets a 400 in the envelope, and the connection is closed."""
    with socket.create_connection(idle_address(server.url.removeprefix("http://")), timeout=60) as client:
        answer = b""
        # A server that has read enough may cut the connection, unread answer and all.
        with contextlib.suppress(OSError):
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65536):
                answer += part
    if answer or len(raw) < 1000:
        assert answer.startswith(b"HTTP/1.1 4")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] in (
            "validation_error",
            "not_found",
        )
    refused = send(server.url, "GET", "/v1/me")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")


def test_chunked_body(server: MockServer, api: Caller) -> None:
    """A body may come in chunks."""
    body = json.dumps(JOB).encode()
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {server.api_key}\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(idle_address(server.url.removeprefix("http://")), timeout=60) as client:
        client.sendall(head.encode())
        for start in range(0, len(body), 50):
            part = body[start : start + 50]
            client.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 201")
