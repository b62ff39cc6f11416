"""Connecting to one of several addresses."""

from __future__ import annotations

import errno
import selectors
import socket
import sys
import time
from typing import Any

import pytest

from firsthandapi._base.network import addresses

from .servers import silent_address

# Far above what is due, for machines under load.
LATE = 30.0


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def leads_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Every name leads to these addresses."""

    def found(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_the_address_that_answers(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that refuses is passed over at once."""
    leads_to(monkeypatch, "127.0.0.77", "127.0.0.1")
    port = listener.getsockname()[1]
    with addresses.connect("name.example", port, timeout=LATE) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
        assert sock.gettimeout() == LATE


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have one loopback address, and other queues"
)
def test_a_silent_address(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that swallows packets keeps nobody from the next one."""
    port = listener.getsockname()[1]
    leads_to(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    with silent_address("127.0.0.2", port), silent_address("127.0.0.3", port):
        started = time.monotonic()
        with addresses.connect("name.example", port, timeout=60) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        assert time.monotonic() - started < LATE


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other queues")
def test_one_time_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many silent addresses together take no longer than `timeout`."""
    leads_to(monkeypatch, *["127.0.0.1"] * 20)
    with silent_address("127.0.0.1") as port:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            addresses.connect("name.example", port, timeout=0.4)
        assert 0.4 <= time.monotonic() - started < LATE


def test_nobody_answers(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the last address is raised, with the system's number."""
    leads_to(monkeypatch, "127.0.0.77", "127.0.0.78")
    with pytest.raises(ConnectionRefusedError) as caught:
        addresses.connect("name.example", listener.getsockname()[1], timeout=LATE)
    assert caught.value.errno == errno.ECONNREFUSED


def test_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address is an error."""
    leads_to(monkeypatch)
    with pytest.raises(OSError, match=r"name\.example has no address"):
        addresses.connect("name.example", 1, timeout=LATE)


class SelectOfWindows(selectors.SelectSelector):
    """What select is on Windows, where it refuses to wait for nothing."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.get_map():
            raise OSError(10022, "An invalid argument was supplied")
        return super().select(timeout)


@pytest.mark.skipif(sys.platform == "win32", reason="a broadcast address is refused otherwise")
@pytest.mark.parametrize("hosts", [("no route", "good"), ("no route",), ("refused", "no route")])
def test_an_address_without_a_route(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...]
) -> None:
    """An address to which there is no way fails at once, and leaves the next one its time."""
    names = {"no route": "255.255.255.255", "good": "127.0.0.1", "refused": "127.0.0.77"}
    leads_to(monkeypatch, *(names[host] for host in hosts))
    monkeypatch.setattr(selectors, "DefaultSelector", SelectOfWindows)
    port = listener.getsockname()[1]
    if "good" in hosts:
        with addresses.connect("name.example", port, timeout=600) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
    else:
        with pytest.raises(OSError, match=r"unreachable|denied"):
            addresses.connect("name.example", port, timeout=600)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other queues")
def test_looking_ends_the_wait() -> None:
    """`look` is called while the connection is awaited, and what it raises ends that."""
    calls: list[float] = []

    def look() -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            raise InterruptedError

    with silent_address("127.0.0.1") as port, pytest.raises(InterruptedError):
        addresses.connect("127.0.0.1", port, timeout=60, look=look)


def test_a_connection_that_is_forbidden(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What forbids connections in tests is asked, and its exception passes."""

    class Forbidden(RuntimeError):
        pass

    def connect(self: socket.socket, address: object) -> None:
        raise Forbidden

    class Guarded(socket.socket):
        pass

    Guarded.connect = connect
    monkeypatch.setattr(socket, "socket", Guarded)
    with pytest.raises(Forbidden):
        addresses.connect("127.0.0.1", listener.getsockname()[1], timeout=LATE)
