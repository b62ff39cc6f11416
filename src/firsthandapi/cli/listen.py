"""The receiver behind `firsthandapi webhooks listen`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Generator, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from firsthandapi._base.counts import count_of
from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.masking import secret_or_none
from firsthandapi._core.calls.config import BASE_URL_VARIABLE, resolve_base_url
from firsthandapi._core.calls.signatures import keyed_macs
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandError,
    UnexpectedResponseError,
    WebhookSignatureError,
)
from firsthandapi.webhooks import EventClaimedError, EventRouter, unwrap

from .events import event_facts
from .output import as_json, client, json_text, note, nowhere, print_line
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi.types import WebhookEvent
    from firsthandapi.types.enums import EventType

_VARIABLE = "FIRSTHAND_WEBHOOK_SECRET"
# Anyone who finds the tunnel can connect. The service itself gives up after 10 seconds.
_LONGEST_REQUEST = 10.0
_LARGEST_BODY = 1024 * 1024
_MOST_CONNECTIONS = 32
# Lines about strangers on standard error in a window of that many seconds; the others are counted.
_MOST_NOTES = 10
_NOTES_EVERY = 60.0


def run_listener(*, port: int, url: str | None, events: Sequence[EventType] | None, json: bool) -> None:
    """Listen until Ctrl-C.

    The secret of an existing endpoint comes from the environment, not from an option, because other users can see
    the arguments of a process.

    Raises ConfigurationError: the port is in use, or the source of the events is unknown.
    """
    ended = threading.Event()
    secret = os.environ.get(_VARIABLE)
    with (
        stoppable(),
        Server(port) as server,
        _endpoint(server, url, secret, events) as secrets,
        server.serving(Receiver(secrets, json=json, ended=ended, notes=server.notes)),
    ):
        try:
            note(f"Listening on {server.url}; press Ctrl-C to stop.")
            # On Windows, Python notices Ctrl-C only between two waits.
            while not ended.wait(0.5):
                pass
        except KeyboardInterrupt:
            note("Stopped.")


class Notes:
    """Notes about what strangers send: a few per minute, and how many more there were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = -_NOTES_EVERY
        self._printed = self._more = 0

    def add(self, text: str) -> None:
        with self._lock:
            if time.monotonic() - self._window >= _NOTES_EVERY:
                self._summarize()
                self._window, self._printed = time.monotonic(), 0
            if self._printed < _MOST_NOTES:
                self._printed += 1
                note(text)
            else:
                self._more += 1

    def close(self) -> None:
        with self._lock:
            self._summarize()

    def _summarize(self) -> None:
        if self._more:
            note(f"{count_of(self._more, 'more line')} like these not shown")
        self._more = 0


class Receiver:
    """Trusts a delivery once its signature is verified, and prints each event once."""

    def __init__(
        self, secrets: Sequence[str], *, json: bool, ended: threading.Event, notes: Notes | None = None
    ) -> None:
        self._notes = notes or Notes()
        self._secrets = secrets
        self._json = json
        self._ended = ended
        self._printing = threading.Lock()
        self._router = EventRouter()
        self._router.on("*")(self._print)

    def take(self, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        """Handle a delivery, and return the status to respond with."""
        try:
            event = unwrap(body, headers, self._secrets)
        except (WebhookSignatureError, UnexpectedResponseError) as error:
            self._notes.add(f"rejected: {error}")
            return 400
        try:
            if not self._router.dispatch(event):
                self._notes.add(f"duplicate: {event.type} {event.id} was already printed")
        except EventClaimedError:  # the other delivery may fail yet
            return 503
        except OSError:  # nobody reads the output any more
            return 503
        return 200

    def _print(self, event: WebhookEvent) -> None:
        with self._printing:
            if self._ended.is_set():
                raise BrokenPipeError
            try:
                if self._json:
                    typer.echo(json_text(as_json(event), indent=None))
                else:
                    clock = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005 # a person's clock
                    print_line((clock, f"{event.type:<21}", event.id, event_facts(event)))
            except OSError:
                sys.stdout = nowhere()  # before the other thread ends, and would write it again
                self._ended.set()
                raise


class Server(ThreadingHTTPServer):
    """A server on this machine that takes deliveries, which strangers may send too.

    Raises:
        ConfigurationError: the port is in use.
    """

    daemon_threads = True
    block_on_close = False
    # On Windows this would let another process use the same port.
    allow_reuse_address = not hasattr(socket, "SO_EXCLUSIVEADDRUSE")
    receiver: Any  # its `take` handles a delivery, and returns the status to respond with

    def __init__(self, port: int) -> None:
        self.notes = Notes()
        self._free = threading.Semaphore(_MOST_CONNECTIONS)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"could not use --port {port}: {error.strerror}; pass 0 to use any free port"
            ) from None

    @contextlib.contextmanager
    def serving(self, receiver: Any) -> Generator[None]:
        """Pass deliveries to `receiver`, on threads."""
        self.receiver = receiver
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.notes.close()

    def server_bind(self) -> None:
        # The parent looks up its own name in the DNS, which can take long and is useless here.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        # Idle strangers take all turns, but each for as long as one request at most.
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # The timeout of a socket restarts with every byte; this alarm does not.
        alarm = threading.Timer(_LONGEST_REQUEST, _break, [request])
        alarm.daemon = True
        alarm.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            alarm.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # the parent's signature
        # A stranger can leave in the middle of a request: print no traceback.
        self.notes.add("rejected: the connection closed early")


def _break(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] # it serves no other
    timeout = _LONGEST_REQUEST

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            self._answer(411, "has no length")
        elif int(length) > _LARGEST_BODY:
            self._answer(413, "is over 1 MiB")
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self.server.receiver.take(body, list(self.headers.items())))

    def _answer(self, status: int, problem: str | None = None) -> None:
        if problem is not None:
            self.server.notes.add(f"rejected: the body {problem}")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def _endpoint(
    server: Server, url: str | None, secret: str | None, events: Sequence[EventType] | None
) -> Generator[list[str], None, None]:
    """The secrets to trust; create an endpoint if needed, and delete it at the end."""
    if url is None and secret:
        if events:
            raise ConfigurationError(
                "--events needs --url, which creates an endpoint; this one already exists"
            )
        keyed_macs(secret)  # raise for an unusable secret now, not at each delivery
        yield [secret]
        return
    if url is None:
        if not is_loopback(
            urlsplit(resolve_base_url(None, secret_or_none(os.environ.get(BASE_URL_VARIABLE)))).hostname or ""
        ):
            raise ConfigurationError(
                "the service cannot reach this machine: pass --url with the public address of a tunnel to the "
                f"port, or set {_VARIABLE} to the secret of an existing endpoint"
            )
        url = server.url
    with client() as api:
        hook = api.webhooks.create(url=url, events=events, description="firsthandapi webhooks listen")
        try:
            yield [word for word in (hook.secret, secret) if word]
        finally:
            try:
                # After Ctrl-C, a person waits only briefly.
                api.with_options(timeout=10, deadline=15).webhooks.delete(hook.id)
                note(f"Deleted the endpoint {hook.id}.")
            except FirstHandError as error:
                note(f"Could not delete {hook.id}: {error}. Run firsthandapi webhooks delete {hook.id}")
