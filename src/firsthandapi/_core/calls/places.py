"""How many may do something at once, counted so that nothing that strikes can make the count wrong."""

from __future__ import annotations

from weakref import ref


class Place:
    """One of the places. It is taken for as long as the object lives."""

    __slots__ = ("__weakref__",)


class Places:
    """A number of places, which any thread may take.

    The handler of a signal (Ctrl-C, a soft time limit) can raise between any two steps of a call. A semaphore that was
    counted down for a caller who never learned of it stays too low, and its Python code can even leave its lock taken.
    So nobody gives a place back: it is free when its object is gone, which C code removes from the set.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._taken: set[ref[Place]] = set()

    def take(self) -> Place | None:
        """A place; None if all are taken."""
        place = Place()
        self._taken.add(ref(place, self._taken.discard))
        # Looked at afterwards: of two threads that are here at once, each sees the other's.
        return place if len(self._taken) <= self._number else None
