"""Fake clocks, and one face for both clients."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import attrgetter
from typing import Any

import httpx

from firsthandapi import AsyncFirstHandClient, AsyncPage, FirstHandClient
from firsthandapi._async.calls import Resource as AsyncResource
from firsthandapi._base.masking import Secret
from firsthandapi.testing import MockServer
from raw import RawRequest, RawServer, Reply, response

JOB: dict[str, Any] = {
    "description": "Photos of street signs in daylight",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
KEY = "fh_test_5ecretPart"


class FakeClock:
    """Time that passes by sleeping alone."""

    begins = float(round(time.time()))

    def __init__(self) -> None:
        self.now = 5_000.0
        self.wall = self.begins
        self.sleeps: list[float] = []
        self.jitter = 1.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.wall

    def random(self) -> float:
        return self.jitter

    def pass_(self, seconds: float) -> None:
        """Let time go by without anyone having slept."""
        self.now += seconds
        self.wall += seconds

    def pause(self, seconds: float, stop: threading.Event) -> None:
        """What a download does between its attempts."""
        self.pass_(seconds)

    def sleep(self, seconds: float) -> Any:
        self.sleeps.append(seconds)
        self.pass_(seconds)


class AsyncFakeClock(FakeClock):
    """The same, awaited."""

    async def sleep(self, seconds: float) -> None:
        FakeClock.sleep(self, seconds)


@contextmanager
def held_jobs() -> Iterator[tuple[RawServer, threading.Event]]:
    """A server that answers the list of jobs when the event is set, and everything else at once."""
    go_on = threading.Event()

    def answer(request: RawRequest) -> Reply:
        assert not request.target.startswith("/v1/jobs") or go_on.wait(60)
        return response(b'{"organization_id": "org_1", "data": []}', Content_Type="application/json")

    with RawServer(answer) as server:
        yield server, go_on
        go_on.set()


class FakeStream:
    """A connection of either half, whose reads and writes are plain functions."""

    def __init__(self, *, read: Callable[[], bytes], write: Callable[[bytes], object] = len) -> None:
        self.closed = 0
        self._read, self._write = read, write

    def patch(self, monkeypatch: Any) -> FakeStream:
        """Make clients connect to it."""
        monkeypatch.setattr("firsthandapi._sync.wire.connect", lambda *_: self)
        monkeypatch.setattr("firsthandapi._async.wire.connect", AsyncFakeStream(self).open)
        return self

    def within(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, most: int) -> Any:
        return self._read()

    def write(self, data: Secret[bytes]) -> Any:
        self._write(data.reveal())

    def close(self) -> None:
        self.closed += 1


class AsyncFakeStream:
    """The same, awaited."""

    def __init__(self, stream: FakeStream) -> None:
        self._stream = stream
        self.within = stream.within

    async def open(self, *_: object) -> AsyncFakeStream:
        return self

    async def read(self, most: int) -> Any:
        return self._stream.read(most)

    async def write(self, data: Secret[bytes]) -> None:
        self._stream.write(data)

    async def aclose(self) -> None:
        self._stream.close()


class Loop:
    """An event loop on a thread of its own, so that both clients can be driven in one way."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self.loop).result(timeout=180)

    def close(self) -> None:
        self.run(self.loop.shutdown_asyncgens())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Awaited:
    """Something async behind the face of its sync twin: coroutines are run, lists can be walked."""

    def __init__(self, target: Any, loop: Loop) -> None:
        self.target = target
        self.loop = loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if inspect.ismethod(value) or inspect.isfunction(value):
            return lambda *args, **kwargs: self._wrap(value(*args, **kwargs))
        return self._wrap(value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("target", "loop"):
            super().__setattr__(name, value)
        else:
            setattr(self.target, name, value)

    def _wrap(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            return self._wrap(self.loop.run(value))
        if isinstance(value, AsyncIterator):
            return iter(self._collect(value))
        if isinstance(value, (AsyncPage, AsyncResource, AsyncFirstHandClient)):
            return Awaited(value, self.loop)
        return value

    def _collect(self, items: AsyncIterator[Any]) -> list[Any]:
        async def collect() -> list[Any]:
            return [self._wrap(item) async for item in items]

        return self.loop.run(collect())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._collect(self.target.__aiter__()))

    def __repr__(self) -> str:
        return repr(self.target)


class Connect:
    """Makes clients of one kind and closes them at the end."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.is_async = kind == "async"
        self.loop = Loop() if self.is_async else None
        self._made: list[Any] = []

    @property
    def client_class(self) -> Any:
        return AsyncFirstHandClient if self.is_async else FirstHandClient

    def __call__(
        self,
        server: MockServer | None = None,
        *,
        handler: Callable[[httpx.Request], httpx.Response] | None = None,
        transport: Any = None,
        frozen: bool = False,
        **options: Any,
    ) -> Any:
        """A client of `server`, or over an httpx client that answers with `handler`; `frozen`: only sleeping moves its
        clock."""
        if server is not None:
            options = {"api_key": server.api_key, "base_url": server.url, **options}
        else:
            options = {"api_key": KEY, **options}
        if handler is not None:
            transport = httpx.MockTransport(handler)
        if transport is not None:
            options["http_client"] = self.http_client(transport=transport)
        client = self.adopt(self.client_class(**options))
        if frozen:
            self.clock(client)
        return client

    def http_client(self, **options: Any) -> Any:
        """An httpx client of the caller's."""
        client = (httpx.AsyncClient if self.is_async else httpx.Client)(**options)
        self._made.append(client)
        return client

    def adopt(self, client: Any) -> Any:
        """Take care of a client."""
        self._made.append(client)
        return self.face(client)

    def face(self, value: Any) -> Any:
        """`value` as if it were sync."""
        return Awaited(value, self.loop) if self.loop is not None else value

    def run(self, value: Any) -> Any:
        """The result of a call, of either kind."""
        return self.loop.run(value) if self.loop is not None and inspect.isawaitable(value) else value

    def clock(self, client: Any) -> FakeClock:
        """Give the client a clock that only sleeping moves."""
        clock = AsyncFakeClock() if self.is_async else FakeClock()
        client._transport.shared.clock = clock
        return clock

    def close(self) -> None:
        for client in reversed(self._made):
            self.run(client.aclose() if isinstance(client, httpx.AsyncClient) else client.close())
        if self.loop is not None:
            self.loop.close()


RESOURCES = (
    "jobs files submissions consents billing webhooks webhooks.events api_keys organization audit_events"
)


def public_methods(client: Any) -> dict[str, Any]:
    """The methods of a client and its resources, by their names with dots."""
    owners = {"": client, **{f"{name}.": attrgetter(name)(client) for name in RESOURCES.split()}}
    return {
        f"{start}{name}": method
        for start, owner in owners.items()
        for name, method in inspect.getmembers(owner, inspect.ismethod)
        if not name.startswith("_")
    }
