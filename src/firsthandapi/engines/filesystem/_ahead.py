"""How much is read beyond what a tool asks for."""

# fsspec ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUntypedBaseClass=false
from __future__ import annotations

from typing import Any

from fsspec.caching import ReadAheadCache

_FIRST = 64 << 10
_GROWTH = 4


class GrowingReadAhead(ReadAheadCache):  # type: ignore[misc] # fsspec ships no types
    """Reads ahead little at first, more each time that a tool continues in order, and little again after a jump.

    A video of which a tool reads some parts costs those parts, and one that is read to its end few requests. A file
    that fits into one block is read at once.
    """

    def __init__(self, blocksize: int, fetcher: Any, size: int) -> None:
        super().__init__(blocksize, fetcher, size)
        self._most = blocksize
        self._next = blocksize if size <= blocksize else min(_FIRST, blocksize)

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        first, last = start or 0, self.size if end is None else min(end, self.size)
        if not self.start <= first <= last <= self.end and self.size > self._most:
            in_order = self.end > 0 and self.start <= first <= self.end
            self._next = min(self._next * _GROWTH if in_order else _FIRST, self._most)
        self.blocksize = self._next
        return bytes(super()._fetch(start, end))
