"""Faults on demand, as networks and services have them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from firsthandapi._base.headers import check_header
from firsthandapi_server.contract.words import Count, Positive

from .deprecation import path_matches

__all__ = ["Fault", "Faults"]


@dataclass(slots=True)
class Fault:
    """One fault, and how often it still strikes. `Faults.add` says what each field does."""

    id: str
    path: str
    method: str | None
    times: int | None
    after: int
    status: int | None
    retry_after: float | str | None
    drop: Literal["before", "after"] | None
    cut: int | None
    delay: float
    garbage: bool
    dribble: float
    expired_url: bool
    repeat_cursor: bool
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def describe(self) -> str:
        """Its effect on a request, in words."""
        said: list[tuple[object, str]] = [
            (self.delay, f"waits {self.delay:g} s"),
            (self.drop, f"drops the connection {self.drop} the request is handled"),
            (self.status, f"responds with {self.status}"),
            (self.retry_after is not None, f"Retry-After: {self.retry_after}"),
            (self.garbage, "responds with a page instead of JSON"),
            (self.expired_url, "download URLs are expired"),
            (self.repeat_cursor, "every page has the cursor of its request"),
            (self.cut is not None, f"closes the connection after {self.cut} bytes of the body"),
            (self.dribble, f"waits {self.dribble:g} s before each byte"),
            (self.headers, f"sets {', '.join(self.headers)}"),
        ]
        return "; ".join(words for holds, words in said if holds) or "changes nothing"


class Faults:
    """The faults of one server. The first one that fits a request and is not used up strikes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(
        self,
        *,
        path: str = "*",
        method: str | None = None,
        times: Positive | None = 1,
        after: Count = 0,
        status: Annotated[int, Field(ge=200, le=599)] | None = None,
        retry_after: int | float | str | None = None,
        drop: Literal["before", "after"] | None = None,
        cut: Count | None = None,
        delay: Annotated[float, Field(ge=0, le=600)] = 0,
        garbage: bool = False,
        dribble: Annotated[float, Field(ge=0, le=60)] = 0,
        expired_url: bool = False,
        repeat_cursor: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Add a fault; several fields together make one fault.

        Args:
            path: a path, one above it (`/v1/jobs` strikes all below), or a glob (`/files/*`).
            method: only this method.
            times: the number of requests it strikes; None for all.
            after: the number of requests that pass first.
            status: respond with this status, without handling the request.
            retry_after: the `Retry-After` header, in seconds or as text.
            drop: close the connection without a response, before or after handling the request.
            cut: send this many bytes of the body, then close the connection.
            delay: real seconds to wait before anything else.
            garbage: handle the request, but respond with a 200 that is not JSON.
            dribble: real seconds before each byte of headers and body.
            expired_url: download URLs in the response are expired; a download is refused as expired.
            repeat_cursor: every page has `has_more` and the cursor of its own request.
            headers: headers to add or replace in the response.

        Returns:
            The fault; its `times` counts down as it strikes.
        """
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"status is 200 to 599, not {status}")
        # The server could not send any other: the connection would just break.
        sent = dict(check_header(name, value, "headers") for name, value in (headers or {}).items())
        if isinstance(retry_after, str):
            check_header("Retry-After", retry_after, "retry_after")
        fault = Fault(
            f"fault_{next(self._numbers)}",
            path,
            method.upper() if method else None,
            times,
            after,
            status,
            retry_after,
            drop,
            cut,
            delay,
            garbage,
            dribble,
            expired_url,
            repeat_cursor,
            sent,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def active(self) -> list[Fault]:
        """The faults that still strike, in the order in which they were added."""
        with self._lock:
            return [fault for fault in self._faults if fault.times != 0]

    def remove(self, fault_id: str) -> None:
        """Remove one fault.

        Args:
            fault_id: its `id`.

        Raises:
            ValueError: no such fault strikes.
        """
        with self._lock:
            left = [fault for fault in self._faults if fault.id != fault_id]
            if len(left) == len(self._faults):
                raise ValueError(f"no fault {fault_id!r} exists")
            self._faults = left

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, now used once more. Only the server needs it.

        Args:
            method: the request's method.
            path: its path, without the query.
        """
        with self._lock:
            for fault in self._faults:
                if (
                    fault.times == 0
                    or (fault.method or method) != method
                    or not path_matches(fault.path, path)
                ):
                    continue
                if fault.after:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
