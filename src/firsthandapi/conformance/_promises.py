"""What a promise is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._run import Run

EVERY = "every endpoint"


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise of the contract, and how to try it.

    Attributes:
        id: such as `jobs.create.escrow`.
        endpoint: the endpoint it concerns.
        section: where the contract makes it.
        says: the promise, in a sentence.
        hold: holds a server against it: it returns, or raises what is wrong, or why it cannot be tried.
        writes: whether it takes more than reading.
        ours: whether it is this project's reading, because the service's own documents are silent.
    """

    id: str
    endpoint: str
    section: str
    says: str
    hold: Callable[[Run], object]
    writes: bool = False
    ours: bool = False


# By id, in the order in which they are tried.
PROMISES: dict[str, Promise] = {}


def add(promise: Promise) -> None:
    """Add a promise to the list."""
    if promise.id in PROMISES:
        raise ValueError(f"two promises are called {promise.id}")
    PROMISES[promise.id] = promise


def promise(
    id: str, endpoint: str, section: str, says: str, *, writes: bool = False, ours: bool = False
) -> Callable[[Callable[[Run], object]], Callable[[Run], object]]:
    """Make a function that holds a server against a promise one of the list."""

    def register(hold: Callable[[Run], object]) -> Callable[[Run], object]:
        add(Promise(id, endpoint, section, says, hold, writes, ours))
        return hold

    return register
