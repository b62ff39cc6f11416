"""A webhook receiver on this machine, for the time of a check."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_MAX_BODY = 1 << 20
_MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery: its headers, with names in lower case, and its raw body."""

    headers: dict[str, str]
    body: bytes


class Receiver:
    """Takes deliveries, and responds to each with a 204; to one at a URL with `fail` in its query with a 500."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._deliveries: list[Delivery] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5  # seconds for each read

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "")
                body = self.rfile.read(min(int(length), _MAX_BODY)) if length.isdecimal() else b""
                receiver.take(Delivery({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(500 if "?fail" in self.path else 204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/conformance"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        with self._arrived:
            if len(self._deliveries) < _MAX_KEPT:
                self._deliveries.append(delivery)
            self._arrived.notify_all()

    @property
    def count(self) -> int:
        """How many have arrived."""
        with self._arrived:
            return len(self._deliveries)

    def wait(self, fits: Callable[[Delivery], bool], seconds: float, since: int = 0) -> Delivery | None:
        """The first delivery after the first `since` ones that fits; None if none arrives in time."""
        ends = time.monotonic() + seconds
        with self._arrived:
            while True:
                for delivery in self._deliveries[since:]:
                    if fits(delivery):
                        return delivery
                left = ends - time.monotonic()
                if left <= 0:
                    return None
                self._arrived.wait(left)
