"""Starting, stopping, many at once, the clock, and the books under fire."""

from __future__ import annotations

import asyncio
import errno
import http.client
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from dataset.support import wait_until
from firsthandapi import AsyncFirstHandClient, FirstHandClient
from firsthandapi.testing import Clock, MockServer
from firsthandapi_server.http import server as listening

from .conftest import JOB, Caller, Receiver


def test_start_and_stop() -> None:
    """A server is there and gone again and again, and its threads with it."""
    threads = {*threading.enumerate()}  # some may be of an earlier test, and about to end
    for _ in range(5):
        with MockServer() as server:
            assert Caller(server, server.api_key)("GET", "/v1/me").status == 200
    assert {*threading.enumerate()} <= threads


def test_many_at_once() -> None:
    """Servers do not know of each other."""
    with ExitStack() as stack:
        servers = [stack.enter_context(MockServer()) for _ in range(3)]
        assert len({server.url for server in servers}) == 3
        callers = [Caller(server, server.api_key) for server in servers]
        callers[0].create_job()
        assert [len(caller.get("/v1/jobs")["data"]) for caller in callers] == [1, 0, 0]
        assert Caller(servers[1], servers[0].api_key)("GET", "/v1/me").status == 401


PUBLIC = "https://mock.example.org:8443"


def test_a_public_url() -> None:
    """All that the server gives out begins with it, and who comes by it, or from a page of it, is welcome."""
    with MockServer(speed=0, public_url=f"{PUBLIC}/") as server:
        assert (server.public_url, server.url.startswith("http://127.0.0.1:")) == (PUBLIC, True)
        api = Caller(server, server.api_key)
        job = api.create_job(files_needed=1)["id"]
        server.clock.advance(minutes=2)
        (file,) = api.get(f"/v1/jobs/{job}/files")["data"]
        poor = Caller(server, server.create_organization(cents=0).api_key)
        bought = poor("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).json["checkout_url"]
        refused = poor("POST", "/v1/jobs", JOB).error["purchase_url"]
        for url in (file["download_url"], bought, refused):
            assert url.startswith(f"{PUBLIC}/")
            by_name = Caller(server, None)(
                "GET", url.removeprefix(PUBLIC), Host="mock.example.org:8443", Origin=PUBLIC
            )
            assert by_name.status == 200
        server.faults.add(expired_url=True)
        (file,) = api.get(f"/v1/jobs/{job}/files")["data"]
        assert file["download_url"].startswith(f"{PUBLIC}/files/")
        assert api.get("/openapi.json")["servers"] == [{"url": PUBLIC}]
        assert api.get("/_control")["url"] == PUBLIC
        console = api("GET", "/console", Host="mock.example.org:8443")
        assert PUBLIC.encode() in console.body
        assert server.url.encode() not in console.body
        for host in ("evil.example", "mock.example.org"):
            assert api("GET", "/v1/me", Host=host).status == 421
        server.reset()
        assert server.public_url == PUBLIC
    with MockServer() as server:
        assert server.public_url == server.url


@pytest.mark.parametrize(
    "url",
    ["", "mock.example.org", "ftp://mock.example.org", "http://x.org?a=1", "http://x.org/a", "http://x:0"],
)
def test_a_public_url_that_is_none(url: str) -> None:
    """It is http or https, and the address of a host alone."""
    with pytest.raises(
        ValueError, match="public_url is not the address of a host: pass scheme, host, and port"
    ):
        MockServer(public_url=url)


def test_stop_with_open_connections(receiver: Receiver) -> None:
    """A stop waits for nobody: not for a long-poll, an idle connection, half a request, or a delivery."""
    release = threading.Event()
    receiver.before = lambda: release.wait(60) and None
    server = MockServer(workers=False).start()
    api = Caller(server, server.api_key)
    api("POST", "/v1/webhook_endpoints", {"url": receiver.url})
    job = api.create_job()["id"]
    server.emit("job.flagged", {})
    errors: list[BaseException] = []

    def poll() -> None:
        try:
            api("GET", f"/v1/jobs/{job}", Prefer="wait=60")
        except BaseException as error:
            errors.append(error)

    host = server.url.removeprefix("http://")
    with (
        closing(http.client.HTTPConnection(host)) as idle,
        socket.create_connection(idle_address(host)) as half,
    ):
        idle.request("GET", "/v1/me")
        idle.getresponse().read()
        half.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        thread = threading.Thread(target=poll)
        thread.start()
        while len(server.requests) < 4 or not receiver.got:
            time.sleep(0.001)
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 45  # each of them would take a minute
        thread.join()
    release.set()
    assert isinstance(errors[0], (http.client.HTTPException, ConnectionError))


def idle_address(host: str) -> tuple[str, int]:
    """Host and port apart."""
    name, _, port = host.partition(":")
    return name, int(port)


def test_restart() -> None:
    """After a stop the server can start again: same port, same state."""
    server = MockServer()
    assert repr(server) == "<MockServer [not started]>"
    with pytest.raises(RuntimeError, match="no port yet"):
        _ = server.url
    with server:
        url = server.url
        server.start()
        job = Caller(server, server.api_key).create_job()["id"]
        assert repr(server) == f"<MockServer [{url}, open]>"
    server.stop()
    assert repr(server) == f"<MockServer [{url}, stopped]>"
    with pytest.raises(ConnectionRefusedError):
        Caller(server, server.api_key)("GET", "/v1/me")
    with server:
        assert server.url == url
        assert Caller(server, server.api_key).job(job)["id"] == job


def test_port_taken() -> None:
    """A port that is taken is an OSError at once."""
    with MockServer() as server, pytest.raises(OSError, match="in use"):
        MockServer(port=int(server.url.rpartition(":")[2])).start()


def test_client_hangs_up_during_a_long_poll(hand: MockServer, by_hand: Caller) -> None:
    """A long-poll whose client has gone is let go."""
    job = hand._world.state.jobs[by_hand.create_job()["id"]]
    with socket.create_connection(idle_address(hand.url.removeprefix("http://"))) as client:
        head = f"GET /v1/jobs/{job.id} HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n"
        request = f"{head}Authorization: Bearer {hand.api_key}\r\n\r\n"
        client.sendall(request.encode())
        while not job.listeners:
            time.sleep(0.001)
    wait_until(lambda: not job.listeners)  # the poll would take a minute


def test_clock_runs_in_order() -> None:
    """What falls due happens in order, each at its own time, and what it schedules in between comes too."""
    clock = Clock(speed=0)
    start = clock.now()
    seen: list[tuple[str, float]] = []

    def first(at: float) -> None:
        seen.append(("first", round(clock.now() - start)))
        clock.at(at + 5, lambda _at: seen.append(("between", round(clock.now() - start))))

    clock.at(start + 20, lambda _at: seen.append(("last", round(clock.now() - start))))
    clock.at(start + 10, first)
    clock.at(start + 31, lambda _at: seen.append(("never", 0)))
    clock.advance(seconds=30)
    assert seen == [("first", 10), ("between", 15), ("last", 20)]
    assert round(clock.now() - start) == 30


def test_clock_refuses() -> None:
    """Time does not go back nor beyond the calendar, and a speed is a number from zero on."""
    with pytest.raises(ValueError, match="does not go back"):
        Clock().advance(seconds=-1)
    with MockServer(speed=0) as server:
        server.clock.advance(days=365 * 7000)
        assert Caller(server, server.api_key).create_job()["created_at"].startswith("90")
        with pytest.raises(ValueError, match="year 9990"):
            server.clock.advance(days=365 * 1000)
        assert Caller(server, server.api_key)("GET", "/v1/me").status == 200
    for speed in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="speed"):
            MockServer(speed=speed)


def test_clock_flows() -> None:
    """Virtual time flows at its speed."""
    clock = Clock(speed=1000)
    happened = threading.Event()
    clock.start(lambda: None)
    clock.at(clock.now() + 50, lambda _at: happened.set())
    try:
        assert happened.wait(60)
    finally:
        clock.stop()


def test_another_speed_counts_from_now_on() -> None:
    """Time neither jumps nor goes back, and what is due comes at the new speed."""
    clock = Clock(speed=0)
    happened = threading.Event()
    clock.start(lambda: None)
    try:
        start = clock.now()
        clock.at(start + 50, lambda _at: happened.set())
        clock.speed = 1000
        assert happened.wait(60)
        clock.speed = 0
        stopped = clock.now()
        assert start + 50 <= stopped == clock.now()
        with pytest.raises(ValueError, match="speed"):
            clock.speed = -1
        assert (clock.speed, clock.now()) == (0, stopped)
    finally:
        clock.stop()


def test_hammer() -> None:
    """Eight threads create, cancel, submit, buy and read while time runs; nothing fails, the books add up."""
    with MockServer(speed=2000, seed=7) as server:
        server.rate_limit = None
        organization = server.create_organization(cents=1_000_000)
        keys = [server.api_key, server.test_api_key, organization.api_key]

        def work(number: int) -> set[int]:
            chance = random.Random(number)
            api = Caller(server, keys[number % 3])
            statuses: set[int] = set()
            for _ in range(3):
                job = api.create_job(
                    files_needed=chance.randint(1, 8), files_per_submission=chance.randint(1, 3)
                )
                replies = [
                    api("GET", f"/v1/jobs/{job['id']}/files"),
                    api("POST", f"/v1/jobs/{job['id']}/cancel")
                    if chance.random() < 0.5
                    else api("GET", "/v1/me"),
                    api("GET", "/v1/submissions?limit=100"),
                ]
                if chance.random() < 0.2:
                    server.check_books()
                    server.clock.advance(seconds=chance.randint(1, 100))
                statuses |= {reply.status for reply in replies}
            return statuses

        with ThreadPoolExecutor(8) as pool:
            codes = set().union(*pool.map(work, range(8)))
        assert codes <= {200, 409}
        server.clock.advance(days=30)
        server.check_books()


def test_books_notice() -> None:
    """The check of the books finds money and slots that do not add up."""
    with MockServer(speed=0) as server:
        api = Caller(server, server.api_key)
        job = server._world.state.jobs[api.create_job()["id"]]
        server.check_books()
        job.account.book.available += 1
        with pytest.raises(AssertionError, match="available = the sum of the lots"):
            server.check_books()
        job.account.book.available -= 1
        job.pending = 3
        with pytest.raises(AssertionError, match="pending 3, not 0"):
            server.check_books()
        job.pending = 0
        job.account.book.held = -1
        with pytest.raises(AssertionError, match="below zero"):
            server.check_books()


def test_lazy_names() -> None:
    """The package and its pytest plugin import nothing heavy until they are used, a server no page until it is opened;
    without Starlette or Pillow the error says what to install."""
    code = (
        "import sys, firsthandapi.testing as testing, firsthandapi.testing.pytest_plugin\n"
        "heavy = {'starlette', 'uvicorn', 'pydantic', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert 'MockServer' in dir(testing)\n"
        "sys.modules['starlette'] = None\n"
        "try: testing.MockServer\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "del sys.modules['starlette']\n"
        "sys.modules['PIL'] = None\n"
        "try: testing.Media\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "del sys.modules['PIL']\n"
        "from firsthandapi.testing import MockServer, make, ReceivedRequest\n"
        "with MockServer(): assert 'jinja2' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        assert line.startswith("ConfigurationError")
        assert "firsthandapi[testing]" in line
    assert len(done.stdout.splitlines()) == 2


def test_unknown_name() -> None:
    """A name that does not exist is an AttributeError."""
    import firsthandapi.testing

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = firsthandapi.testing.Nothing


def test_fixtures(firsthand_server: MockServer, firsthand_client: FirstHandClient) -> None:
    """The plugin's fixtures give a server and a client of it."""
    assert firsthand_client.me().environment == "live"
    assert firsthand_server.requests[0].path == "/v1/me"


def test_the_async_fixture(firsthand_async_client: AsyncFirstHandClient) -> None:
    """The plugin gives an async client of the same server, for whichever loop a test runs."""

    async def environment() -> str | None:
        return (await firsthand_async_client.me()).environment

    assert asyncio.run(environment()) == "live"
    assert asyncio.run(environment()) == "live"


def test_a_port_is_free_at_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program may have the one that the system gave for the first."""
    bind, taken = listening._bind, [True]

    def busy(host: str, _port: int) -> socket.socket:
        if host == "other" and taken:
            taken.pop()
            raise OSError(errno.EADDRINUSE, "in use")
        return bind("127.0.0.1", 0)

    monkeypatch.setattr(listening, "_bind", busy)
    for listener in listening._bind_all(("127.0.0.1", "other"), 0):
        listener.close()
    assert not taken
    taken.append(True)
    with pytest.raises(OSError, match="in use"):
        listening._bind_all(("127.0.0.1", "other"), 8123)
