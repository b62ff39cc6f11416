"""What a promise is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ._report import Result
from ._run import Run

EVERY = "every endpoint"


@dataclass(frozen=True)
class Promise:
    """One promise of the contract, and how to try it."""

    result: Result  # as it is before it is tried
    hold: Callable[[Run], object]  # it returns, or raises what is wrong, or why it cannot be tried


# By id, in the order in which they are tried.
PROMISES: dict[str, Promise] = {}


def add(
    id: str,
    endpoint: str,
    section: str,
    says: str,
    hold: Callable[..., object],
    *arguments: Any,
    ours: bool = False,
) -> None:
    """Add a promise to the list; `hold` gets the run, after `arguments`."""
    if id in PROMISES:
        raise ValueError(f"two promises are called {id}")
    result = Result(id, endpoint, section, ours, says, "not tried")
    PROMISES[id] = Promise(result, partial(hold, *arguments))


def promise(
    id: str, endpoint: str, section: str, *, ours: bool = False
) -> Callable[[Callable[[Run], object]], None]:
    """Add a function that tries a promise; its docstring is the promise."""
    return lambda hold: add(id, endpoint, section, (hold.__doc__ or id).strip(), hold, ours=ours)
