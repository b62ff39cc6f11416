"""Download whole files into memory, verified like files on disk."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._core.calls.config import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT
from firsthandapi._core.files.download import Wanted, allowed_schemes
from firsthandapi._host.clock import HostClock

from .exchange import Session
from .network import Network
from .part import Part, Parts
from .transfer import Outcome, Refresh, Rules, transfer

if TYPE_CHECKING:
    import ssl

    from firsthandapi._masking import Secret


class MemoryPart(Part):
    """An unfinished file in memory."""

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall] # which would open a file
        self.content = bytearray()

    def write(self, piece: memoryview) -> None:
        self.content += piece

    def empty(self) -> None:
        self.content.clear()

    def put(self) -> None:
        pass

    def discard(self) -> None:
        pass


class _Newest(Parts):
    """Opens parts in memory, and keeps the newest."""

    part = MemoryPart()

    @contextlib.contextmanager
    def open(self, target: Path) -> Generator[Part, None, None]:  # noqa: ARG002 # a name is of no use here
        self.part = MemoryPart()
        yield self.part


class FileReader:
    """Downloads files into memory, one at a time, over connections that it keeps: one reader per thread.

    Args:
        base_url: the API's address; download URLs may be plain http only if it is.
        refresh: returns a fresh URL for a file id, and when it expires; it may block.
        proxy, verify, timeout, max_retries: the client's options.
        clock: for tests.
    """

    def __init__(
        self,
        *,
        base_url: str,
        refresh: Refresh,
        proxy: Secret[str] | None = None,
        verify: bool | str | ssl.SSLContext = True,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        clock: HostClock | None = None,
    ) -> None:
        self._session = Session(Network(proxy=proxy, verify=verify, timeout=timeout, stop=threading.Event()))
        self._parts = _Newest()
        self._rules = Rules(
            schemes=allowed_schemes(base_url),
            max_retries=max_retries,
            refresh=refresh,
            on_bytes=lambda _: None,
            clock=clock or HostClock(),
            spare_processor=lambda: False,  # many readers run at once
            parts=self._parts,
        )

    def read(self, wanted: Wanted) -> tuple[bytes, Outcome]:
        """Download a file: its verified bytes, and the outcome with their size and SHA-256.
        Raises DownloadError: the file cannot be downloaded; an IntegrityError if its bytes differ from the promised
        ones.
        """
        outcome = transfer(wanted, self._session, self._rules)
        if outcome.error is not None:
            raise outcome.error
        content, self._parts.part = bytes(self._parts.part.content), MemoryPart()
        return content, outcome

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
