"""A webhook receiver on this machine, for the time of a run."""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from firsthandapi._base.loose_json import load, members

from .exchange import shortened

_MAX_BODY = 1 << 20
_MAX_KEPT = 1000
# Seconds by which the time in a signature may differ: receivers refuse older ones as replays.
_TOLERANCE = 300


@dataclass(frozen=True)
class Delivery:
    """One delivery: its headers, with names in lower case, and its raw body."""

    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    @cached_property
    def event(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is anything else."""
        return members(load(self.body))

    def fault(self, secret: str) -> str | None:
        """What is wrong with its signature, in a few words, or None."""
        signature = self.headers.get("x-firsthandapi-signature") or self.headers.get("x-firsthand-signature")
        if signature is None:
            return "a delivery without a signature"
        if re.fullmatch("[0-9a-fA-F]{64}", signature):
            signed, digests = self.body, [signature.lower()]
        elif match := re.fullmatch(r"t=([0-9]{1,12})((?:,v1=[0-9a-fA-F]{64})+)", signature):
            if abs(int(match[1]) - self.at) > _TOLERANCE:
                return f"the time in the signature is {int(match[1]) - self.at:+,.0f} s from this machine's"
            signed, digests = f"{match[1]}.".encode() + self.body, match[2].lower().split(",v1=")
        else:
            return f"the signature has neither of the two forms: {shortened(signature, 60)}"
        digest = hmac.new(secret.encode(), signed, sha256).hexdigest()
        return (
            None if digest in digests else "the signature is not the HMAC-SHA256 of the body under the secret"
        )


class Receiver:
    """Takes deliveries, and responds to each with a 204; to one at a URL with `fail` in its query with a 500."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self._arrived = threading.Condition()
        self._deliveries: list[Delivery] = []

    def take(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        with self._arrived:
            if len(self._deliveries) < _MAX_KEPT:
                self._deliveries.append(delivery)
            self._arrived.notify_all()

    def wait(self, fits: Callable[[Delivery], bool], seconds: float, count: int = 1) -> Delivery | None:
        """The newest delivery that fits once so many have arrived; None if they do not arrive in time."""
        with self._arrived:
            self._arrived.wait_for(lambda: sum(map(fits, self._deliveries)) >= count, seconds)
            fitting = [delivery for delivery in self._deliveries if fits(delivery)]
        return fitting[-1] if len(fitting) >= count else None


@contextmanager
def receiving() -> Generator[Receiver]:
    """Listen on a port of this machine."""

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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
