"""SHA-256 of what comes in, in the same thread or, for a large file on an idle machine, in one beside it."""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue

# Below this a second thread costs more than it brings.
LARGE_BYTES = 16 * 1024 * 1024
# One is read into while one is hashed, a third takes up the difference in pace. They are larger than a
# thread's usual buffer, since each exchange has the threads wait for one another.
_BUFFERS = 3
_BUFFER_BYTES = 1024 * 1024


class Digest:
    """The SHA-256 of the pieces given to `update`, in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, piece: memoryview) -> None:
        """Take the next piece."""
        self._hash.update(piece)

    def hex(self) -> str:
        """The digest, in hex."""
        return self._hash.hexdigest()

    def reset(self) -> None:
        """Start anew."""
        self._hash = hashlib.sha256()


class Beside:
    """Feeds a digest from a thread of its own, so that reading and hashing use two processors.

    with Beside(digest) as beside:
        buffer = beside.exchange(piece, buffer)
    """

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._full: SimpleQueue[tuple[memoryview, bytearray] | None] = SimpleQueue()
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(bytearray(_BUFFER_BYTES))
        self._thread = threading.Thread(target=self._run, name="firsthandapi-sha256", daemon=True)
        self._thread.start()

    def exchange(self, piece: memoryview, buffer: bytearray) -> bytearray:
        """Hand over a piece with the buffer it lies in; get a free one for the next."""
        self._full.put((piece, buffer))
        return self._free.get()

    def close(self) -> None:
        """Return when all that was handed over is hashed."""
        self._full.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._full.get()) is not None:
            piece, buffer = work
            self._digest.update(piece)
            if len(buffer) == _BUFFER_BYTES:  # not the session's own, which came first
                self._free.put(buffer)
