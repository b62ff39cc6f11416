"""`firsthandapi webhooks listen` as a process of its own, with deliveries of the bundled server."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from cli.support import Cli, start
from firsthandapi.cli import listen
from firsthandapi.testing import MockServer
from firsthandapi.webhooks import sign
from processes import free_port, stopped

JOB_DONE = {"job_id": "job_01JD", "status": "completed", "files_needed": 3, "files_approved": 3}
SECRET = "whsec_0123456789abcdef"


# --- listen -------------------------------------------------------------------------------------------


class Listener:
    """A running `firsthandapi webhooks listen`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        first = process.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert match is not None, first
        self.url = match[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def complaint(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        return stopped(self.process, how)


def post(url: str, body: bytes, **headers: str) -> int:
    """The status that a delivery gets."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/any/path", body, named)
        return connection.getresponse().status


@contextmanager
def listening(*options: str, **environment: str) -> Iterator[Listener]:
    process = start("webhooks", "listen", "--port", "0", *options, **environment)
    # A test that waits for a line which never comes ends with an empty one.
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        yield Listener(process)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def happen(server: MockServer, type: str, data: dict[str, Any]) -> str:
    """Emit an event; it is delivered, or was tried, when this returns."""
    event = server.emit(type, data)
    server.wait_idle()
    return event


def env(server: MockServer) -> dict[str, str]:
    return {"FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}


needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")


@needs_signals
@pytest.mark.parametrize(("style", "how"), [("plain", "SIGINT"), ("timestamped", "SIGTERM")])
def test_listen_registers_prints_once_and_cleans_up(fresh_server: MockServer, style: str, how: str) -> None:
    """With a bundled server it needs no option: verified events are printed, a replay is not, the endpoint goes."""
    fresh_server.signature_style = style  # type: ignore[assignment] # parametrized
    with listening(**env(fresh_server)) as listener, fresh_server.client() as client:
        (endpoint,) = client.webhooks.list()
        assert endpoint.url == listener.url
        event = happen(fresh_server, "job.completed", JOB_DONE)
        line = listener.line()
        assert re.match(r"\d\d:\d\d:\d\d  job\.completed +evt_\w+  job_01JD  completed  3 of 3 files\n", line)
        client.webhooks.events.replay(event)
        fresh_server.wait_idle()
        assert "already printed" in listener.complaint()
        out, err = listener.end(getattr(signal, how))
        assert (listener.process.returncode, out) == (0, "")
        assert err.splitlines() == ["Stopped.", f"Deleted the endpoint {endpoint.id}."]
        assert [*client.webhooks.list()] == []
    statuses = [
        [attempt.status for attempt in delivery.attempts] for delivery in fresh_server.webhook_deliveries
    ]
    assert statuses == [[200], [200]]


@needs_signals
def test_listen_prints_json_lines_and_only_chosen_events(fresh_server: MockServer) -> None:
    """--events reaches the endpoint; each line is the event, stdout has nothing else."""
    with listening("--json", "--events", "job.cancelled", **env(fresh_server)) as listener:
        happen(fresh_server, "job.completed", JOB_DONE)
        event_id = happen(fresh_server, "job.cancelled", {**JOB_DONE, "reason": "\x1b[2J"})
        line = listener.line()
        assert "\x1b" not in line
        event = json.loads(line)
        assert (event["id"], event["data"]["reason"]) == (event_id, "\x1b[2J")
        out, _ = listener.end()
        assert out == ""


@needs_signals
def test_a_retry_reaches_a_listener_that_was_away(fresh_server: MockServer) -> None:
    """A delivery that found nobody comes again after a minute, to a listener that knows the secret."""
    port = free_port()
    with fresh_server.client() as client:
        endpoint = client.webhooks.create(url=f"http://127.0.0.1:{port}/")
    event = happen(fresh_server, "job.completed", JOB_DONE)
    with listening(
        "--port", str(port), FIRSTHAND_WEBHOOK_SECRET=endpoint.secret or "", **env(fresh_server)
    ) as listener:
        fresh_server.clock.advance(minutes=1)
        assert event in listener.line()
        listener.end()
    (delivery,) = fresh_server.webhook_deliveries
    assert [attempt.status for attempt in delivery.attempts] == [None, 200]
    with fresh_server.client() as client:
        assert [webhook.id for webhook in client.webhooks.list()] == [endpoint.id]


@needs_signals
def test_a_tunnels_endpoint_lives_as_long_as_the_listener(fresh_server: MockServer) -> None:
    """--url registers that address; its secret and one from the environment both count; it is deleted."""
    body = json.dumps({"id": "evt_1", "type": "job.completed", "data": {}}).encode()
    options = ("--url", "https://tunnel.example/hooks", "--events", "job.completed")
    with listening(*options, FIRSTHAND_WEBHOOK_SECRET=SECRET, **env(fresh_server)) as listener:
        with fresh_server.client() as client:
            (endpoint,) = client.webhooks.list()
            assert (endpoint.url, endpoint.events) == (options[1], ["job.completed"])
        assert post(listener.url, body, X_FirstHandAPI_Signature=sign(body, SECRET)) == 200
        listener.end()
    with fresh_server.client() as client:
        assert [*client.webhooks.list()] == []


@needs_signals
def test_listen_tells_of_an_endpoint_that_it_could_not_delete() -> None:
    """With the service gone at the end, it says what is left and how to delete it."""
    with MockServer(speed=0, workers=False) as server, listening(**env(server)) as listener:
        with server.client() as client:
            (endpoint,) = client.webhooks.list()
        server.stop()
        _, err = listener.end()
    assert f"firsthandapi webhooks delete {endpoint.id}" in err
    assert "Traceback" not in err


@needs_signals
def test_listen_ends_when_nobody_reads(fresh_server: MockServer) -> None:
    """`| head -1` ends it, and the event that was not printed stays undelivered."""
    with listening(**env(fresh_server)) as listener:
        assert listener.process.stdout is not None
        listener.process.stdout.close()
        happen(fresh_server, "job.completed", JOB_DONE)
        assert listener.process.wait(timeout=30) == 0
    with fresh_server.client() as client:
        assert [*client.webhooks.list()] == []


def test_listen_needs_to_know_where_events_come_from(cli: Cli, fresh_server: MockServer) -> None:
    """At the public service a tunnel or a secret is needed; a busy port and misplaced options are told."""
    cli.set(FIRSTHAND_BASE_URL=None)
    nowhere = cli("webhooks", "listen", "--port", "0")
    assert nowhere.code == 2
    assert "--url" in nowhere.err
    assert "FIRSTHAND_WEBHOOK_SECRET" in nowhere.err
    cli.set(FIRSTHAND_WEBHOOK_SECRET=SECRET)
    useless = cli("webhooks", "listen", "--port", "0", "--events", "job.completed")
    assert (useless.code, SECRET in useless.err) == (2, False)
    cli.set(FIRSTHAND_WEBHOOK_SECRET="   ")
    blank = cli("webhooks", "listen", "--port", "0")
    assert blank.code == 2
    assert "secret is empty" in blank.err
    cli.set(FIRSTHAND_WEBHOOK_SECRET=SECRET)
    port = fresh_server.url.rpartition(":")[2]
    busy = cli("webhooks", "listen", "--port", port)
    assert busy.code == 2
    assert f"could not use --port {port}" in busy.err


def test_listen_makes_no_endpoint_for_a_bad_url(cli: Cli, fresh_server: MockServer) -> None:
    """A tunnel's address must be https; nothing is left behind."""
    run = cli("webhooks", "listen", "--port", "0", "--url", "http://tunnel.example")
    assert run.code == 2
    assert "https" in run.err
    with fresh_server.client() as client:
        assert [*client.webhooks.list()] == []


@contextmanager
def served(monkeypatch: pytest.MonkeyPatch, **limits: float) -> Iterator[listen.Server]:
    """The listener's server alone, with smaller limits."""
    for name, value in limits.items():
        monkeypatch.setattr(listen, name, value)
    receiver = listen.Receiver([SECRET], json=False, ended=threading.Event())
    with listen.Server(0) as server, server.serving(receiver):
        yield server


def test_listen_refuses_what_is_not_signed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forged, an unsigned, an oversized and a lengthless body get no 2xx and no line; a genuine one still does."""
    body = json.dumps({"id": "evt_1", "type": "job.completed", "data": JOB_DONE}).encode()
    genuine = {"X_FirstHandAPI_Signature": sign(body, SECRET)}
    with served(monkeypatch) as server:
        for status, sent, headers, complaint in (
            (400, body, {"X_FirstHandAPI_Signature": sign(body, "whsec_other")}, "rejected: wrong signature"),
            (400, body, {}, "missing signature"),
            (400, b"[]", {"X_FirstHandAPI_Signature": sign(b"[]", SECRET)}, "rejected: "),
            (413, b"", {"Content_Length": str(2 * 1024 * 1024)}, "over 1 MiB"),
            (411, b"", {"Content_Length": "many"}, "has no length"),
        ):
            assert post(server.url, sent, **headers) == status
            out, err = capsys.readouterr()
            assert (out, complaint in err, SECRET in err) == ("", True, False)
        assert post(server.url, body, **genuine) == 200
        assert "evt_1" in capsys.readouterr().out
        assert post(server.url, body, **genuine) == 200
        assert "already printed" in capsys.readouterr().err


def test_listen_survives_connections_that_break_off_or_hang(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever connects and says nothing, or half of it, takes no turn from the next."""
    body = json.dumps({"id": "evt_1", "type": "job.completed", "data": {}}).encode()
    with served(monkeypatch) as server, ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(_connected(server))
        with _connected(server) as half:
            half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        with _connected(server) as reset:
            reset.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        seen = ""
        while "closed early" not in seen:
            seen += capsys.readouterr().err
        assert post(server.url, body, X_FirstHandAPI_Signature=sign(body, SECRET)) == 200
    out, err = capsys.readouterr()
    assert "evt_1" in out
    assert "Traceback" not in seen + err


def test_a_request_that_comes_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte restarts a socket's timeout, but not the request's."""
    with served(monkeypatch, _LONGEST_REQUEST=0.3) as server, _connected(server) as slow:
        slow.settimeout(30)
        slow.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
        cut = threading.Event()

        def dribble() -> None:
            while not cut.wait(0.02):
                try:
                    slow.sendall(b"x")
                except OSError:
                    return

        sending = threading.Thread(target=dribble)
        sending.start()
        try:
            assert slow.recv(1) == b""
        except ConnectionResetError:
            pass
        finally:
            cut.set()
            sending.join()


def test_idle_strangers_keep_no_delivery_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take no more threads than there are turns, and each for no longer than a request may take."""
    body = b'{"id":"evt_1","type":"job.completed"}'
    with served(monkeypatch, _MOST_CONNECTIONS=2, _LONGEST_REQUEST=0.2) as server:
        idle = [_connected(server) for _ in range(6)]
        assert post(server.url, body, X_FirstHandAPI_Signature=sign(body, SECRET)) == 200
        for connection in idle:
            connection.close()


def test_a_flood_of_unsigned_deliveries_is_a_few_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is rejected; the first are told, the others counted, and the count is told at the end."""
    monkeypatch.setattr(listen, "_MOST_NOTES", 3)
    notes = listen.Notes()
    receiver = listen.Receiver([SECRET], json=False, ended=threading.Event(), notes=notes)
    for _ in range(500):
        assert receiver.take(b"{}", [("X-FirstHandAPI-Signature", "0" * 64)]) == 400
    notes.close()
    *lines, last = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert last == "497 more lines like these not shown"


def _connected(server: listen.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_address[1]))
