"""The life of a client: options, copies, closing, threads, forks."""

from __future__ import annotations

import copy
import gc
import inspect
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import AsyncFirstHandClient, FirstHandClient
from firsthandapi._base.masking import Secret
from firsthandapi.errors import ConfigurationError, InvalidArgumentError, NotFoundError, SpendLimitError
from firsthandapi.testing import MockServer
from raw import RawRequest, RawServer, Reply, response

from .support import JOB, KEY, Connect


@pytest.fixture
def client(connect: Connect, fresh_server: MockServer) -> Any:
    return connect(fresh_server)


def test_the_key_and_the_address_from_the_environment(
    connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without arguments a client takes key and address from the environment."""
    monkeypatch.setenv("FIRSTHAND_API_KEY", fresh_server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", f"{fresh_server.url}/")
    assert connect.adopt(connect.client_class()).me()
    request = fresh_server.requests[0]
    assert request.headers["authorization"] == f"Bearer {fresh_server.api_key}"
    assert request.headers["host"] == fresh_server.url.removeprefix("http://")


@pytest.mark.parametrize("http_client", [5, "other", httpx])
def test_an_http_client_of_another_kind(http_client: Any, connect: Connect) -> None:
    """An http client of the wrong kind is told at once, not at the first call."""
    if http_client == "other":
        http_client = httpx.Client() if connect.is_async else httpx.AsyncClient()
    with pytest.raises(
        ConfigurationError, match=r"must be an httpx\.(Async)?Client or httpx2\.(Async)?Client$"
    ):
        connect.client_class(KEY, http_client=http_client)


def test_a_prefix_stands_before_every_path(connect: Connect, fresh_server: MockServer) -> None:
    """The path of the base URL goes before that of each request."""
    client = connect(fresh_server, base_url=f"{fresh_server.url}/gateway/v9/", max_retries=0)
    with pytest.raises(Exception, match="404"):
        client.me()
    assert fresh_server.requests[0].path == "/gateway/v9/v1/me"


def test_the_headers_of_every_request(client: Any, fresh_server: MockServer) -> None:
    """Each request says who asks, what it takes, and no more; extras replace rather than double."""
    client.me()
    headers = dict(fresh_server.requests[0].headers)
    agent = headers.pop("user-agent")
    assert agent.startswith("firsthandapi-python/")
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in agent
    assert headers == {
        "host": fresh_server.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "gzip",
        "authorization": f"Bearer {fresh_server.api_key}",
    }
    client.me(extra_headers={"user-agent": "mine/1", "Accept": "*/*", "X-A": "é"})
    headers = dict(fresh_server.requests[1].headers)
    assert (headers["user-agent"], headers["accept"], headers["x-a"]) == ("mine/1", "*/*", "é")


def test_the_headers_of_a_gateway(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """`default_headers` go with every API call, of copies too, below those of the call; no download carries them."""
    client = connect(fresh_server, default_headers={"X-Gateway-Token": " 5ecret ", "User-Agent": "mine/1"})
    client.me()
    client.with_options(timeout=5).me(extra_headers={"x-gateway-token": "another"})
    client.with_options(default_headers=None).me()
    sent = [dict(request.headers) for request in fresh_server.requests]
    assert [headers.get("x-gateway-token") for headers in sent] == ["5ecret", "another", None]
    assert sent[0]["user-agent"] == "mine/1"
    assert (
        "5ecret"
        not in f"{client!r} {vars(client.target if connect.is_async else client)!r} {client._config!r}"
    )
    job = client.jobs.create(**{**JOB, "files_needed": 1})
    fresh_server.submit(job.id)
    fresh_server.clock.advance(minutes=1)
    client.files.download_all(job.id, tmp_path / "signs")
    downloads = [request for request in fresh_server.requests if request.path.startswith("/files/")]
    assert downloads
    assert not any("x-gateway-token" in download.headers for download in downloads)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        *(
            ({name: "5ecret"}, f"default_headers must not contain {name}")
            for name in ("Authorization", "idempotency-key", "Content-Type", "HOST")
        ),
        ({"X-Token": "5ecret\n"}, "default_headers: the value of X-Token must be a str"),
        ([("X-Token", "5ecret")], "default_headers must be a mapping"),
    ],
)
def test_headers_that_no_client_sends(headers: Any, message: str, connect: Connect) -> None:
    """What the SDK sets, or no header can hold, is refused at once; no frame of ours shows the value."""
    for refused in (
        lambda: connect.client_class(KEY, default_headers=headers),
        partial(connect().with_options, default_headers=headers),
    ):
        with pytest.raises(InvalidArgumentError, match=message) as caught:
            refused()
        assert caught.value.field == "default_headers"
        frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
        ours = [
            {name: value for name, value in frame.f_locals.items() if name != "self"}  # a client half made
            for frame in frames
            if frame.f_globals["__name__"].startswith("firsthandapi")
        ]
        assert ours
        assert "5ecret" not in repr(ours)


# --- copies


def test_with_options_takes_what_the_constructor_takes(connect: Connect) -> None:
    """A copy takes every option of the constructor but `http_client`."""
    options = list(inspect.signature(connect.client_class).parameters)
    assert list(inspect.signature(connect.client_class.with_options).parameters)[1:] == [
        name for name in options if name != "http_client"
    ]


OPTIONS: dict[str, Any] = {
    "api_key": "fh_test_other",
    "base_url": "https://other.example",
    "timeout": 7.0,
    "deadline": 9.0,
    "max_retries": 1,
    "max_spend_cents": 5,
    "proxy": "http://proxy.example:3128",
    "verify": False,
    "default_headers": {"X-Team": "signs"},
}


def as_kept(name: str) -> Any:
    """An option's value as the client keeps it: what may be secret has no repr."""
    if name == "default_headers":
        return Secret((*OPTIONS[name].items(),))
    return Secret(OPTIONS[name]) if name in ("api_key", "proxy") else OPTIONS[name]


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_copy_changes_what_it_is_told(name: str, connect: Connect) -> None:
    """A copy has the option it was made with and the parent's others; the parent has its own still."""
    client = connect()
    settings = vars(client._config).copy()
    changed = client.with_options(**{name: OPTIONS[name]})
    assert type(changed.target if connect.is_async else changed) is connect.client_class
    assert vars(changed._config) == {**settings, name: as_kept(name)}
    assert vars(client._config) == settings


@pytest.mark.parametrize("name", ["deadline", "max_spend_cents", "proxy", "default_headers"])
def test_a_copy_can_take_an_option_away(name: str, connect: Connect) -> None:
    """None sets an option to None; leaving it out leaves it."""
    client = connect(**{name: OPTIONS[name]})
    assert vars(client.with_options(timeout=5)._config)[name] == as_kept(name)
    assert vars(client.with_options(**{name: None})._config)[name] is None


def test_a_copy_shares_connections_and_does_not_close_them(client: Any) -> None:
    """Closing a copy does nothing; closing the parent closes both."""
    twin = client.with_options(timeout=5)
    client.me()
    twin.me()
    assert twin._shared is client._shared
    assert twin.rate_limit == client.rate_limit
    twin.close()
    assert client.me()
    assert twin.me()
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        twin.me()
    assert repr(twin).endswith("closed]>")


def test_copies_leave_nothing_behind(client: Any) -> None:
    """Copies that were used and dropped cost no memory."""

    def use(times: int) -> None:
        for number in range(times):
            twin = client.with_options(timeout=5 + number, max_retries=1)
            _ = (twin.jobs, twin.webhooks.events, repr(twin))
        client.with_options(timeout=3).me()
        gc.collect()

    use(20)
    tracemalloc.start()
    try:
        use(20)
        baseline = tracemalloc.get_traced_memory()[0]
        use(300)
        growth = tracemalloc.get_traced_memory()[0] - baseline
    finally:
        tracemalloc.stop()
    # A copy is over a kilobyte, so 300 that stayed would be more.
    assert growth < 100_000


# --- closing


def test_a_closed_client(client: Any, fresh_server: MockServer) -> None:
    """A closed client says so, sends nothing, and may be closed again."""
    client.me()
    client.close()
    client.close()
    for call in (client.me, client.jobs.list, lambda: client.jobs.create(**JOB)):
        with pytest.raises(ConfigurationError, match="this client is closed"):
            call()
    assert len(fresh_server.requests) == 1
    assert ", closed]" in repr(client)


def test_with_closes(fresh_server: MockServer) -> None:
    """Leaving the with statement closes the client, also by an error."""
    client = fresh_server.client()
    with pytest.raises(NotFoundError), client:
        client.jobs.get("job_0")
    assert ", closed]" in repr(client)


@pytest.mark.parametrize("kind", [FirstHandClient, AsyncFirstHandClient])
def test_an_unclosed_client_warns(kind: Any) -> None:
    """A client that was never closed warns once, when it goes; it names the way to close it."""
    client = kind(KEY)
    twin = client.with_options(timeout=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del twin
        gc.collect()
        assert caught == []
        del client
        gc.collect()
    assert [warning.category for warning in caught] == [ResourceWarning]
    assert "was not closed" in str(caught[0].message)


def test_a_closed_client_and_its_copies_do_not_warn(client: Any, connect: Connect) -> None:
    """Closed clients, copies of them, and clients that were refused go in silence."""
    twin = client.with_options(timeout=5)
    twin.me()
    client.close()
    with pytest.raises(ConfigurationError):
        connect.client_class(KEY, timeout=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        connect._made.clear()
        del client, twin
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_pickling_is_refused(connect: Connect) -> None:
    """A client does not pickle or copy: it holds connections and a key, and says what to do instead."""
    client = connect()
    client = client.target if connect.is_async else client
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(ConfigurationError, match="create a client in each process") as caught:
            attempt(client)
        assert KEY not in str(caught.value)


# --- the spend limit


@pytest.mark.parametrize(
    ("of_client", "of_call", "allowed"),
    [
        (None, None, True),
        (99, None, False),
        (None, 99, False),
        (500, 100, True),
    ],
)
def test_the_smaller_limit_wins(
    of_client: int | None, of_call: int | None, allowed: bool, connect: Connect, fresh_server: MockServer
) -> None:
    """A job over the smaller of the client's limit and the call's is refused before anything is sent."""
    client = connect(fresh_server, max_spend_cents=of_client)
    if allowed:
        assert client.jobs.create(**JOB, max_spend_cents=of_call).total_cost_cents == 100
        return
    for create in (client.jobs.create, client.jobs.create_and_wait):
        with pytest.raises(SpendLimitError) as caught:
            create(**JOB, max_spend_cents=of_call)
        assert caught.value.cost_cents == 100
        assert caught.value.limit_cents == min(limit for limit in (of_client, of_call) if limit is not None)
    assert fresh_server.requests == []


@pytest.mark.parametrize(
    ("extra_body", "error"),
    [
        ({"files_needed": 3}, SpendLimitError),
        ({"price_per_file_cents": 51}, SpendLimitError),
        ([("files_needed", 3)], InvalidArgumentError),
        ("files_needed", InvalidArgumentError),
    ],
)
def test_extra_body_does_not_get_around_the_limit(
    extra_body: Any, error: Any, connect: Connect, fresh_server: MockServer
) -> None:
    """What `extra_body` puts into the body counts."""
    client = connect(fresh_server, max_spend_cents=100)
    with pytest.raises(error):
        client.jobs.create(**JOB, extra_body=extra_body)
    assert fresh_server.requests == []
    assert client.jobs.create(**JOB, extra_body={"files_needed": 1}).total_cost_cents == 50


def test_a_raw_request_does_not_get_around_the_limit(connect: Connect, fresh_server: MockServer) -> None:
    """A job posted by `client.request` is held against the client's limit too."""
    client = connect(fresh_server, max_spend_cents=99)
    job = {"type": "data_collection", **JOB}
    with pytest.raises(SpendLimitError):
        client.request("post", "/v1/jobs", json=job)
    with pytest.raises(InvalidArgumentError) as caught:
        client.request("POST", "/v1/jobs", json={**job, "files_needed": None})
    assert caught.value.field == "json"
    assert fresh_server.requests == []
    assert client.request("POST", "/v1/jobs", json={**job, "files_needed": 1}).status_code == 201
    assert client.request("GET", "/v1/jobs").status_code == 200


# --- many at once


def test_one_key_from_twenty_threads_buys_once(fresh_server: MockServer) -> None:
    """Twenty calls at once with one key make one job."""
    with fresh_server.client() as client, ThreadPoolExecutor(20) as threads:
        barrier = threading.Barrier(20)

        def create(_: int) -> str:
            barrier.wait()
            return client.jobs.create(**JOB, idempotency_key="race").id

        assert len(set(threads.map(create, range(20)))) == 1
        assert len(list(client.jobs.list())) == 1


def test_sixteen_threads(fresh_server: MockServer) -> None:
    """One client serves sixteen threads over no more connections than there are threads."""
    with fresh_server.client() as client, ThreadPoolExecutor(16) as threads:

        def work(number: int) -> tuple[str, str]:
            title = f"job {number}"
            job = client.jobs.create(**JOB, title=title)
            return title, client.jobs.get(job.id).title or ""

        results = list(threads.map(work, range(160)))
        assert all(asked == got for asked, got in results)
        assert len({asked for asked, _ in results}) == 160
        (wire,) = client._shared._wires.values()
        assert 1 <= len(wire._pool._idle) <= 16
    assert wire._pool._idle == []


def test_closing_while_a_thread_is_busy(fresh_server: MockServer) -> None:
    """A call that is under way when the client closes ends well, and its connection is closed."""
    client = fresh_server.client()
    fresh_server.faults.add(delay=0.3)
    results: list[Any] = []
    busy = threading.Thread(target=lambda: results.append(client.me()))
    busy.start()
    while not fresh_server.requests:
        time.sleep(0.001)
    client.close()
    busy.join()
    assert results[0].response.status_code == 200
    (wire,) = client._shared._wires.values()
    assert wire._pool._idle == []


def test_connections_are_kept(client: Any, fresh_server: MockServer) -> None:
    """Calls one after the other go over one connection; one that the server closed is not used again."""
    for _ in range(5):
        client.me()
    (wire,) = client._shared._wires.values()
    dials: list[Any] = []
    plain = wire._pool._connect
    wire._pool._connect = lambda: dials.append(1) or plain()
    client.me()
    assert dials == []
    fresh_server.stop()
    fresh_server.start()
    assert client.me().response.attempts == 1
    assert dials == [1]


FORK = """
import os, sys, warnings
from firsthandapi.testing import MockServer

with MockServer(speed=0, workers=False) as server, server.client() as client:
    client.me()
    ours = server.requests
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            identity = client.me()
            client.jobs.list()
            client.close()
            os.write(write, b"ok" if identity.response.attempts == 1 else b"retried")
        except BaseException as error:
            os.write(write, repr(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(read, 1000)
    os.close(read), os.close(write)
    assert told == b"ok", told
    (wire,) = client._shared._wires.values()
    # The child closed its copy of our connection; ours is as it was.
    (connection,) = wire._pool._idle
    assert connection.usable()
    assert client.me().response.attempts == 1
    assert wire._pool._idle == [connection]
print("fine")
"""


def test_a_pool_in_a_forked_child(fresh_server: MockServer) -> None:
    """In a child the inherited connections are closed there, and a new one is made."""
    with fresh_server.client() as client:
        client.me()
        (wire,) = client._shared._wires.values()
        pool: Any = wire._pool
        (inherited,) = pool._idle
        pool.start_in_child()
        assert client.me().response.attempts == 1
        assert not inherited.usable()
        assert inherited not in pool._idle
        assert len(pool._idle) == 1


def test_a_pool_closed_at_the_last_moment(fresh_server: MockServer) -> None:
    """A connection given back while another thread closes the pool does not stay open."""
    with fresh_server.client() as client:
        client.me()
        (wire,) = client._shared._wires.values()
        pool: Any = wire._pool
        connection = pool.acquire(1)

        class Idle(list[Any]):
            """The idle connections; while one comes back, the pool is closed."""

            def append(self, item: Any) -> None:
                pool.close()
                super().append(item)

        pool._idle = Idle()
        pool.release(connection, reusable=True)
        assert pool._idle == []
        assert not connection.usable()


def test_idle_connections_that_the_server_closed(
    connect: Connect, fresh_server: MockServer, monkeypatch: Any
) -> None:
    """After a burst a light caller does not keep the connections that the server has closed since."""
    for half in ("_sync", "_async"):
        monkeypatch.setattr(f"firsthandapi.{half}.pool.SWEEP", 0.0)
    client = connect(fresh_server, max_retries=0)
    fresh_server.faults.add(delay=0.2, times=None)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: client.me(), range(8)))
    fresh_server.faults.clear()
    (wire,) = client._shared._wires.values()
    pool = wire._pool

    def idle() -> list[Any]:
        if not connect.is_async:
            return list(pool._idle)
        (stack,) = pool._stacks.values()
        return list(stack.idle)

    connections = idle()
    assert len(connections) > 1
    fresh_server.stop()
    fresh_server.start()
    client.me()
    (survivor,) = idle()
    assert survivor not in connections
    assert not any(connection.usable() for connection in connections)


def test_dead_connections_cost_one_attempt(connect: Connect) -> None:
    """The next attempt takes a new connection, not another idle one, which is probably dead as well."""
    opened = threading.Barrier(4)

    def answer(request: RawRequest) -> Reply:
        if sum(call.connection == request.connection for call in server.requests) > 1:
            return Reply(b"", then="close")  # as what has forgotten the connection
        if len(server.requests) <= 4:
            opened.wait(60)
        return response(b'{"organization_id": "org_1"}', Content_Type="application/json")

    with RawServer(answer) as server:
        client = connect(base_url=server.base_url)
        connect.clock(client)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: client.me(), range(4)))
        assert client.me().response.attempts == 2
        assert len(server.requests) == 6


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_long_polls_leave_connections_for_plain_calls(
    kind: str, monkeypatch: Any, fresh_server: MockServer
) -> None:
    """However many long-polls are held, a plain call has a connection at once."""
    connect = Connect(kind)
    for half in ("_sync", "_async"):
        monkeypatch.setattr(f"firsthandapi.{half}.pool.MAX_CONNECTIONS", 2)
    client = connect(fresh_server, max_retries=0)
    job = client.jobs.create(**JOB)
    with ThreadPoolExecutor(4) as threads:
        polls = [threads.submit(client.jobs.get, job.id, wait=60) for _ in range(4)]
        while sum(1 for request in fresh_server.requests if request.headers.get("prefer")) < 2:
            time.sleep(0.005)
        assert client.jobs.get(job.id, timeout=20).id == job.id
        client.jobs.cancel(job.id)
        assert {poll.result().status for poll in polls} == {"cancelled"}
    connect.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_does_not_share_connections() -> None:
    """After a fork the child makes connections of its own, and the parent's still work."""
    arguments = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORK]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("fine\n", "")
