"""Connections for downloads: opened within a time limit, and closed as soon as `stop` is set."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from firsthandapi._base.masking import Secret, mask_secrets
from firsthandapi._base.network import addresses
from firsthandapi._base.network.handshakes import Handshake, ProxyError
from firsthandapi._base.network.interception import refuse_downloads
from firsthandapi._base.network.proxies import Route, choose_proxy
from firsthandapi._base.origins import CONNECT_TIMEOUT, Origin
from firsthandapi.errors import FirstHandError

if TYPE_CHECKING:
    import ssl

    from firsthandapi._base.network.tls import Link


class StoppedError(Exception):
    """The run was cancelled."""


class BrokenError(Exception):
    """The network or the storage failed; another attempt may succeed, after `retry_after` seconds if that was asked."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class HopelessError(Exception):
    """The network or the storage failed in a way that another attempt does not fix. `mismatch`: the bytes are not the
    promised ones. `cause`: the error of ours that is behind it."""

    def __init__(self, reason: str, *, mismatch: bool = False, cause: FirstHandError | None = None) -> None:
        super().__init__(reason)
        self.mismatch = mismatch
        self.cause = cause


def as_broken(error: Exception, problem: str) -> BrokenError:
    if isinstance(error, TimeoutError):
        return BrokenError(f"{problem}: nothing came in time")
    reason = mask_secrets(str(error)) or type(error).__name__
    return BrokenError(f"{problem}: {reason}")


class Network:
    """Opens connections, for all threads of a run, until `stop` is set. `timeout` is that for a response's head, and
    between two bytes. Raises ConfigurationError: a tool of tests answers in place of httpx."""

    def __init__(
        self,
        *,
        proxy: Secret[str] | None,
        verify: bool | str | ssl.SSLContext,
        timeout: float,
        stop: threading.Event,
    ) -> None:
        refuse_downloads()
        self.timeout = timeout
        self.stop = stop
        self._proxy = proxy
        self._verify = verify
        self._routes: dict[Origin, Route] = {}
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    # --- all open sockets, so that `wake_all` reaches each thread that waits on one -------------------------

    def add(self, sock: socket.socket) -> None:
        """Add a socket to those that `wake_all` closes.
        Raises StoppedError: the run was cancelled; the socket is closed.
        """
        with self._lock:
            self._sockets.add(sock)
        if self.stop.is_set():
            self.drop(sock)
            raise StoppedError

    def drop(self, link: Link) -> None:
        with self._lock:
            self._sockets.discard(link if isinstance(link, socket.socket) else link.outer)
        with contextlib.suppress(OSError):
            link.close()

    def cancel(self) -> None:
        """Cancel the run: each waiting thread gets a StoppedError."""
        self.stop.set()
        self.wake_all()

    def wake_all(self) -> None:
        """Shut down every socket, so that no thread waits on one."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                # Not the method of an SSL socket, which removes the TLS state that a reading thread uses.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    # --- connecting ---------------------------------------------------------------------------------------

    def route_to(self, origin: Origin) -> Route:
        """The way to `origin`. The proxy is looked up once, because some systems are slow at that."""
        if origin not in self._routes:
            self._routes[origin] = Route.to(origin, choose_proxy(origin, self._proxy))
        return self._routes[origin]

    def connect(self, origin: Origin, waits: Callable[[], object]) -> tuple[Link, Route]:
        """A new connection to `origin`, and its route.
        Raises BrokenError: the host cannot be reached now.
        Raises HopelessError: the host is not trusted, or its name is invalid.
        Raises StoppedError: the run was cancelled.
        Raises ConfigurationError: the environment names an unusable proxy.
        """
        route = self.route_to(origin)
        link: Link = self._open(route, waits)
        try:
            if route.proxy_tls:
                link = self._encrypt(link, route.host)
            handshake = route.handshake()
            if handshake is not None:
                self._perform(handshake, link)
            if origin.scheme == "https":
                link = self._encrypt(link, origin.host)
        except BaseException:
            self.drop(link)
            raise
        return link, route

    def _open(self, route: Route, waits: Callable[[], object]) -> socket.socket:
        noticed = False

        def look() -> None:
            nonlocal noticed
            if not noticed:
                noticed = True
                waits()
            if self.stop.is_set():
                raise StoppedError

        problem = f"could not connect to {route.peer if route.kind else route.host}"
        try:
            sock = addresses.connect(
                route.host, route.port, timeout=min(CONNECT_TIMEOUT, self.timeout), look=look
            )
        except UnicodeError:
            raise HopelessError(f"{problem}: this name has no address") from None
        except OSError as error:
            advice = "; check the proxy settings" if route.kind else ""
            raise BrokenError(f"{problem}: {mask_secrets(str(error))}{advice}") from None
        self.add(sock)
        return sock

    def _encrypt(self, link: Link, host: str) -> Link:
        import ssl  # only where TLS is spoken

        from firsthandapi._base.network.certificates import ssl_context
        from firsthandapi._base.network.failures import distrust
        from firsthandapi._base.network.tls import encrypt

        context = ssl_context(self._verify)
        link.settimeout(self.timeout)
        try:
            encrypted = encrypt(link, context, host)
            try:
                if isinstance(encrypted, ssl.SSLSocket):
                    # The new socket has taken the descriptor of the old one.
                    self.drop(link)
                    self.add(encrypted)
                encrypted.do_handshake()
            except BaseException:
                self.drop(encrypted)
                raise
        except (OSError, ValueError) as error:
            if self.stop.is_set():
                raise StoppedError from None
            untrusted = distrust(error, host)
            if untrusted is not None:
                raise HopelessError(untrusted) from None
            raise as_broken(error, f"TLS handshake with {host} failed") from None
        return encrypted

    def _perform(self, handshake: Handshake, link: Link) -> None:
        ends = time.monotonic() + self.timeout
        try:
            request, size = next(handshake)
            while True:
                seconds_left = ends - time.monotonic()
                if seconds_left <= 0:
                    raise TimeoutError
                link.settimeout(seconds_left)
                if request.reveal():
                    link.sendall(request.reveal())
                request, size = handshake.send(link.recv(size))
        except StopIteration:
            pass
        except OSError as error:
            if self.stop.is_set():
                raise StoppedError from None
            raise as_broken(error, "the proxy does not respond") from None
        except ProxyError as error:
            if self.stop.is_set():
                raise StoppedError from None
            raise (BrokenError if error.transient else HopelessError)(str(error)) from None
