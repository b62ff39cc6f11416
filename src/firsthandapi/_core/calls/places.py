"""Places for concurrent use, counted so that no exception of a signal handler can make the count wrong."""

from __future__ import annotations

from weakref import ref

# Requests that one call sends at the same time.
AT_ONCE = 25


class Place:
    """A place. It is taken as long as this object lives."""

    __slots__ = ("__weakref__",)


class Places:
    """A number of places, which any thread may take.

    The handler of a signal (Ctrl-C, a soft time limit) can raise between any two steps of a call. That can leave a
    semaphore too low, or its lock taken. So no code gives a place back: it is free when its object is deleted, and C
    code removes it from the set.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._taken: set[ref[Place]] = set()

    def take(self) -> Place | None:
        """A place; None if all are taken."""
        place = Place()
        self._taken.add(ref(place, self._taken.discard))
        # Counted afterwards, so that each of two threads sees the other's place.
        return place if len(self._taken) <= self._number else None
