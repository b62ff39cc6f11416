"""Looking up the addresses of a name, within a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from firsthandapi._base.network import lookups
from forks import WAIT_FOR_CHILD, check_output, needs_fork

PLACE = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))


class Resolver:
    """A resolver that answers when it is let go, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, host: str, _port: int, **_: object) -> list[Any]:
        self.asked.append(host)
        assert self.go.wait(60)
        return [PLACE]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    yield resolver
    resolver.go.set()
    for thread in threads():
        thread.join(60)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "firsthandapi-names"]


def test_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's addresses are those of the system, and a failure of the system's is raised as it is."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [PLACE])
    assert lookups.look_up("name.example", 80, timeout=60) == [PLACE]

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(socket.gaierror, match="not known"):
        lookups.look_up("name.example", 80, timeout=60)


def test_a_slow_resolver(slow: Resolver) -> None:
    """Nobody waits longer than said; who asks meanwhile, and again, waits for the one lookup that runs."""
    for _ in range(3):
        with pytest.raises(TimeoutError, match="looking up the name took too long"):
            lookups.look_up("name.example", 80, timeout=0.01)
    assert len(threads()) == 1
    slow.go.set()
    assert lookups.look_up("name.example", 80, timeout=60) == [PLACE]
    assert slow.asked == ["name.example"]


def test_looking_ends_the_wait(slow: Resolver) -> None:
    """`look` is called while a name is looked up, and what it raises ends that."""
    calls: list[None] = []

    def look() -> None:
        calls.append(None)
        if len(calls) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        lookups.look_up("name.example", 80, timeout=60, look=look)
    assert not slow.go.is_set()


def test_threads_are_bounded(slow: Resolver) -> None:
    """Names that hang keep a bounded number of threads; the others take their turn."""
    waiting = [lookups.start(f"name-{number}.example", 80) for number in range(lookups.MAX_THREADS + 3)]
    assert len(threads()) == lookups.MAX_THREADS
    slow.go.set()
    assert all(lookup.result(60) == [PLACE] for lookup in waiting)
    assert len(slow.asked) == lookups.MAX_THREADS + 3


def test_an_address_needs_no_lookup() -> None:
    """An IPv4 or IPv6 address takes no thread."""
    for host in ("127.0.0.1", "::1"):
        assert lookups.look_up(host, 80, timeout=60)[0][4][:2] == (host, 80)
    assert not threads()


def test_a_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, as at the end of a program, the name is looked up all the same."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [PLACE])
    assert lookups.look_up("name.example", 80, timeout=60) == [PLACE]


_SLOW = """
import socket, threading
def slow(host, *_, **__):
    threading.Event().wait(600)
socket.getaddrinfo = slow
"""


@pytest.mark.parametrize(
    "call",
    [
        "FirstHandClient('fh_test_x', 'https://name.example', timeout=3, max_retries=0).me()",
        "asyncio.run(AsyncFirstHandClient('fh_test_x', 'https://name.example', timeout=3, max_retries=0).me())",
    ],
)
def test_a_program_ends(call: str) -> None:
    """A lookup that never ends keeps neither a loop nor the interpreter from ending."""
    program = f"{_SLOW}import asyncio\nfrom firsthandapi import AsyncFirstHandClient, FirstHandClient\n{call}"
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "looking up the name took too long" in ended.stderr


@needs_fork
def test_a_forked_child() -> None:
    """A child does not wait for a lookup of its parent's, whose thread it does not have."""
    check_output(f"""
import os, socket, threading, time
from firsthandapi._base.network import lookups
asked = threading.Event()
def hang(*_, **__):
    asked.set()
    threading.Event().wait(600)
socket.getaddrinfo = hang
lookups.start("name.example", 80)
asked.wait(60)
child = os.fork()
if child == 0:
    socket.getaddrinfo = lambda *_, **__: [7]
    os._exit(lookups.look_up("name.example", 80, timeout=20)[0])
{WAIT_FOR_CHILD}""")
