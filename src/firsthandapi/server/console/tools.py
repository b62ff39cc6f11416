"""What only a server for tests can do, as the console uses it. `MockServer` is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol


class Fault(Protocol):
    """A fault that strikes requests."""

    @property
    def id(self) -> str:
        """Names it in `Faults.remove`."""
        ...

    @property
    def path(self) -> str:
        """The path that it strikes."""
        ...

    @property
    def method(self) -> str | None:
        """The method that it strikes; None for any."""
        ...

    @property
    def after(self) -> int:
        """How many requests pass first."""
        ...

    @property
    def times(self) -> int | None:
        """How many requests it still strikes; None for all."""
        ...

    def describe(self) -> str:
        """What it does, in words."""
        ...


class Faults(Protocol):
    """The faults of a server."""

    def active(self) -> Sequence[Fault]:
        """Those that still strike."""
        ...

    def add(
        self,
        *,
        path: str = "*",
        method: str | None = None,
        times: int | None = 1,
        after: int = 0,
        status: int | None = None,
        retry_after: float | str | None = None,
        drop: Literal["before", "after"] | None = None,
        cut: int | None = None,
        delay: float = 0,
        garbage: bool = False,
        dribble: float = 0,
        expired_url: bool = False,
        repeat_cursor: bool = False,
    ) -> object:
        """Add one."""
        ...

    def remove(self, fault_id: str) -> None:
        """Remove one."""
        ...

    def clear(self) -> None:
        """Remove all."""
        ...


class Clock(Protocol):
    """A clock that can jump."""

    def advance(self, *, seconds: float) -> None:
        """Move time on; returns when all that fell due has happened."""
        ...


class Tools(Protocol):
    """Drives a server by hand."""

    @property
    def clock(self) -> Clock:
        """The virtual time."""
        ...

    @property
    def faults(self) -> Faults:
        """The faults."""
        ...

    def submit(
        self, job_id: str, *, content_type: str | None = None, rating: int = 4, files: int | None = None
    ) -> object:
        """Submit files, as a worker does."""
        ...

    def score(self, submission_id: str, rating: int) -> None:
        """Score a submission now."""
        ...

    def withdraw(self, file_id: str) -> None:
        """Withdraw an approved file."""
        ...

    def reset(self) -> None:
        """Forget everything."""
        ...
