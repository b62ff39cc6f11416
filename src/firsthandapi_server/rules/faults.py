"""Faults on demand, as networks and services have them."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from firsthandapi._base.headers import check_header
from firsthandapi._base.nearest import nearest
from firsthandapi_server.contract.words import Count, Positive

from .deprecation import path_matches

__all__ = ["Fault", "Faults"]

_PARAMETER = re.compile(r"\{\w+\}")
_ID = re.compile(r"[a-z]+_\w+")


@dataclass(slots=True)
class Fault:
    """One fault, and how often it still strikes. `Faults.add` says what each field does.

    Attributes:
        fired: the number of requests that it has struck.
    """

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
    optional: bool = False
    fired: int = 0

    def describe(self) -> str:
        """Its effect on a request, in words."""
        effects: list[tuple[object, str]] = [
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
        return "; ".join(words for holds, words in effects if holds)


class Faults:
    """The faults of one server. The first one that fits a request and is not used up strikes it.

    Args:
        routes: the paths of the server, such as `/v1/jobs/{id}`, with the methods of each.
    """

    def __init__(self, routes: Mapping[str, Collection[str]]) -> None:
        self._routes = routes
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
        optional: bool = False,
    ) -> Fault:
        """Add a fault; several effects together make one fault. One that could never strike, or would change nothing,
        is refused.

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
            optional: `check_fired`, and with it the pytest plugin, does not mind if it never strikes.

        Returns:
            The fault; its `times` counts down as it strikes.

        Raises:
            ValueError: the server has no such path or method, a value is out of range, or the fault has no effect.
        """
        method = method.upper() if method else None
        self._check_route(path, method)
        if drop not in (None, "before", "after"):
            raise ValueError(f"drop is 'before' or 'after', not {drop!r}")
        if times is not None and times < 1:
            raise ValueError(f"times is 1 or more, or None for all requests, not {times!r}")
        for name, value in {"after": after, "cut": cut or 0, "delay": delay, "dribble": dribble}.items():
            if value < 0:
                raise ValueError(f"{name} is 0 or more, not {value!r}")
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"status is 200 to 599, not {status}")
        # The server could not send any other: the connection would just break.
        sent = dict(check_header(name, value, "headers") for name, value in (headers or {}).items())
        if isinstance(retry_after, str):
            check_header("Retry-After", retry_after, "retry_after")
        fault = Fault(
            f"fault_{next(self._numbers)}",
            path,
            method,
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
            optional,
        )
        if not fault.describe():
            raise ValueError("the fault has no effect; add one, such as status=503 or drop='after'")
        with self._lock:
            self._faults.append(fault)
        return fault

    def active(self) -> list[Fault]:
        """The faults that still strike, in the order in which they were added."""
        return [fault for fault in self.added() if fault.times != 0]

    def added(self) -> list[Fault]:
        """All faults, those that are used up as well, in the order in which they were added."""
        with self._lock:
            return [*self._faults]

    def check_fired(self) -> None:
        """Assert that every fault has struck at least once, except those with `optional=True`, and those that were
        removed."""
        idle = [fault for fault in self.added() if not fault.fired and not fault.optional]
        if idle:
            names = ", ".join(
                f"{fault.id} on {fault.method or 'any'} {fault.path} ({fault.describe()})" for fault in idle
            )
            advice = "fix its path, method, or after=, remove it, or pass optional=True"
            raise AssertionError(f"a fault never fired: {names}; {advice}")

    def remove(self, fault_id: str) -> None:
        """Remove one fault.

        Args:
            fault_id: its `id`.

        Raises:
            ValueError: no such fault strikes.
        """
        with self._lock:
            rest = [fault for fault in self._faults if fault.id != fault_id]
            if len(rest) == len(self._faults):
                raise ValueError(f"no fault {fault_id!r} exists")
            self._faults = rest

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
                fault.fired += 1
                return fault
        return None

    def _check_route(self, path: str, method: str | None) -> None:
        fitting = [methods for route, methods in self._routes.items() if _fits(path, route)]
        if not fitting:
            meant = nearest(path, self._routes)
            advice = f"did you mean {meant}?" if meant else "use a path, a folder above it, or a glob"
            raise ValueError(f"the server has no path {path!r}; {advice}")
        names = sorted({name for methods in fitting for name in methods})
        if method is not None and method not in names:
            raise ValueError(f"no request to {path} has the method {method}; use {', '.join(names)}")


def _fits(pattern: str, route: str) -> bool:
    """Whether a pattern fits some path of a route such as `/v1/jobs/{id}`."""
    if re.fullmatch(_PARAMETER.sub("[^/]+", route), pattern):
        return True
    return any(path_matches(pattern, _PARAMETER.sub(value, route)) for value in ("x", *_ID.findall(pattern)))
