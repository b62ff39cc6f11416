"""TCP connections over blocking sockets.

The async twin is also written by hand: it has an event loop instead of sockets.
"""

from __future__ import annotations

import ssl
import time
from contextlib import AbstractContextManager, nullcontext

from firsthandapi._base.masking import Secret
from firsthandapi._base.network import addresses
from firsthandapi._base.network.tls import Link, encrypt, is_readable


class Stream:
    """A socket, whose reads and writes share a time limit."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ends = 0.0

    def within(self, seconds: float) -> AbstractContextManager[object]:
        """Raise TimeoutError if the block takes longer."""
        self._ends = time.monotonic() + seconds
        return nullcontext()

    def _hurry(self) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._link.settimeout(left)

    def read(self, most: int) -> bytes:
        """The next bytes, `most` at most; none where the peer has closed. Raises OSError."""
        self._hurry()
        return self._link.recv(most)

    def write(self, data: Secret[bytes]) -> None:
        """Send all of `data`. Raises OSError."""
        self._hurry()
        self._link.sendall(data.reveal())  # Python holds it to its timeout as a whole

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from now on. Raises OSError."""
        self._hurry()
        try:
            self._link = link = encrypt(self._link, context, host)
        except ValueError as error:
            raise OSError(str(error)) from error
        link.do_handshake()

    def is_readable(self) -> bool:
        """Whether an idle connection has unexpected bytes, or was closed by the peer."""
        return is_readable(self._link)

    def close(self) -> None:
        self._link.close()

    abandon = close


def connect(host: str, port: int, timeout: float) -> Stream:
    """A TCP connection to the first address of `host` that answers. After 250 ms without an answer, the next address is
    tried in parallel.

    Raises:
        OSError: none could be reached; TimeoutError if none answered in time.
    """
    try:
        return Stream(addresses.connect(host, port, timeout=timeout))
    except UnicodeError:
        raise OSError("this name has no address") from None
