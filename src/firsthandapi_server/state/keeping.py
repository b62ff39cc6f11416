"""The interface between the rules and the storage of their state: in memory, or in rows that outlive the process.

The rules know objects, lists that only grow, and indexes by id. In memory these are plain lists and dicts. Elsewhere an
object is a row that is loaded when someone asks for it. Three rules make that possible:

- Whoever reads or changes the state holds its lock. The outermost hold is one act: all of its changes are kept, or, if
  it raises, none.
- A change is an assignment to an attribute, an `append`, or an entry of an index: attributes hold values that cannot
  change in place, such as tuples and frozen objects. So a state that is kept notices every change by itself.
- Scheduled work can be derived from the rows again: `World.resume` does so after a restart.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Reversible
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, SupportsIndex, TypeVar

from firsthandapi_server.contract.errors import ApiError

T = TypeVar("T")
# A lock that a thread may take again while it holds it.
Lock = AbstractContextManager[Any]


class NotKeptError(ApiError):
    """An act could not be kept, such as on a full disk: nothing of it has happened."""

    def __init__(self, why: str) -> None:
        message = f"The server could not save the change: {why}. Nothing has changed; try again later."
        super().__init__(503, "service_unavailable", message)


class DamagedError(NotKeptError):
    """The database contains what no server wrote: only a backup helps.

    Attributes:
        why: what is wrong with it.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        message = f"The database of this server is damaged: {why}. Its operator must restore the folder from a backup."
        ApiError.__init__(self, 500, "internal_error", message)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<=": operator.le,
}


class Condition(NamedTuple):
    """What an item of a list must be: how an attribute compares with a value. None is neither more nor less."""

    name: str
    comparison: str
    value: Any

    def holds(self, item: Any) -> bool:
        """Whether an item is that."""
        value = getattr(item, self.name)
        return value is not None and _COMPARISONS[self.comparison](value, self.value)


class Growing(Protocol[T]):
    """Items in order of arrival. No position changes, but where only the latest are kept."""

    def append(self, item: T, /) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(self, at: SupportsIndex, /) -> T: ...
    def __iter__(self) -> Iterator[T]: ...
    def __reversed__(self) -> Iterator[T]: ...


class Index(Protocol[T]):
    """Items by their id, in order of arrival."""

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __getitem__(self, key: str, /) -> T: ...
    def __setitem__(self, key: str, item: T, /) -> None: ...
    def __delitem__(self, key: str, /) -> None: ...
    def get(self, key: str, /) -> T | None: ...
    def values(self) -> Reversible[T]: ...


class Latest(dict[str, T]):
    """The latest items by their id: the oldest make room."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: str, item: T) -> None:
        super().__setitem__(key, item)
        if len(self) > self._most:
            del self[next(iter(self))]
