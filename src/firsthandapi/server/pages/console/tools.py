"""What only a server for tests can do, as the console uses it. `MockServer` is one."""

from __future__ import annotations

from typing import Protocol

from firsthandapi.server.rules.faults import Faults


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
