"""Headers: those of a response, which ignore case, and those of an attempt, which contain the API key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping


class Headers(Mapping[str, str]):
    """Names are compared without case; a header that came several times is joined by `, `."""

    __slots__ = ("_items", "raw")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.raw = tuple(raw)
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
        # Mapping's own raises an exception for each header that is missing, in every call.
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        # Values stay out: a header may carry anything, a repr ends up in logs.
        return f"<Headers {', '.join(self._items)}>"


class RequestHeaders:
    """What one attempt sends, as pairs of bytes. It is no list: tracebacks show lists, and one value is the key."""

    __slots__ = ("_names", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in pairs)
        self._names = frozenset(name.lower() for name, _ in self._pairs)

    def under(self, given: Collection[tuple[str, str]]) -> RequestHeaders:
        """These headers and those `given`, which win where both have a name."""
        if not given:
            return self
        merged = RequestHeaders(given)
        merged._pairs = (
            *(pair for pair in self._pairs if pair[0].lower() not in merged._names),
            *merged._pairs,
        )
        return merged

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._pairs)

    def __repr__(self) -> str:
        return f"<RequestHeaders {', '.join(name.decode() for name, _ in self._pairs)}>"
