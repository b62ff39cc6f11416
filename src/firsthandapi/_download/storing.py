"""For a large file on an idle machine: writing and hashing beside reading, so that two processors are used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

# Below this a second thread costs more than it brings.
LARGE_BYTES = 16 * 1024 * 1024
# One is read into while one is written and hashed, a third takes up the difference in pace. They are larger
# than a thread's usual buffer, since each exchange has the threads wait for one another.
_BUFFERS = 3
_BUFFER_BYTES = 1024 * 1024


class StoringThread:
    """Gives pieces to `store`, in order, in a thread of its own."""

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
        """Hand over a piece with the buffer it lies in; get a free one for the next.

        Raises:
            DiskError: an earlier piece could not be stored.
        """
        self._full.put((piece, buffer))
        free = self._free.get()
        if self._failure is not None:
            raise self._failure
        return free

    def close(self) -> None:
        """Return when all that was handed over is stored.

        Raises:
            DiskError: a piece could not be stored.
        """
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
            except Exception as error:  # raised again where it is waited for
                self._failure = error
            if len(buffer) == _BUFFER_BYTES:  # not the session's own, which came first
                self._free.put(buffer)
