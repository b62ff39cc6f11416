"""Many processes on one API key, with a real Redis. `make fleet` says how to install it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from dataset.support import completed_job
from firsthandapi import (
    AsyncFirstHandClient,
    ConfigurationError,
    Dataset,
    DeadlineExceededError,
    FirstHandClient,
    RateLimitError,
)
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.engines.fleet import _budget
from firsthandapi.fleet import (
    AsyncRedisRateLimiter,
    EventClaimedError,
    RedisRateLimiter,
    RedisStore,
    StoreError,
)
from firsthandapi.testing import MockServer
from firsthandapi.webhooks import DeduplicationStore, EventRouter, sign, unwrap
from processes import REDIS_SERVERS, Redis, end_of
from raw import RawServer, Reply

EVENT = json.dumps({"id": "evt_2", "type": "job.completed", "data": {}, "created_at": "2026-11-26T00:00:00Z"})
_WORKER = """
import json, sys, time
from firsthandapi import FirstHandClient, NotFoundError
from firsthandapi.fleet import RedisRateLimiter
key, base_url, redis = sys.argv[1:]
done = []
with FirstHandClient(key, base_url, rate_limiter=RedisRateLimiter(redis)) as client:
    print("ready", flush=True)
    sys.stdin.readline()
    while len(done) < 100:
        try:
            client.jobs.get("job_01JP0000000000000000000000")
        except NotFoundError as error:
            done.append(error.status)
print(json.dumps([len(done), time.time()]))
"""


def running(folder: Path, server: str) -> Iterator[Redis]:
    if not server:
        pytest.skip("neither redis-server nor valkey-server is installed")
    redis = Redis(folder, server)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    yield from running(tmp_path, next(iter(REDIS_SERVERS), ""))


@pytest.fixture(params=REDIS_SERVERS or [""], ids=lambda path: Path(path).name)
def each_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Redis]:
    """Redis, then Valkey, as far as they are installed."""
    yield from running(tmp_path, request.param)


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server whose minutes are two seconds long."""
    with MockServer(speed=30, workers=False) as server:
        yield server


def workers(server: MockServer, redis: Redis) -> list[subprocess.Popen[str]]:
    """Four processes that make a hundred calls each, as fast as they may, from one moment on."""
    command = [sys.executable, "-c", _WORKER, server.api_key, server.url, redis.url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


def ends_of(processes: list[subprocess.Popen[str]]) -> list[float]:
    """When each of them had made its 100 calls, in order."""
    reports = [json.loads(end_of(process)[0]) for process in processes]
    assert {done for done, _ in reports} == {100}
    return sorted(ended for _, ended in reports)


def refused(server: MockServer) -> int:
    """How often the server answered 429."""
    return sum(request.status == 429 for request in server.requests)


@pytest.mark.slow
def test_four_processes_share_one_budget(server: MockServer, each_redis: Redis) -> None:
    """400 calls at 100 a minute, without one 429; those that had to wait finish together, so each had its share."""
    # On busy cores one process may use up the first window before the others ask.
    _, second, *_, last = ends_of(workers(server, each_redis))
    assert refused(server) == 0
    assert last - second < 15


@pytest.mark.slow
def test_a_killed_process_holds_nobody_up(server: MockServer, each_redis: Redis) -> None:
    """Whatever it had taken or waited for, the others go on, fairly, without one 429."""
    first, *survivors = workers(server, each_redis)
    while len(server.requests) < 150:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    end_of(first)
    ends = ends_of(survivors)
    assert refused(server) == 0
    assert ends[-1] - ends[0] < 15


@pytest.mark.slow
def test_redis_goes_away_and_returns(server: MockServer, each_redis: Redis) -> None:
    """Meanwhile each process counts by itself; what an empty Redis has lost, the first process tells it: without a
    429, all 400 calls are made."""
    processes = workers(server, each_redis)
    while len(server.requests) < 130:
        time.sleep(0.02)
    each_redis.stop()
    while len(server.requests) < 220:
        time.sleep(0.02)
    each_redis.start()
    ends_of(processes)
    assert refused(server) == 0


def test_without_redis_calls_go_through_with_a_warning(
    server: MockServer, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails open, says so once, and counts again when Redis is back."""
    limiter = RedisRateLimiter(redis.url)
    with FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client:
        client.me()
        redis.stop()
        with caplog.at_level(logging.WARNING, "firsthandapi"):
            for _ in range(5):
                client.me()
        (warning,) = warnings_of(caplog)
        assert server.api_key not in warning
        redis.start()
        time.sleep(1.1)
        key_count = redis.admin().dbsize()
        for _ in range(20):
            client.me()
        assert redis.admin().dbsize() > key_count == 0
    assert refused(server) == 0


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def replica(redis: Redis) -> None:
    redis.admin().replicaof("127.0.0.1", "1")


def no_memory(redis: Redis) -> None:
    redis.admin().config_set("maxmemory", "1")


def new_password(redis: Redis) -> None:
    admin = redis.admin()
    admin.config_set("requirepass", "secret-word")
    admin.client_kill_filter(_type="normal", skipme=True)


def frozen(redis: Redis) -> None:
    redis.signal(signal.SIGSTOP)


def wrong_types(redis: Redis) -> None:
    admin = redis.admin()
    for key in admin.keys("firsthandapi:*"):
        admin.delete(key)
        admin.lpush(key, "x")


@pytest.mark.parametrize("lie", [replica, no_memory, new_password, frozen, wrong_types])
def test_a_redis_that_fails_is_done_without(
    server: MockServer, redis: Redis, caplog: pytest.LogCaptureFixture, lie: Callable[[Redis], None]
) -> None:
    """A replica, a full memory, another password, one that hangs, keys of other types: calls go through, with one
    warning, without a 429. The store of a receiver ends in an error of ours."""
    # Only one that hangs is waited for; before that, it may be slow on busy cores.
    patience = 1.0 if lie is frozen else 30.0
    limiter = RedisRateLimiter(redis.url, socket_timeout=patience)
    store = RedisStore(redis.url, socket_timeout=patience)
    with FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client:
        client.me()
        assert store.claim("evt_1")
        lie(redis)
        with caplog.at_level(logging.WARNING, "firsthandapi"):
            for _ in range(30):
                client.me()
        (warning,) = warnings_of(caplog)
        assert "has no Redis" in warning
        assert "secret-word" not in warning
    event = "evt_1" if lie is wrong_types else "evt_2"
    with pytest.raises(StoreError, match=f"{event} in Redis: .*; respond with 5xx"):
        store.claim(event)
    assert refused(server) == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        {"left": "0", "ends": "9" * 15, "window": "1", "limit": "100"},
        {"left": "-5", "ends": "1", "window": "1", "limit": "100"},
        {"left": "nan", "ends": "x", "window": "y", "limit": "z"},
        {"left": "9" * 30, "ends": "9" * 30, "window": "9" * 30, "limit": "1"},
        {"left": "5"},
        {"left": "nan", "ends": "nan", "window": "1", "limit": "100"},
        {"left": "0", "ends": "nan", "window": "1", "limit": "nan"},
        {"left": "5", "ends": "1", "window": "1", "limit": "0"},
        {"left": "5", "ends": "1", "window": "1", "limit": "-3"},
    ],
)
def test_a_budget_of_nonsense_is_begun_anew(
    server: MockServer, redis: Redis, nonsense: dict[str, str]
) -> None:
    """A window that never ends would stop every process for good."""
    from firsthandapi._base.masking import Secret
    from firsthandapi._core.calls.ratelimit import fingerprint

    redis.admin().hset(f"firsthandapi:{{{fingerprint(Secret(server.api_key))}}}:budget", mapping=nonsense)
    limiter = RedisRateLimiter(redis.url)
    with FirstHandClient(server.api_key, server.url, rate_limiter=limiter, deadline=20) as client:
        for _ in range(20):
            client.me()
    assert refused(server) == 0


def test_a_request_counts_in_the_window_in_which_it_arrives(redis: Redis) -> None:
    """Sent at the end of one window, it takes one from the next; the response to an older one takes none."""
    limiter = RedisRateLimiter(redis.url)
    late, older = (limiter.acquire("a-key", timeout=1) for _ in range(2))
    (budget,) = redis.admin().keys()
    redis.admin().hset(budget, "ends", 1)
    limiter.acquire("a-key", timeout=1)
    assert redis.admin().hget(budget, "left") == "99"
    for permit, seconds, remainder in ((older, 1, "99"), (late, 50, "98")):
        headers = ((b"x-ratelimit-limit", b"100"), (b"x-ratelimit-remaining", b"0"))
        reset = (b"x-ratelimit-reset", b"%d" % (time.time() + seconds))
        limiter.observe("a-key", permit, ApiResponse(200, (*headers, reset)), sent=True)
        assert redis.admin().hget(budget, "left") == remainder


def described(limit: int, remaining: int) -> ApiResponse:
    """A response that describes a window which ends in 50 seconds."""
    pairs = {"limit": limit, "remaining": remaining, "reset": int(time.time()) + 50}
    return ApiResponse(
        200, tuple((f"x-ratelimit-{name}".encode(), b"%d" % value) for name, value in pairs.items())
    )


def test_a_limit_above_the_usual_one_holds_from_the_first_response(redis: Redis) -> None:
    """The first window need not end before call 101 is made."""
    limiter = RedisRateLimiter(redis.url)
    permit = limiter.acquire("a-key", timeout=1)
    limiter.observe("a-key", permit, described(1000, 999), sent=True)
    for _ in range(150):
        limiter.acquire("a-key", timeout=0)


def test_a_limit_that_stands_still_is_refused_at_once(redis: Redis) -> None:
    """By the bundled server, until the test acts; the limiter does not make anybody wait for a minute."""
    limiter = RedisRateLimiter(redis.url)
    with (
        MockServer(speed=0, rate_limit=2) as server,
        server.client(rate_limiter=limiter, deadline=1) as client,
    ):
        for _ in range(3):
            client.me()
            client.me()
            for _ in range(4):  # more than a window of the limiter has
                with pytest.raises(RateLimitError, match="time stands still"):
                    client.me()
            server.clock.advance(minutes=1)


def test_the_first_response_counts_requests_under_way(redis: Redis) -> None:
    """Its remainder may not count them; and only the first one raises a limit: those of two endpoints may differ."""
    limiter = RedisRateLimiter(redis.url)
    first, second, *_ = (limiter.acquire("a-key", timeout=1) for _ in range(30))
    (budget,) = redis.admin().keys()
    admin = redis.admin()
    limiter.observe("a-key", first, described(1000, 500), sent=True)  # another program has sent 499
    assert admin.hget(budget, "left") == "471"
    limiter.observe("a-key", second, described(60, 59), sent=True)
    limiter.observe("a-key", second, described(1000, 498), sent=True)
    assert admin.hget(budget, "left") == "59"


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*2\r\n$1\r\nx\r\n$-1\r\n", b":5\r\n", b"+OK\r\n"]
)
def test_what_is_no_redis_is_done_without(
    server: MockServer, caplog: pytest.LogCaptureFixture, reply: bytes
) -> None:
    """A port that answers with something else costs a warning."""

    def answer(connection: socket.socket) -> None:
        connection.settimeout(0.3)  # the client keeps it open
        while connection.recv(65536) and reply:
            connection.sendall(reply)

    with RawServer(lambda _: Reply(b""), first=answer) as impostor:
        url = f"redis://:secret-word@127.0.0.1:{impostor.port}/0"
        limiter = RedisRateLimiter(url, socket_timeout=0.2)
        with FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client:
            for _ in range(20):
                client.me()
        (warning,) = warnings_of(caplog)
        assert "secret-word" not in warning
        with pytest.raises(StoreError) as caught:
            RedisStore(url, socket_timeout=0.2).claim("evt_1")
        assert "secret-word" not in str(caught.value)


def test_threads_and_tasks_share_it_too(server: MockServer, redis: Redis) -> None:
    """32 threads and 50 tasks on one key: no failure and no 429."""
    limiter = RedisRateLimiter(redis.url)
    with (
        FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client,
        ThreadPoolExecutor(32) as pool,
    ):
        assert len([*pool.map(lambda _: client.me(), range(110))]) == 110

    async def main() -> None:
        limiter = AsyncRedisRateLimiter(redis.url)
        async with (
            AsyncFirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(60):
                group.start_soon(client.me)

    anyio.run(main)
    assert refused(server) == 0


def test_a_cancelled_call_gives_up_the_place_that_it_was_taking(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow Redis is: a place that is taken after it was given up would keep other processes waiting."""
    limiter = AsyncRedisRateLimiter("redis://127.0.0.1:1/0")
    steps: list[str] = []
    asked, answers = threading.Event(), threading.Event()

    def take(key: str) -> float:
        asked.set()
        assert answers.wait(30)
        steps.append(f"{key} is in the line")
        return 1.0

    monkeypatch.setattr(limiter._budget, "take", take)
    monkeypatch.setattr(limiter._budget, "leave", lambda key: steps.append(f"{key} left it"))

    async def main() -> None:
        task = asyncio.ensure_future(limiter.acquire("key", timeout=None))
        while not asked.is_set():
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(50):
            await asyncio.sleep(0)
        answers.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert steps == ["key is in the line", "key left it"]


def test_a_deadline_bounds_the_wait(redis: Redis) -> None:
    """Who may not wait for the window is told so, and leaves the line to others."""
    with MockServer(workers=False) as server:
        limiter = RedisRateLimiter(redis.url)
        with FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client:
            for _ in range(100):
                client.me()
            with pytest.raises(DeadlineExceededError):
                client.with_options(deadline=0.3).me()
        assert refused(server) == 0


def test_an_hourly_limit_is_believed(redis: Redis) -> None:
    """Who has learned that the limit is spent for half an hour sends nothing more, and says so."""
    limiter = RedisRateLimiter(redis.url)
    permit = limiter.acquire("a-key", timeout=1)
    headers = ((b"x-ratelimit-limit", b"1000"), (b"x-ratelimit-remaining", b"0"))
    reset = (b"x-ratelimit-reset", b"%d" % (time.time() + 1800))
    limiter.observe("a-key", permit, ApiResponse(429, (*headers, reset)), sent=True)
    with pytest.raises(RateLimitError, match="the limit of 1,000 requests per hour of this API key is spent"):
        limiter.acquire("a-key", timeout=1)
    assert limiter.acquire("another-key", timeout=1)


def test_one_wrong_reset_stops_a_process_for_a_minute(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute one request finds out; its response decides for all of the process."""
    limiter, now = RedisRateLimiter(redis.url), [1_000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr("firsthandapi.engines.fleet._budget.time", clock)

    def answer(permit: object, remaining: int, reset: int) -> None:
        limit = ((b"x-ratelimit-limit", b"100"), (b"x-ratelimit-remaining", b"%d" % remaining))
        response = ApiResponse(200, (*limit, (b"x-ratelimit-reset", b"%d" % reset)))
        limiter.observe("a-key", permit, response, sent=True)

    answer(limiter.acquire("a-key", timeout=1), 0, 4_102_444_800)
    for _ in range(2):
        with pytest.raises(RateLimitError, match="a call after 60 s asks the service again") as caught:
            limiter.acquire("a-key", timeout=1)
        assert caught.value.believed_for == 60
    now[0] += 60
    redis.admin().flushall()  # as the window that has passed there
    probe = limiter.acquire("a-key", timeout=1)
    with pytest.raises(RateLimitError):
        limiter.acquire("a-key", timeout=1)
    answer(probe, 99, int(time.time()) + 60)
    assert limiter.acquire("a-key", timeout=1)


def test_two_receivers_handle_an_event_once(each_redis: Redis) -> None:
    """The second is told that it is a duplicate; while the first is at work it raises; a failure frees the event."""
    first_store, second_store = RedisStore(each_redis.url), RedisStore(each_redis.url)
    assert first_store.claim("evt_1")
    with pytest.raises(RuntimeError, match="is still being handled"):
        second_store.claim("evt_1")
    second_store.release("evt_1")  # not its own
    with pytest.raises(RuntimeError):
        second_store.claim("evt_1")
    first_store.release("evt_1")
    assert second_store.claim("evt_1")
    second_store.commit("evt_1")
    assert not first_store.claim("evt_1")

    handled: list[str] = []
    event = unwrap(EVENT, {"x-firsthandapi-signature": sign(EVENT, "whsec_1")}, "whsec_1")

    def receiver(store: RedisStore, name: str) -> EventRouter:
        router = EventRouter(store=store)

        @router.on("job.completed")
        def handle(_: object) -> None:
            handled.append(name)
            if name == "first":  # while it is at work, the service sends the event to the other one too
                with pytest.raises(EventClaimedError):
                    second.dispatch(event)

        return router

    first, second = receiver(first_store, "first"), receiver(second_store, "second")
    assert first.dispatch(event)
    assert not second.dispatch(event)
    assert not first.dispatch(event)
    assert handled == ["first"]


@pytest.fixture(params=["ours", "docstring"])
def new_store(
    request: pytest.FixtureRequest, each_redis: Redis
) -> Iterator[Callable[[], DeduplicationStore]]:
    """Makes stores: `RedisStore`, or the example of `DeduplicationStore` on a client that repeats a command once."""
    if request.param == "ours":
        yield lambda: RedisStore(each_redis.url)
        return
    from redis import Redis as Client
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    text = inspect.getdoc(DeduplicationStore) or ""
    code = text.partition("for example:\n")[2].partition("\nGive each claim")[0]
    with Client.from_url(each_redis.url, retry=Retry(NoBackoff(), 1)) as client:
        names: dict[str, Any] = {"redis": client, "uuid": uuid, "EventClaimedError": EventClaimedError}
        exec(textwrap.dedent(code), names)
        yield names["RedisStore"]


def test_a_claim_whose_response_was_lost_is_recognized(
    new_store: Callable[[], DeduplicationStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of Redis repeats the claim, which is not another's: the event is handled now, not 36 minutes later."""
    from redis.connection import AbstractConnection
    from redis.exceptions import ConnectionError as NoConnectionError

    store = new_store()
    assert store.claim("evt_0")  # so that it is connected
    read = AbstractConnection.read_response
    lost: list[object] = []

    def read_response(*args: Any, **options: Any) -> Any:
        response = read(*args, **options)
        if not lost:
            lost.append(response)
            raise NoConnectionError("the response was lost")
        return response

    monkeypatch.setattr(AbstractConnection, "read_response", read_response)
    assert store.claim("evt_1")
    assert lost in ([1], [b"OK"])
    with pytest.raises(EventClaimedError):
        store.claim("evt_1")
    store.release("evt_1")
    assert store.claim("evt_1")


@pytest.mark.parametrize("command", ["claim", "release"])
def test_an_outage_leaves_no_claim_behind(
    command: str, each_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No response to a claim arrives, or no release: the next delivery to this process is handled, once. Another
    process still waits for the claim to end."""
    from redis.connection import AbstractConnection
    from redis.exceptions import ConnectionError as NoConnectionError

    from firsthandapi.engines.fleet import _store

    monkeypatch.setattr(_store, "_MOST_ABANDONED", 0)
    store = RedisStore(each_redis.url)
    assert store.claim("evt_1" if command == "release" else "evt_0")  # so that it is connected
    read = AbstractConnection.read_response

    def read_response(*args: Any, **options: Any) -> Any:
        read(*args, **options)
        raise NoConnectionError("the response was lost")

    def send(*_: Any, **__: Any) -> None:
        raise NoConnectionError("the command was lost")

    with monkeypatch.context() as outage:
        if command == "claim":
            outage.setattr(AbstractConnection, "read_response", read_response)
        else:
            outage.setattr(AbstractConnection, "send_packed_command", send)
        with pytest.raises(StoreError):
            getattr(store, command)("evt_1")
    with pytest.raises(EventClaimedError):
        RedisStore(each_redis.url).claim("evt_1")
    assert store.claim("evt_1")
    with pytest.raises(EventClaimedError):
        store.claim("evt_1")


@pytest.mark.parametrize("end", ["release", "commit"])
def test_a_claim_that_expired_leaves_the_next_one_alone(
    new_store: Callable[[], DeduplicationStore], end: str, each_redis: Redis
) -> None:
    """Another process has claimed the event since, and still handles it."""
    slow, second, third = (new_store() for _ in range(3))
    assert slow.claim("evt_1")
    each_redis.admin().flushall()
    assert second.claim("evt_1")
    getattr(slow, end)("evt_1")
    with pytest.raises(EventClaimedError):
        third.claim("evt_1")
    second.commit("evt_1")
    getattr(slow, end)("evt_1")
    assert not third.claim("evt_1")


def test_a_handled_event_is_remembered_for_7_days(
    new_store: Callable[[], DeduplicationStore], each_redis: Redis
) -> None:
    """Even if its claim expired while the handler was at work."""
    store = new_store()
    assert store.claim("evt_1")
    admin = each_redis.admin()
    admin.flushall()
    store.commit("evt_1")
    (key,) = admin.keys()
    assert 604_700 < admin.ttl(key) <= 604_800
    assert not new_store().claim("evt_1")


class Fleet:
    """Workers of the example, and the Redis that they share."""

    def __init__(self, server: MockServer, redis: Redis, folder: Path) -> None:
        import redis as redis_py

        self.work = redis_py.Redis.from_url(redis.url)
        self._folder = folder
        self._environment = {**os.environ, "REDIS_URL": redis.url, "LEASE_SECONDS": "1"}
        self._environment |= {"FIRSTHAND_API_KEY": server.api_key, "FIRSTHAND_BASE_URL": server.url}

    def start(self) -> subprocess.Popen[bytes]:
        example = Path(__file__).parents[3] / "examples" / "fleet_worker.py"
        return subprocess.Popen([sys.executable, str(example), str(self._folder)], env=self._environment)

    def wait_until_taken(self, worker: subprocess.Popen[bytes]) -> None:
        while not self.work.keys("jobs:taken:*"):
            assert worker.poll() is None
            time.sleep(0.02)

    def check(self, jobs: list[str]) -> None:
        assert all(Dataset.open(self._folder / job_id).verify() for job_id in jobs)
        assert self.work.keys("jobs*") == []


@pytest.mark.slow
def test_a_worker_fleet_downloads_every_job_once(redis: Redis, tmp_path: Path) -> None:
    """Three workers of the example share a list of jobs: each job's files are in its folder, without one 429. What is
    no job, or has no folder, ends in the list of failures, and stops nobody."""
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        server.rate_limit = None
        fleet = Fleet(server, redis, tmp_path / "jobs")
        blocked, *jobs = [completed_job(server, 3) for _ in range(7)]
        (tmp_path / "jobs").mkdir()
        (tmp_path / "jobs" / blocked).write_text("a file in the way", encoding="utf-8")
        bad = ["job_unknown", "job_01JP/../bad", b"job_\xff", blocked]
        fleet.work.rpush("jobs", *bad, f"{jobs[0]}\r", *jobs[1:])
        processes = [fleet.start() for _ in range(3)]
        assert [process.wait(timeout=180) for process in processes] == [0, 0, 0]
        failed = {entry if isinstance(entry, bytes) else entry.encode() for entry in bad}
        assert set(fleet.work.lrange("jobs:failed", 0, -1)) == failed
        fleet.work.delete("jobs:failed")
        fleet.check(jobs)
        assert client.me()


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP, None], ids=["killed", "stopped", "failed"])
def test_a_worker_that_dies_loses_no_job(redis: Redis, tmp_path: Path, end: signal.Signals | None) -> None:
    """Another takes its job when its lease has ended, while all others run on."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        fleet = Fleet(server, redis, tmp_path / "jobs")
        jobs = [completed_job(server, 2) for _ in range(3)]
        path = f"/v1/jobs/{jobs[0]}"
        server.faults.add(path=path, delay=600) if end else server.faults.add(path=path, status=401)
        fleet.work.rpush("jobs", jobs[0])
        first = fleet.start()
        try:
            if end is None:
                assert first.wait(timeout=180) == 1
            else:
                fleet.wait_until_taken(first)
                first.send_signal(end)
            server.faults.clear()
            fleet.work.rpush("jobs", *jobs[1:])
            survivors = [fleet.start() for _ in range(2)]
            assert [process.wait(timeout=180) for process in survivors] == [0, 0]
        finally:
            first.kill()
            first.wait(timeout=180)
        fleet.check(jobs)


@pytest.mark.slow
def test_a_worker_outlives_a_redis_that_restarts(redis: Redis, tmp_path: Path) -> None:
    """It waits for Redis, and puts back a job that it has taken without learning so: an answer was lost."""
    redis.stop()
    redis.start("--appendonly", "yes", "--appendfsync", "always")
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        fleet = Fleet(server, redis, tmp_path / "jobs")
        jobs = [completed_job(server, 2) for _ in range(3)]
        server.faults.add(path=f"/v1/jobs/{jobs[0]}", delay=2)
        fleet.work.rpush("jobs", *jobs[:2])
        worker = fleet.start()
        fleet.wait_until_taken(worker)
        (taken,) = fleet.work.keys("jobs:taken:*")
        fleet.work.rpush(taken, jobs[2])
        redis.stop()
        while not (tmp_path / "jobs" / jobs[0] / "metadata.jsonl").exists():  # then it misses Redis
            assert worker.poll() is None
            time.sleep(0.02)
        redis.start("--appendonly", "yes")
        assert worker.wait(timeout=180) == 0
        fleet.check(jobs)


@pytest.mark.parametrize("seconds", [-86_400, 86_400])
def test_a_redis_with_another_clock(
    server: MockServer, redis: Redis, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Only its own clock counts, so it may be a day off; and when it is set right, nobody waits for a day."""
    server.rate_limit = 20
    off = f"{{redis.call('TIME')[1] + {seconds}, redis.call('TIME')[2]}}"
    with monkeypatch.context() as patch:
        for name in ("_TAKE", "_LEARN"):
            script: str = getattr(_budget, name)
            patch.setattr(_budget, name, script.replace("redis.call('TIME')", off))
        wrong = RedisRateLimiter(redis.url)
    for limiter in (wrong, RedisRateLimiter(redis.url)):
        with FirstHandClient(server.api_key, server.url, rate_limiter=limiter, deadline=30) as client:
            for _ in range(24):
                client.me()
        if limiter is wrong:
            assert refused(server) == 0


def test_who_dies_in_the_line_of_processes_loses_its_place(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is next goes on as soon as it has not shown up for a while."""
    monkeypatch.setattr(_budget, "_GONE", 0.3)
    first, second = RedisRateLimiter(redis.url), RedisRateLimiter(redis.url)
    first.acquire("a-key", timeout=1)
    (budget,) = redis.admin().keys()
    redis.admin().hset(budget, "left", "0")
    with pytest.raises(TimeoutError):
        second.acquire("a-key", timeout=0)
    assert not isinstance(first._budget.take("a-key"), _budget.SharedPermit)  # it stands there, and is killed
    redis.admin().hset(budget, "left", "5")
    assert second.acquire("a-key", timeout=20)
    assert redis.admin().keys("*:line") == []


@pytest.mark.parametrize("seen", ["3600000", "-3600000", "nonsense"])
def test_who_was_seen_by_another_clock_loses_its_place(redis: Redis, seen: str) -> None:
    """A process that was killed in the line before the clock of Redis was set back holds nobody up for so long."""
    limiter = RedisRateLimiter(redis.url)
    now = redis.admin().time()[0] * 1000
    redis.admin().zadd("firsthandapi:{a-key}:line", {"killed": 0})
    redis.admin().hset("firsthandapi:{a-key}:seen", "killed", seen if seen == "nonsense" else now + int(seen))
    assert limiter._budget.take("a-key") == _budget.SharedPermit(1)


def test_who_waits_for_its_turn_does_not_keep_redis_busy(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The further back, and the longer the first is silent, the later a process asks again."""
    monkeypatch.setattr(_budget, "_GONE", 60)
    limiter = RedisRateLimiter(redis.url)
    now = redis.admin().time()[0] * 1000
    line, seen = "firsthandapi:{a-key}:line", "firsthandapi:{a-key}:seen"
    redis.admin().zadd(line, {f"other-{number}": number - 50 for number in range(30)})
    redis.admin().hset(seen, "other-0", now + 1000)
    assert limiter._budget.take("a-key") == 0.3
    redis.admin().hset(seen, "other-0", now - 1500)
    wait = limiter._budget.take("a-key")
    assert isinstance(wait, float)
    assert wait >= 0.375


@pytest.mark.slow
def test_twelve_processes_have_their_share(redis: Redis) -> None:
    """Within a minute, none gets much more than another, without one 429. A machine that is busy with something else
    for a while starves some of them, so a minute that is unequal is measured again, twice at most."""
    from benchmarks.fleet_shares import measure

    for _ in range(3):
        counts, refused = measure(redis.url)
        assert refused == 0
        share = sum(counts) / len(counts)
        if 0.7 < min(counts) / share <= max(counts) / share < 1.4:
            return
    pytest.fail(f"three minutes were unequal, the last one: {counts}")


@pytest.mark.parametrize("url", ["", "memcached://127.0.0.1:1", "nonsense", "redis://:secret@[::bad"])
def test_a_bad_url_is_named_without_its_password(url: str) -> None:
    """An error of ours says what it should look like."""
    for make in (RedisRateLimiter, AsyncRedisRateLimiter, RedisStore):
        with pytest.raises(ConfigurationError, match="redis://") as caught:
            make(url)
        assert "secret" not in str(caught.value)
