"""TCP connections for httpcore, over blocking sockets.

The async twin is also written by hand: it has an event loop instead of sockets.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpcore

from firsthandapi._masking import Secret
from firsthandapi._network import addresses
from firsthandapi._network.tls import Link, encrypt, is_readable


class SocketStream(httpcore.NetworkStream):
    """A socket, whose errors become httpcore's."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._link.settimeout(timeout)
            return self._link.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        data = Secret(buffer)
        del buffer  # it contains the API key, and tracebacks show local variables
        try:
            # Python holds `sendall` to its timeout as a whole.
            self._link.settimeout(timeout)
            self._link.sendall(data.reveal())
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._link.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._link.settimeout(timeout)
            # A failure in here closes the connection it was given.
            encrypted = encrypt(self._link, ssl_context, server_hostname or "")
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(str(error)) from error
        try:
            encrypted.do_handshake()
        except TimeoutError as error:
            encrypted.close()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            encrypted.close()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            encrypted.close()
            raise
        return SocketStream(encrypted)

    def get_extra_info(self, info: str) -> Any:
        return is_readable(self._link) if info == "is_readable" else None


def connect(host: str, port: int, timeout: float) -> httpcore.NetworkStream:
    """A TCP connection to the first address of `host` that answers. After 250 ms without an answer, the next address is
    tried in parallel.

    Raises:
        httpcore.ConnectError: none could be reached.
        httpcore.ConnectTimeout: none answered in time.
    """
    try:
        return SocketStream(addresses.connect(host, port, timeout=timeout))
    except UnicodeError:
        raise httpcore.ConnectError("this name has no address") from None
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error


def close(stream: httpcore.NetworkStream) -> None:
    """Close a connection."""
    stream.close()


abandon = close
