"""Many processes on one API key, with a real Redis. `make fleet` says how to install it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from dataset.support import completed_job
from firsthandapi import (
    AsyncFirstHandClient,
    ConfigurationError,
    Dataset,
    DeadlineExceededError,
    FirstHandClient,
)
from firsthandapi.fleet import AsyncRedisRateLimiter, RedisRateLimiter, RedisStore
from firsthandapi.testing import MockServer
from firsthandapi.webhooks import EventRouter

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(SERVER is None, reason="neither redis-server nor valkey-server is installed")
_WORKER = """
import json, sys, time
from firsthandapi import FirstHandClient, NotFoundError
from firsthandapi.fleet import RedisRateLimiter
key, base_url, redis, calls = sys.argv[1:]
done = []
with FirstHandClient(key, base_url, max_retries=0, rate_limiter=RedisRateLimiter(redis)) as client:
    for _ in range(int(calls)):
        try:
            client.jobs.get("job_01JP0000000000000000000000")
        except NotFoundError as error:
            done.append(error.status)
print(json.dumps([len(done), time.time()]))
"""


class Redis:
    """A Redis of one's own, which can go away and return."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert SERVER is not None
        self._process = subprocess.Popen(
            [
                SERVER,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self._folder),
            ],
            stdout=subprocess.DEVNULL,
        )
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("Redis does not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=20)
            self._process = None


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    redis = Redis(tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def server() -> Iterator[MockServer]:
    """A server whose minutes are two seconds long."""
    with MockServer(speed=30, workers=False) as server:
        yield server


def workers(server: MockServer, redis: Redis, count: int, calls: int) -> list[subprocess.Popen[str]]:
    """Processes that call as fast as they may."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, server.api_key, server.url, redis.url, str(calls)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]


def refused(server: MockServer) -> int:
    """How often the server answered 429."""
    return sum(request.status == 429 for request in server.requests)


@needs_redis
def test_four_processes_share_one_budget(server: MockServer, redis: Redis) -> None:
    """400 calls at 100 a minute, without one 429; all processes finish in the last window, so each had its share."""
    ends = []
    for process in workers(server, redis, 4, 100):
        out, _ = process.communicate(timeout=60)
        done, ended = json.loads(out)
        assert done == 100
        ends.append(ended)
    assert refused(server) == 0
    assert max(ends) - min(ends) < 4


@needs_redis
def test_a_killed_process_holds_nobody_up(server: MockServer, redis: Redis) -> None:
    """Whatever it had taken or waited for, the others go on."""
    first, *others = workers(server, redis, 3, 130)
    while len(server.requests) < 150:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=20)
    for process in others:
        out, _ = process.communicate(timeout=60)
        assert json.loads(out)[0] == 130
    assert refused(server) == 0


@needs_redis
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
        (warning,) = [record for record in caplog.records if "Redis" in record.getMessage()]
        assert server.api_key not in warning.getMessage()
        redis.start()
        time.sleep(1.1)
        for _ in range(120):
            client.me()
    assert refused(server) == 0


@needs_redis
def test_threads_and_tasks_share_it_too(server: MockServer, redis: Redis) -> None:
    """32 threads and 50 tasks on one key: no failure and no 429."""
    limiter = RedisRateLimiter(redis.url)
    with (
        FirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client,
        ThreadPoolExecutor(32) as pool,
    ):
        assert len([*pool.map(lambda _: client.me(), range(120))]) == 120

    async def main() -> None:
        limiter = AsyncRedisRateLimiter(redis.url)
        async with (
            AsyncFirstHandClient(server.api_key, server.url, rate_limiter=limiter) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(120):
                group.start_soon(client.me)

    anyio.run(main)
    assert refused(server) == 0


@needs_redis
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


@needs_redis
def test_two_receivers_handle_an_event_once(redis: Redis) -> None:
    """The second is told that it is a duplicate; while the first is at work it raises; a failure frees the event."""
    one, two = RedisStore(redis.url), RedisStore(redis.url)
    assert one.claim("evt_1")
    with pytest.raises(RuntimeError, match="another process"):
        two.claim("evt_1")
    two.release("evt_1")  # not its own
    with pytest.raises(RuntimeError):
        two.claim("evt_1")
    one.release("evt_1")
    assert two.claim("evt_1")
    two.commit("evt_1")
    assert not one.claim("evt_1")
    EventRouter(store=one)


@needs_redis
def test_a_worker_fleet_downloads_every_job_once(redis: Redis, tmp_path: Path) -> None:
    """Three workers of the example share a list of jobs: each job's files are in its folder, without one 429."""
    import redis as redis_py

    with MockServer(speed=0, workers=False) as server, server.client() as client:
        server.rate_limit = None
        work = redis_py.Redis.from_url(redis.url)
        jobs = [completed_job(server, 3) for _ in range(6)]
        work.rpush("jobs", *jobs)
        environment = {**os.environ, "REDIS_URL": redis.url}
        environment |= {"FIRSTHAND_API_KEY": server.api_key, "FIRSTHAND_BASE_URL": server.url}
        example = Path(__file__).parents[2] / "examples" / "fleet_worker.py"
        processes = [
            subprocess.Popen([sys.executable, str(example), str(tmp_path / "jobs")], env=environment)
            for _ in range(3)
        ]
        assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
        for job_id in jobs:
            assert Dataset.open(tmp_path / "jobs" / job_id).verify()
        assert work.llen("jobs:taken") == 0
        assert client.me()


@pytest.mark.parametrize("url", ["", "memcached://127.0.0.1:1", "nonsense", "redis://:secret@[::bad"])
def test_a_bad_url_is_named_without_its_password(url: str) -> None:
    """An error of ours says what it should look like."""
    for make in (RedisRateLimiter, AsyncRedisRateLimiter, RedisStore):
        with pytest.raises(ConfigurationError, match="redis://") as caught:
            make(url)
        assert "secret" not in str(caught.value)
