"""The receiver behind `firsthandapi webhooks listen`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from firsthandapi._core.config import BASE_URL_VARIABLE, is_loopback, resolve_base_url
from firsthandapi._core.signatures import keyed_macs
from firsthandapi._masking import secret_or_none
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandError,
    UnexpectedResponseError,
    WebhookSignatureError,
)
from firsthandapi.webhooks import EventRouter, unwrap

from .events import event_facts
from .output import as_json, client, json_text, note, nowhere, print_line

if TYPE_CHECKING:
    from firsthandapi.types import WebhookEvent
    from firsthandapi.types.enums import EventType

_VARIABLE = "FIRSTHAND_WEBHOOK_SECRET"
# Anyone who finds the tunnel may connect. The service itself gives up after 10 seconds.
_LONGEST_REQUEST = 10.0
_LARGEST_BODY = 1024 * 1024
_MOST_CONNECTIONS = 32


def run_listener(*, port: int, url: str | None, events: Sequence[EventType] | None, json: bool) -> None:
    """Listen until Ctrl-C.

    The secret of an endpoint that is there already comes from the environment: no option, since other users
    see the arguments of a process.

    Raises:
        ConfigurationError: the port is taken, or nothing says where events come from.
    """
    ended = threading.Event()
    secret = os.environ.get(_VARIABLE)
    with _ctrl_c(), _bound(port) as server, _endpoint(server, url, secret, events) as secrets:
        server.receiver = Receiver(secrets, json=json, ended=ended)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            note(f"Listening on {server.url}; Ctrl-C ends it.")
            # On Windows Ctrl-C is noticed only between two waits.
            while not ended.wait(0.5):
                pass
        except KeyboardInterrupt:
            note("Stopped.")
        finally:
            server.shutdown()
            serving.join()


class Receiver:
    """Believes a delivery once its signature is verified, and prints each event once."""

    def __init__(self, secrets: Sequence[str], *, json: bool, ended: threading.Event) -> None:
        self._secrets = secrets
        self._json = json
        self._ended = ended
        self._printing = threading.Lock()
        self._router = EventRouter()
        self._router.on("*")(self._print)

    def take(self, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        """The status to answer with."""
        try:
            event = unwrap(body, headers, self._secrets)
        except (WebhookSignatureError, UnexpectedResponseError) as error:
            note(f"refused: {error}")
            return 400
        try:
            if not self._router.dispatch(event):
                note(f"again: {event.type} {event.id}, which was printed before")
        except OSError:  # nobody reads any more
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
                self._ended.set()
                sys.stdout = nowhere()
                raise


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # On Windows this would let another process take the port as well.
    allow_reuse_address = not hasattr(socket, "SO_EXCLUSIVEADDRUSE")
    receiver: Receiver

    def __init__(self, port: int) -> None:
        self._free = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # The parent's looks its own name up in the DNS, which can take long and is of no use here.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # A socket's timeout starts anew with every byte; this does not.
        alarm = threading.Timer(_LONGEST_REQUEST, _break, [request])
        alarm.daemon = True
        alarm.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            alarm.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 # the parent's signature
        # Whoever connects may leave in the middle of it: that is no traceback of ours.
        note("refused: a connection that broke off")


def _break(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] # it serves no other
    timeout = _LONGEST_REQUEST

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10):
            self._answer(411)
        elif int(length) > _LARGEST_BODY:
            self._answer(413)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self.server.receiver.take(body, list(self.headers.items())))

    def _answer(self, status: int) -> None:
        if status in (411, 413):
            note(f"refused: a body that is {'of no stated length' if status == 411 else 'over 1 MiB'}")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _bound(port: int) -> _Server:
    try:
        return _Server(port)
    except OSError as error:
        raise ConfigurationError(
            f"--port {port} cannot be used: {error.strerror}; 0 takes a free one"
        ) from None


@contextlib.contextmanager
def _endpoint(
    server: _Server, url: str | None, secret: str | None, events: Sequence[EventType] | None
) -> Generator[list[str], None, None]:
    """The secrets to believe; an endpoint lives as long as this, where one has to be made."""
    if url is None and secret:
        if events:
            raise ConfigurationError(
                "--events is for an endpoint that --url makes; this one is there already"
            )
        keyed_macs(secret)  # one that nothing can be signed with is an error now, not at each delivery
        yield [secret]
        return
    if url is None:
        if not is_loopback(
            urlsplit(resolve_base_url(None, secret_or_none(os.environ.get(BASE_URL_VARIABLE)))).hostname or ""
        ):
            raise ConfigurationError(
                "the service cannot reach this machine: pass --url with the public address of a tunnel to the "
                f"port, or set {_VARIABLE} to the secret of an endpoint that is there already"
            )
        url = server.url
    with client() as api:
        made = api.webhooks.create(url=url, events=events, description="firsthandapi webhooks listen")
        try:
            yield [word for word in (made.secret, secret) if word]
        finally:
            try:
                # Whoever pressed Ctrl-C does not wait for long.
                api.with_options(timeout=10, deadline=15).webhooks.delete(made.id)
                note(f"The endpoint {made.id} is deleted.")
            except FirstHandError as error:
                note(f"The endpoint {made.id} is left: {error}. firsthandapi webhooks delete {made.id}")


@contextlib.contextmanager
def _ctrl_c() -> Generator[None, None, None]:
    """Have other polite ways to end a process, a container's or a terminal's, end it as Ctrl-C does."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    before = {
        each: signal.signal(each, signal.default_int_handler)
        for each in (getattr(signal, name, None) for name in names)
        # What was started to ignore one, by nohup or in the background of a script, goes on ignoring it.
        if each is not None and signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
