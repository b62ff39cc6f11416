"""Many files at once, and the end of a run."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable

import pytest

from base.network.servers import silent_address
from firsthandapi._base.host.clock import HostClock
from firsthandapi.datasets._download.engine import Engine
from firsthandapi.datasets._download.transfer import Outcome
from firsthandapi.errors import ConfigurationError, DownloadError
from raw import RawRequest, Reply, response

from .conftest import Bench, config_of
from .storage import CHUNKED, names


def test_few_files_few_threads(bench: Bench) -> None:
    """Threads are started for files that wait, not beforehand."""
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes) as engine:
        assert names() == []
        engine.submit(bench.wanted(1))
        outcomes.get(timeout=60)
        deadline = time.monotonic() + 60
        while engine._idle == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
        engine.submit(bench.wanted(2))
        outcomes.get(timeout=60)
        assert len(names()) == 1
    assert names() == []


def test_no_more_threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system gives no more threads those there are do the work; when it gives none, that is an error."""
    start = threading.Thread.start
    starts: list[int] = []

    def scarce(self: threading.Thread) -> None:
        if self.name.startswith("firsthandapi-"):
            if starts:
                raise RuntimeError("can't start new thread")
            starts.append(1)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(10)))
    assert [outcome.error for outcome in outcomes] == [None] * 10
    with pytest.raises(DownloadError, match="refused a new thread"):
        bench.fetch(bench.wanted())


def test_threads_grow_with_latency(bench: Bench) -> None:
    """While most threads wait for the network, more are started: as many as are allowed, and no more."""
    together = threading.Barrier(20)
    most = []

    def late(request: RawRequest) -> Reply:
        most.append(bench.storage.open_connections)
        together.wait(timeout=60)
        return bench.storage.serve(request)

    bench.storage.handler = late
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(40)), concurrency=20)
    assert [outcome.error for outcome in outcomes] == [None] * 40
    assert max(most) == 20


def test_one_slow_response(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread that waits for the network while the others do not makes room for none."""
    busy, noticed, release = threading.Semaphore(0), threading.Event(), threading.Event()
    waits = Engine._waits

    def notice(self: Engine) -> bool:
        more = waits(self)
        noticed.set()
        return more

    def late(request: RawRequest) -> Reply:
        assert release.wait(timeout=60)
        return bench.storage.serve(request)

    def fresh(_: str) -> tuple[str, None]:
        busy.release()
        assert release.wait(timeout=60)
        return bench.storage.url(), None

    monkeypatch.setattr(Engine, "_waits", notice)
    bench.storage.handler, bench.fresh = late, fresh
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes) as engine:
        for number in range(7):
            engine.submit(bench.wanted(number, url=None))
        for _ in range(7):
            assert busy.acquire(timeout=60)
        for number in range(7, 12):
            engine.submit(bench.wanted(number))
        assert noticed.wait(timeout=60)
        assert len(names()) == 8
        release.set()
    assert [outcomes.get().error for _ in range(12)] == [None] * 12


def test_random_faults(bench: Bench) -> None:
    """200 files through faults at random: all of them whole, nothing left, one outcome each."""
    rng = random.Random(7)
    storage = bench.storage
    storage.content = rng.randbytes(50_000)

    def whim(request: RawRequest) -> Reply:
        kind = rng.randrange(12)
        if kind == 0:
            return Reply(b"", "reset")
        if kind == 1:
            return storage.cut(rng.randrange(50_000), "close")(request)
        if kind == 2:
            return storage.cut(rng.randrange(50_000), "reset")(request)
        if kind == 3:
            return response(b"slow down", 503)
        if kind == 4:
            return response(b"<Error/>", 403)
        if kind == 5:
            return Reply(b"garbage\r\n\r\n", "close")
        return storage.serve(request)

    storage.handler = whim
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(200)), max_retries=20)
    refused = [outcome for outcome in outcomes if outcome.error is not None]
    # Three refusals in a row are meant to be final, and at random they happen.
    assert all("403" in str(outcome.error) for outcome in refused)
    assert len(refused) < 10
    for outcome in outcomes:
        assert outcome.error is not None or outcome.wanted.target.read_bytes() == storage.content
    assert bench.left_over() == []
    assert bench.bytes == 50_000 * (200 - len(refused))
    assert names() == []


def test_a_storage_that_refuses_everything(bench: Bench) -> None:
    """Fresh URLs are asked for until ten files in a row were refused by them; once a file comes, they are again."""
    storage = bench.storage
    storage.handler = lambda _: response(status=403)
    outcomes = bench.fetch(*(bench.wanted(n) for n in range(30)), concurrency=1)
    assert len(bench.refreshed) == 20
    assert len(storage.requests) == 10 * 3 + 20
    assert "even to a fresh URL" in str(outcomes[9].error)
    assert "as it did to fresh URLs of the files before" in str(outcomes[10].error)
    bench.refreshed.clear()
    good = {"/file_11", "/fresh"}
    storage.handler = lambda request: (
        storage.serve(request) if request.target in good else response(status=403)
    )
    downloads = [bench.wanted(n, url=storage.url(f"/file_{n}")) for n in range(13)]
    bench.fresh = lambda file_id: (storage.url("/fresh" if file_id == "file_12" else "/no"), None)
    outcomes = bench.fetch(*downloads, concurrency=1)
    assert [outcome.error is None for outcome in outcomes] == [False] * 11 + [True, True]
    assert bench.refreshed == [f"file_{n}" for n in range(10) for _ in range(2)] + ["file_12"]


def test_one_bad_file(bench: Bench) -> None:
    """One bad file never costs the others."""
    bench.storage.handler = lambda request: (
        response(status=404) if request.target == "/bad" else bench.storage.serve(request)
    )
    downloads = [bench.wanted(n, url=bench.storage.url("/bad" if n == 3 else "/good")) for n in range(10)]
    outcomes = bench.fetch(*downloads)
    assert [outcome.error is None for outcome in outcomes] == [n != 3 for n in range(10)]


def test_callbacks_that_raise(bench: Bench) -> None:
    """A callback that raises costs no file and no thread."""

    def broken(_: object) -> None:
        raise RuntimeError("the loop is closed")

    with Engine(config_of(), refresh=bench.refresh, on_done=broken) as engine:
        for number in range(3):
            engine.submit(bench.wanted(number))
    assert len(list(bench.directory.iterdir())) == 3


def hang_in_head(_: RawRequest) -> Reply:
    return Reply(b"HTTP/1.1 200 OK\r\n", "hang")


def hang_in_body(_: RawRequest) -> Reply:
    return response(b"x" * 100, length=1000, then="hang")


def hang_in_chunk(_: RawRequest) -> Reply:
    return Reply(CHUNKED + b"ff\r\nabc", "hang")


@pytest.mark.parametrize("hang", [hang_in_head, hang_in_body, hang_in_chunk, lambda _: Reply(b"", "hang")])
def test_cancel(bench: Bench, hang: Callable[[RawRequest], Reply]) -> None:
    """Cancelling ends every thread soon, leaves no temporary file, and every file has its outcome."""
    bench.storage.handler = hang
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes, concurrency=8, timeout=30) as engine:
        for number in range(20):
            engine.submit(bench.wanted(number))
        while len(bench.storage.requests) < 8:
            time.sleep(0.005)
        time.sleep(0.05)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 10
        assert names() == []
    assert outcomes.qsize() == 20
    for _ in range(20):
        assert "cancelled" in str(outcomes.get().error)
    assert list(bench.directory.iterdir()) == []
    with pytest.raises(ConfigurationError, match="closed"):
        engine.submit(bench.wanted())


def test_cancel_in_a_pause(bench: Bench) -> None:
    """A pause before the next attempt ends when the run does."""
    bench.storage.handler = lambda _: response(status=503, Retry_After="50")
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), bench.engine(outcomes, clock=HostClock()) as engine:  # noqa: PT012 # the block is what is tested
        engine.submit(bench.wanted())
        while not bench.storage.requests:
            time.sleep(0.005)
        time.sleep(0.05)
        raise KeyboardInterrupt
    assert time.monotonic() - started < 10
    assert "cancelled" in str(outcomes.get().error)
    assert names() == []


def test_cancel_while_connecting(bench: Bench) -> None:
    """A connection in the making does not hold up the end."""
    with silent_address("127.0.0.1") as port:
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        with bench.engine(outcomes) as engine:
            engine.submit(bench.wanted(url=f"http://127.0.0.1:{port}/"))
            time.sleep(0.1)
            started = time.monotonic()
            engine.close(cancel=True)
            assert time.monotonic() - started < 10
    assert "cancelled" in str(outcomes.get().error)
    assert names() == []


def test_cancel_while_refreshing(bench: Bench) -> None:
    """A `refresh` that blocks cannot be ended, but the run ends and no temporary file is left."""
    go, asked = threading.Event(), threading.Event()

    def stuck(_: str) -> tuple[str, None]:
        asked.set()
        go.wait(60)
        return bench.storage.url(), None

    bench.fresh = stuck
    bench.storage.script += [bench.storage.cut(100), response(status=403)]
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    with bench.engine(outcomes) as engine:
        engine.submit(bench.wanted())
        assert asked.wait(30)
        started = time.monotonic()
        engine.close(cancel=True)
        assert time.monotonic() - started < 10
        assert list(bench.directory.iterdir()) == []
        go.set()
    assert "cancelled" in str(outcomes.get(timeout=60).error)
    assert list(bench.directory.iterdir()) == []


def test_interrupted_close(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the block waits for its end cancels the rest."""
    bench.storage.handler = hang_in_body
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    join = threading.Thread.join
    calls = []

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(self, timeout)

    with pytest.raises(KeyboardInterrupt), bench.engine(outcomes, timeout=30) as engine:  # noqa: PT012 # the block is what is tested
        engine.submit(bench.wanted())
        while not bench.storage.requests:
            time.sleep(0.005)
        monkeypatch.setattr(threading.Thread, "join", interrupted)
    monkeypatch.undo()
    assert names() == []
    assert "cancelled" in str(outcomes.get(timeout=60).error)
