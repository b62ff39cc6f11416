"""Reaching a host: addresses, proxies, TLS. All of it bounded in time, and ended at once by `stop`."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from firsthandapi._core.config import CONNECT_TIMEOUT, Origin
from firsthandapi._masking import Secret, mask_secrets
from firsthandapi._network.proxies import choose_proxy
from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

# A thread that has waited so long waits for the network, not for its turn on the processor.
NOTICEABLE = 0.004
# How often a thread that connects looks whether it is still wanted.
_LOOK = 0.1

_IN_PROGRESS = frozenset(
    {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}
)


class StoppedError(Exception):
    """The run was cancelled."""


class BrokenError(Exception):
    """The network failed: worth another attempt."""


class HopelessError(Exception):
    """The network failed in a way that another attempt does not heal."""


def as_broken(error: Exception, what: str) -> BrokenError:
    """Our word for an error of a socket."""
    if isinstance(error, TimeoutError):
        return BrokenError(f"{what}: nothing came in time")
    reason = mask_secrets(str(error)) or type(error).__name__
    return BrokenError(f"{what}: {reason}")


class Network:
    """The way to every host, shared by the threads of a run.

    Args:
        proxy: the proxy's URL; else what the environment says.
        verify: as for the client.
        timeout: seconds for an answer, and between two bytes.
        stop: set when the run is cancelled.
    """

    def __init__(
        self,
        *,
        proxy: Secret[str] | None,
        verify: bool | str | ssl.SSLContext,
        timeout: float,
        stop: threading.Event,
    ) -> None:
        if proxy is not None:
            _check_proxy(proxy, https=False)
        self.timeout = timeout
        self.stop = stop
        self._proxy = proxy
        self._verify = verify
        self._proxies: dict[Origin, Secret[str] | None] = {}
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()

    # --- every socket is known, so that a thread which waits on one can be woken --------------------------

    def add(self, sock: socket.socket) -> None:
        """Remember a socket in use.

        Raises:
            StoppedError: the run was cancelled; the socket is closed.
        """
        with self._lock:
            self._sockets.add(sock)
        if self.stop.is_set():
            self.drop(sock)
            raise StoppedError

    def drop(self, sock: socket.socket) -> None:
        """Close a socket."""
        with self._lock:
            self._sockets.discard(sock)
        with contextlib.suppress(OSError):
            sock.close()

    def cancel(self) -> None:
        """End the run: whoever waits comes back with StoppedError."""
        self.stop.set()
        self.wake_all()

    def wake_all(self) -> None:
        """Make every thread that waits on a socket come back from it."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                # The method of the class below: that of an SSL socket takes the TLS state away from under
                # the thread that is reading.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    # --- connecting ---------------------------------------------------------------------------------------

    def proxy_for(self, origin: Origin) -> Secret[str] | None:
        """The proxy for `origin`, looked up once: on some systems that takes long."""
        if origin not in self._proxies:
            proxy = choose_proxy(origin, self._proxy)
            if proxy is not None:
                _check_proxy(proxy, https=origin.scheme == "https")
            self._proxies[origin] = proxy
        return self._proxies[origin]

    def connect(
        self, origin: Origin, on_wait: Callable[[], None]
    ) -> tuple[socket.socket, Secret[str] | None]:
        """A connection over which to ask `origin`, and the proxy it leads through, if it does.

        Raises:
            BrokenError: it cannot be reached now.
            HopelessError: it must not be trusted, or its name is none.
            StoppedError: the run was cancelled.
            ConfigurationError: the environment names a proxy that cannot be used.
        """
        proxy = self.proxy_for(origin)
        ends = time.monotonic() + min(CONNECT_TIMEOUT, self.timeout)
        if proxy is None:
            sock = self._open(origin.host, origin.port, ends, on_wait)
        else:
            parts = urlsplit(proxy.reveal())
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            sock = self._open(parts.hostname or "", port, ends, on_wait)
        try:
            if proxy is not None and proxy.reveal().startswith("https:"):
                sock = self._encrypt(sock, urlsplit(proxy.reveal()).hostname or "")
            if origin.scheme == "https":
                if proxy is not None:
                    self._tunnel(sock, origin, proxy)
                sock = self._encrypt(sock, origin.host)
        except BaseException:
            self.drop(sock)
            raise
        return sock, proxy

    def _open(self, host: str, port: int, ends: float, on_wait: Callable[[], None]) -> socket.socket:
        what = f"could not connect to {host}"
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise HopelessError(f"{what}: that is not a host's name") from None
        except OSError as error:
            raise as_broken(error, what) from None
        failure = BrokenError(f"{what}: it has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            # An address that does not answer must leave time for the next one.
            now = time.monotonic()
            share = now + max(ends - now, 0.0) / (len(addresses) - tried)
            try:
                sock = socket.socket(family, kind, protocol)
                self.add(sock)
                try:
                    sock.setblocking(False)
                    self._finish_connect(sock, sock.connect_ex(address), share, on_wait)
                    sock.settimeout(self.timeout)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except BaseException:
                    self.drop(sock)
                    raise
                return sock
            except OSError as error:
                failure = as_broken(error, what)
        raise failure

    def _finish_connect(
        self, sock: socket.socket, code: int, ends: float, on_wait: Callable[[], None]
    ) -> None:
        if code in _IN_PROGRESS:
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                ready = selector.select(NOTICEABLE)
                if not ready:
                    on_wait()
                while not ready:
                    if self.stop.is_set():
                        raise StoppedError
                    left = ends - time.monotonic()
                    if left <= 0:
                        raise TimeoutError
                    ready = selector.select(min(left, _LOOK))
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if self.stop.is_set():  # also if it is connected: before that it could not be woken
            raise StoppedError
        if code:
            raise OSError(code, os.strerror(code))

    def _encrypt(self, sock: socket.socket, host: str) -> socket.socket:
        import ssl  # only where TLS is spoken

        from firsthandapi._network.certificates import ssl_context

        context = ssl_context(self._verify)
        # The handshake may go on by itself for as long as `timeout`, and has its own socket object.
        encrypted = None
        try:
            encrypted = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            self.add(encrypted)
            encrypted.do_handshake()
        except BaseException as error:
            if encrypted is not None:
                self.drop(encrypted)
            if isinstance(error, ssl.SSLCertVerificationError):
                raise HopelessError(
                    f"the certificate of {host} is not to be trusted ({error.verify_message}); "
                    "check verify=, SSL_CERT_FILE and the clock"
                ) from None
            if isinstance(error, (OSError, ValueError)):
                if self.stop.is_set():
                    raise StoppedError from None
                raise as_broken(error, f"no TLS with {host}") from None
            raise
        finally:
            # Its descriptor belongs to the encrypted one now; this only forgets it.
            self.drop(sock)
        return encrypted

    def _tunnel(self, sock: socket.socket, origin: Origin, proxy: Secret[str]) -> None:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
        lines += [f"{name}: {value}" for name, value in proxy_headers(proxy)]
        ends = time.monotonic() + self.timeout
        answer = b""
        try:
            sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            while not answer.endswith(b"\r\n\r\n"):
                left = ends - time.monotonic()
                if left <= 0 or len(answer) > 16 * 1024:
                    raise TimeoutError
                sock.settimeout(left)
                # Byte by byte: what follows the answer belongs to TLS.
                byte = sock.recv(1)
                if not byte:
                    raise ConnectionResetError("it closed the connection")
                answer += byte
            sock.settimeout(self.timeout)
        except OSError as error:
            if self.stop.is_set():
                raise StoppedError from None
            raise as_broken(error, "the proxy does not answer") from None
        status = answer.split(b" ", 2)[1:2]
        if not answer.startswith(b"HTTP/1.") or status != [b"200"]:
            shown = status[0].decode("latin-1") if status and status[0].isdigit() else "not HTTP"
            kind = BrokenError if shown in ("502", "503", "504") else HopelessError
            raise kind(f"the proxy refused to connect to {origin.host}: it answered {shown}")


def proxy_headers(proxy: Secret[str]) -> list[tuple[str, str]]:
    """The user and password in a proxy's URL, as the header that carries them."""
    parts = urlsplit(proxy.reveal())
    if parts.username is None:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [("Proxy-Authorization", f"Basic {b64encode(pair.encode()).decode('ascii')}")]


def _check_proxy(proxy: Secret[str], *, https: bool) -> None:
    scheme = urlsplit(proxy.reveal()).scheme
    if scheme.startswith("socks"):
        raise ConfigurationError(
            "downloads need an HTTP proxy, and this is a SOCKS one; "
            "set proxy= (or HTTPS_PROXY) to an http:// URL, or list the storage's host in NO_PROXY"
        )
    if scheme == "https" and https:
        raise ConfigurationError(
            "downloads over https need a proxy that is itself reached by http://; "
            "what passes through it is encrypted all the same"
        )
