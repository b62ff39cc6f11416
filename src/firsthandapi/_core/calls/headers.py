"""Headers: those of a response, which ignore case, and those of an attempt, which contain the API key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Headers of a response. Names ignore case; repeated headers are joined by `, `."""

    __slots__ = ("_items", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw: tuple[tuple[bytes, bytes], ...] = tuple(raw)
        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in self.raw]
        items = dict(pairs)
        if len(items) < len(pairs):
            items = {}
            for name, value in pairs:
                items[name] = f"{items[name]}, {value}" if name in items else value
        self._items = items

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __contains__(self, name: object) -> bool:
        # Mapping's own is slow: it raises an exception for each missing header.
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        # Without values: they may contain secrets, and logs show reprs.
        return f"<Headers {', '.join(self._items)}>"


class RequestHeaders:
    """The headers of one attempt, as pairs of bytes. No list: tracebacks show lists, and one value is the API key."""

    __slots__ = ("_names", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in pairs)
        self._names = frozenset(name.lower() for name, _ in self._pairs)

    def under(self, pairs: Collection[tuple[str, str]]) -> RequestHeaders:
        """These headers merged with `pairs`, which replace those of the same name."""
        if not pairs:
            return self
        merged = RequestHeaders(pairs)
        merged._pairs = (
            *(pair for pair in self._pairs if pair[0].lower() not in merged._names),
            *merged._pairs,
        )
        return merged

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._pairs)

    def __repr__(self) -> str:
        return f"<RequestHeaders {', '.join(name.decode() for name, _ in self._pairs)}>"
