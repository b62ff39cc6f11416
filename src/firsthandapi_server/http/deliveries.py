"""Send webhooks: signed, in order per endpoint, with ten seconds for a response."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal
from urllib.parse import urlsplit

from firsthandapi_server.state.model import Delivery, DeliveryAttempt, Endpoint

from . import reach

TIMEOUT = 10.0
MAX_QUEUE = 10_000

SignatureStyle = Literal["plain", "timestamped"]
Report = Callable[[Delivery, DeliveryAttempt], None]
# Takes the path, headers, and body of a request, and the seconds for it; returns the status, and an error in words.
Handler = Callable[[str, dict[str, str], bytes, float], tuple[int | None, str | None]]


def signature(body: bytes, secret: str, style: SignatureStyle) -> str:
    """The `X-FirstHandAPI-Signature` of a body."""
    key = secret.encode()
    if style == "plain":
        return hmac.new(key, body, hashlib.sha256).hexdigest()
    stamp = str(int(time.time()))
    return f"t={stamp},v1={hmac.new(key, stamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def standard_headers(event_id: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of Standard Webhooks, whose key is what follows `whsec_`, decoded from base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    stamp = str(int(time.time()))
    signed = hmac.digest(key, f"{event_id}.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": event_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


class Sender:
    """Threads that make the HTTP attempts, by default only to this machine."""

    def __init__(self, report: Report, may_reach: reach.Reach = reach.this_machine) -> None:
        self._report = report
        self._reach = may_reach
        self.style: SignatureStyle = "plain"
        # What handles the requests to an endpoint in this process, by its id.
        self.handlers: dict[str, Handler] = {}
        self._idle = threading.Condition()
        self._queues: dict[Endpoint, deque[tuple[Delivery, float]]] = {}
        self._connections: set[http.client.HTTPConnection] = set()
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Accept deliveries. Threads start with the first one."""
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="firsthandapi-webhooks")

    def stop(self) -> None:
        """Abort the attempts in progress."""
        with self._idle:
            pool, self._pool = self._pool, None
            self._queues.clear()
            connections = [*self._connections]
        for connection in connections:
            reach.hang_up(connection)
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._idle:
            self._idle.notify_all()

    def send(self, delivery: Delivery, at: float) -> None:
        """Queue one attempt. The deliveries of an endpoint are made one after the other."""
        with self._idle:
            queue = self._queues.get(delivery.endpoint)
            is_full = queue is not None and len(queue) >= MAX_QUEUE
            if queue is None and self._pool is not None:
                self._queues[delivery.endpoint] = deque([(delivery, at)])
                self._pool.submit(self._drain, delivery.endpoint)
            elif queue is not None and not is_full:
                queue.append((delivery, at))
        if is_full:
            error = f"not sent: {MAX_QUEUE} deliveries to this endpoint are waiting"
            self._report(delivery, DeliveryAttempt(at, None, error))

    def forget(self) -> None:
        """Drop the queued deliveries. Attempts in progress continue."""
        with self._idle:
            for queue in self._queues.values():
                while len(queue) > 1:
                    queue.pop()

    def wait_until_idle(self) -> None:
        """Wait until no attempt is in progress."""
        with self._idle:
            self._idle.wait_for(lambda: not self._queues)

    def _drain(self, endpoint: Endpoint) -> None:
        while True:
            with self._idle:
                queue = self._queues.get(endpoint)
                if not queue:
                    self._queues.pop(endpoint, None)
                    self._idle.notify_all()
                    return
                delivery, at = queue[0]
            attempt = self._attempt(delivery, at)
            # Before it leaves the queue, because `wait_until_idle` waits for what this schedules.
            self._report(delivery, attempt)
            with self._idle:
                if queue:
                    queue.popleft()

    def _attempt(self, delivery: Delivery, at: float) -> DeliveryAttempt:
        endpoint, event = delivery.endpoint, delivery.event
        signed = signature(event.body, endpoint.secret, self.style)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "FirstHandAPI-Webhooks/1.0",
            "X-FirstHandAPI-Signature": signed,
            "X-FirstHand-Event-Id": event.id,
            **standard_headers(event.id, event.body, endpoint.secret),
        }
        target = reach.target_of(endpoint.url)
        if handler := self.handlers.get(endpoint.id):
            headers |= {"Host": urlsplit(endpoint.url).netloc, "Content-Length": str(len(event.body))}
            return DeliveryAttempt(at, *handler(target, headers, event.body, TIMEOUT), signed)
        try:
            connection = reach.connection(endpoint.url, self._reach, TIMEOUT)
        except reach.OutOfReachError as error:
            return DeliveryAttempt(at, None, str(error))
        with self._idle:
            if self._pool is None:  # the server stopped while the name was looked up
                return DeliveryAttempt(at, None, "not sent: the server has stopped")
            self._connections.add(connection)
        alarm = reach.alarm(connection, TIMEOUT)
        try:
            connection.request("POST", target, event.body, headers)
            return DeliveryAttempt(at, connection.getresponse().status, None, signed)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return DeliveryAttempt(at, None, f"{type(error).__name__}: {error}", signed)
        finally:
            alarm.cancel()
            connection.close()
            with self._idle:
                self._connections.discard(connection)
