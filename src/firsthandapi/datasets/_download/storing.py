"""Write and hash a large file in a second thread while the first one reads, if a processor is idle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

# For smaller files a second thread costs more time than it saves.
LARGE_BYTES = 16 * 1024 * 1024
# One buffer is filled while another is stored; the third evens out their speeds. They are larger than the usual buffer
# of a thread, because at each exchange one thread may wait for the other.
_BUFFERS = 3
_BUFFER_BYTES = 1024 * 1024


class StoringThread:
    """Calls `store` with pieces, in order, in its own thread."""

    def __init__(self, store: Callable[[memoryview], None]) -> None:
        self._store = store
        self._failure: Exception | None = None
        self._full: SimpleQueue[tuple[memoryview, bytearray] | None] = SimpleQueue()
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(_BUFFER_BYTES))
        self._thread = threading.Thread(target=self._run, name="firsthandapi-storing", daemon=True)
        self._thread.start()

    def exchange(self, piece: memoryview, buffer: bytearray) -> bytearray:
        """Queue a piece with its buffer; returns a free buffer for the next one.
        Raises DiskError: an earlier piece could not be stored.
        """
        self._full.put((piece, buffer))
        free = self._free.get()
        if self._failure is not None:
            raise self._failure
        return free

    def close(self) -> None:
        """Wait until every queued piece is stored. Raises DiskError: a piece could not be stored."""
        self._full.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (work := self._full.get()) is not None:
            piece, buffer = work
            try:
                if self._failure is None:
                    self._store(piece)
            except Exception as error:  # `exchange` or `close` raises it
                self._failure = error
            if len(buffer) == _BUFFER_BYTES:  # not the first one, which is the session's
                self._free.put(buffer)
