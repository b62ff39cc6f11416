"""The log of the requests that a server received, within limits of number and bytes."""

from __future__ import annotations

import operator
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

MAX_REQUESTS = 10_000
MAX_BYTES = 32 << 20

_UNPRINTABLE = re.compile(r"[^!-~]")
_SECRET = re.compile(r"(fh_(?:live|test)_|whsec_|X-Amz-Signature=)[^&,\s'\"]+")


@dataclass(frozen=True, slots=True, repr=False)
class ReceivedRequest:
    """One request as received.

    Attributes:
        method: such as `POST`.
        path: such as `/v1/jobs`, without the query.
        query: the parameters of the query; for a repeated parameter, the last value.
        query_string: the query as received.
        headers: names in lower case.
        body: the raw body.
        time: when it arrived, in real Unix seconds.
        status: the status of the response; None while the request is held, or when it was dropped.
        seconds: real seconds until the response or the drop; None while the request is held.
        replayed: whether the response repeats that of an earlier request with the same idempotency key.
        dropped: whether a fault closed the connection `before` or `after` the request was handled.
    """

    method: str
    path: str
    query: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    time: float
    status: int | None = None
    seconds: float | None = None
    replayed: bool = False
    dropped: Literal["before", "after"] | None = None

    def __repr__(self) -> str:
        key = _SECRET.sub(r"\1…", self.headers.get("authorization", "no key"))
        return f"<{self.method} {self.target} [{self.status or 'no answer'}, {key}, {len(self.body)} bytes]>"

    @property
    def target(self) -> str:
        """The path and query as one printable line, without secrets."""
        query = f"?{self.query_string}" if self.query_string else ""
        return _SECRET.sub(r"\1…", _UNPRINTABLE.sub("?", f"{self.path}{query}"))

    @property
    def size(self) -> int:
        """The approximate number of bytes in memory."""
        headers = sum(len(name) + len(value) for name, value in self.headers.items())
        return len(self.body) + len(self.path) + 2 * len(self.query_string) + headers + 500


class ReceivedRequests(list[ReceivedRequest]):
    """The latest requests. Positions count from the first request, so `requests[since:]` stays valid when old ones are
    dropped.

    Length and positions include the dropped requests; iteration does not.
    """

    def __init__(self, requests: Iterable[ReceivedRequest], dropped: int) -> None:
        super().__init__(requests)
        self.dropped = dropped

    def __len__(self) -> int:
        return super().__len__() + self.dropped

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> ReceivedRequest: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[ReceivedRequest]: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> ReceivedRequest | list[ReceivedRequest]:
        if isinstance(index, slice):
            return super().__getitem__(slice(self._kept(index.start), self._kept(index.stop), index.step))
        position = operator.index(index)
        if 0 <= position < self.dropped:
            raise IndexError(f"request {position} was dropped: the server keeps the latest requests")
        return super().__getitem__(position if position < 0 else position - self.dropped)

    def _kept(self, position: Any) -> Any:
        return position if position is None or position < 0 else max(0, position - self.dropped)


class RequestLog:
    """The latest requests, oldest first.

    Args:
        on_request: called with each request, once it is answered or dropped.
    """

    def __init__(self, on_request: Callable[[ReceivedRequest], None] | None = None) -> None:
        self._on_request = on_request
        self._lock = threading.Lock()  # the server's thread writes, a test's reads
        self._kept: OrderedDict[int, ReceivedRequest] = OrderedDict()
        self._bytes = 0
        self._count = 0
        self._cleared = 0
        self.changes = 0  # grows with every request and response

    def add(self, scope: Scope, body: bytes) -> tuple[int, ReceivedRequest]:
        """Keep a new request with its whole body, and return its number. Drops the oldest ones to make room."""
        request = _received(scope, body)
        with self._lock:
            self._count += 1
            self.changes += 1
            self._kept[self._count] = request
            self._bytes += request.size
            while len(self._kept) > MAX_REQUESTS or (self._bytes > MAX_BYTES and len(self._kept) > 1):
                self._bytes -= self._kept.popitem(last=False)[1].size
            return self._count, request

    def ended(
        self,
        entry: tuple[int, ReceivedRequest],
        status: int | None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        dropped: Literal["before", "after"] | None = None,
    ) -> None:
        """Record how a request ended: with a response, or dropped."""
        number, request = entry
        replayed = any(name == b"idempotent-replayed" for name, _ in headers)
        seconds = time.time() - request.time
        request = replace(request, status=status, seconds=seconds, replayed=replayed, dropped=dropped)
        with self._lock:
            self.changes += 1
            if number in self._kept:
                self._kept[number] = request
        if self._on_request is not None:
            self._on_request(request)

    def numbered(self) -> list[tuple[int, ReceivedRequest]]:
        with self._lock:
            return [*self._kept.items()]

    def latest(self) -> ReceivedRequests:
        with self._lock:
            dropped = self._count - self._cleared - len(self._kept)
            return ReceivedRequests(self._kept.values(), dropped)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self.changes += 1
            self._bytes = 0
            self._cleared = self._count


def _received(scope: Scope, body: bytes) -> ReceivedRequest:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    query = scope["query_string"].decode("latin-1")
    parsed = dict(parse_qsl(query, keep_blank_values=True))
    return ReceivedRequest(scope["method"], scope["path"], parsed, query, headers, body, time.time())


async def until_gone(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that first returns a body that was already read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
