"""`firsthandapi mock-server`."""

from __future__ import annotations

import http.client
import os
import re
import signal
import threading
from contextlib import closing
from unittest.mock import Mock

import pytest

from firsthandapi.cli.mock_server import Lines
from firsthandapi.testing import MockServer
from processes import stopped

from .support import Cli, start


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
def test_mock_server_serves_until_it_is_stopped(shell: Cli) -> None:
    """It prints the two variables, serves, and stops cleanly, at SIGTERM here and at Ctrl-C below."""
    options = ("--port", "0", "--api-key", "fh_live_fixed", "--no-workers", "--speed", "0")
    server = start("mock-server", *options)
    assert server.stdout is not None
    variables: dict[str, str | None] = {}
    text = ""
    for line in server.stdout:
        text += line
        if "export " in line:
            name, _, value = line.split()[1].partition("=")
            variables[name] = value
        if "Ctrl-C" in line:
            break
    shell.set(**variables)
    assert shell("whoami").code == 0
    output, errors = stopped(server, signal.SIGTERM)
    assert server.returncode == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d GET /v1/me 200 \d+ ms\n", errors)
    assert "Stopped." in output
    assert variables["FIRSTHAND_API_KEY"] == "fh_live_fixed"
    assert "fh_test_fixed" in text
    url = variables["FIRSTHAND_BASE_URL"]
    assert f"{url}/console\n" in text


def test_the_last_lines_are_printed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that prints them is given the time for that."""
    printed: list[bytes] = []

    def write(_: int, line: bytes) -> None:
        threading.Event().wait(0.01)
        printed.append(line)

    monkeypatch.setattr("firsthandapi.cli.mock_server.os.write", write)
    lines, request = Lines(), Mock(time=0.0, method="GET", target="/v1/me", status=200)
    monkeypatch.setattr("sys.stderr", Mock())
    for _ in range(20):
        lines.add(request)
    lines.close()
    assert len(printed) == 20


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
@pytest.mark.parametrize("option", ["--log", "--no-log"])
def test_a_stderr_that_nobody_reads_stops_no_server(option: str) -> None:
    """Lines that are not read are dropped; with --no-log there are none."""
    server = start("mock-server", "--port", "0", option)
    assert server.stdout is not None
    url = next(line for line in server.stdout if "FIRSTHAND_BASE_URL" in line).strip().partition("=")[2]
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        for _ in range(100):  # of 4,000 bytes each: more than a pipe holds
            connection.request("GET", "/v1/me?" + "x" * 4000)
            connection.getresponse().read()
    _, errors = stopped(server, signal.SIGINT)
    assert server.returncode == 0
    assert bool(errors) == (option == "--log")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--port", "TAKEN", "could not use --port TAKEN"),
        ("--speed", "nan", "--speed must be"),
        ("--rewrite", "upper,uper", "'uper' is not one of upper, cut, camel, drop, text"),
        ("--api-key", "fh_test_mine", "could not use --api-key: --api-key is fh_live_ and"),
        (
            *("--public-url", "https://mock.example.org/?a=b"),
            "could not use --public-url: --public-url is not the address of a host",
        ),
    ],
)
def test_a_busy_port_and_a_bad_speed_are_usage_errors(
    shell: Cli, fresh_server: MockServer, option: str, value: str, words: str
) -> None:
    """One line that names the option, and shows no key."""
    taken = fresh_server.url.rpartition(":")[2]
    run = shell("mock-server", "--port", "0", option, value.replace("TAKEN", taken))
    assert (run.code, run.err.count("\n")) == (2, 1)
    assert words.replace("TAKEN", taken) in run.err
    assert "mine" not in run.err


def test_rewrites(shell: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Joined by commas, or one by one."""
    servers: list[MockServer] = []

    class Kept(MockServer):
        def start(self) -> Kept:
            servers.append(self)
            return super().start()

    monkeypatch.setattr("firsthandapi.testing.MockServer", Kept)
    monkeypatch.setattr("firsthandapi.cli.mock_server.wait_for_stop", lambda: None)
    assert shell("mock-server", "--port", "0", "--rewrite", "text,upper", "--rewrite", "cut").code == 0
    assert servers[0].rewrites == ("upper", "cut", "text")


def test_a_public_url(shell: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables and the console name the address that programs use; the other one is for the proxy."""
    monkeypatch.setattr("firsthandapi.cli.mock_server.wait_for_stop", lambda: None)
    text = shell("mock-server", "--port", "0", "--speed", "0", "--public-url", "https://mock.example.org").out
    assert "export FIRSTHAND_BASE_URL=https://mock.example.org\n" in text
    assert "https://mock.example.org/console\n" in text
    assert re.search(r"pass requests on to http://127\.0\.0\.1:\d+, with their Host", text)
    assert text.count("127.0.0.1") == 1
