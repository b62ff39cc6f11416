"""The tools of a server for tests, and their pages in the console: faults, a clock that jumps, and work by hand."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.http.reading import validate
from firsthandapi_server.rules.faults import Faults
from firsthandapi_server.rules.world import World

from .face import PREFIX, Face, Form, Page, existing, whole

_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
_FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "500": {"status": 500},
    "429": {"status": 429, "retry_after": 2},
    "drop-before": {"drop": "before"},
    "drop-after": {"drop": "after"},
    "cut": {"cut": 100},
    "slow": {"delay": 3},
    "dribble": {"dribble": 0.05},
    "garbage": {"garbage": True},
    "expired": {"expired_url": True},
    "cursor": {"repeat_cursor": True},
}
_EXAMPLE = {
    "type": "data_collection",
    "title": "Street signs",
    "description": "Photos of street signs in daylight, the sign filling most of the frame",
    "files_needed": 8,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


class JumpingClock(Protocol):
    """A clock that can jump."""

    def advance(self, *, seconds: float) -> None:
        """Move time on, and return when everything that was due has happened."""


class Tools(Protocol):
    """Controls a server by hand, such as `MockServer`."""

    @property
    def clock(self) -> JumpingClock:
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

    def score(self, submission_id: str, rating: int) -> None:
        """Score a submission now."""

    def withdraw(self, file_id: str) -> None:
        """Withdraw an approved file."""

    def reset(self) -> None:
        """Forget everything."""


class Bench(Face):
    """The frame of a server for tests, with the pages and forms of its tools."""

    def __init__(self, world: World, url: str, tools: Tools) -> None:
        super().__init__(world, url)
        self._tools = tools
        self.pages: dict[str, Page] = {"/faults": self._faults, "/clock": self._clock}
        self.forms: dict[str, Form] = {
            "/jobs": self._post_example,
            "/jobs/{id}/submit": self._submit,
            "/submissions/{id}/score": self._score,
            "/files/{id}/withdraw": self._withdraw,
            "/faults": self._add_fault,
            "/faults/remove": self._remove_fault,
            "/clock": self._advance,
            "/reset": self._reset,
        }

    def navigation(self, request: Request) -> list[tuple[str, str]]:
        """Add the pages of the tools."""
        return [*super().navigation(request), ("Faults", f"{PREFIX}/faults"), ("Clock", f"{PREFIX}/clock")]

    def values(self, request: Request) -> dict[str, Any]:
        """Add the values that the tools show on every page."""
        count = len(self._tools.faults.active())
        return {
            **super().values(request),
            "has_tools": True,
            "counts": {"Faults": count} if count else {},
            "speed": self.world.clock.speed,
        }

    def pulse(self) -> object:
        """A value that changes with the faults."""
        return tuple((fault.id, fault.times) for fault in self._tools.faults.active())

    def _faults(self, request: Request) -> Response:
        return self.page(request, "faults.html", faults=self._tools.faults.active())

    def _clock(self, request: Request) -> Response:
        return self.page(request, "clock.html", units=_UNITS)

    def _post_example(self, _request: Request, _fields: dict[str, str]) -> str:
        world = self.world
        with world.lock:
            body = validate(JobBody, _EXAMPLE).model_dump()
            job = world.jobs.create(world.state.own, body, "console", world.clock.now(), self.url)
        return f"{PREFIX}/jobs/{job.id}?done=posted"

    def _submit(self, request: Request, fields: dict[str, str]) -> str:
        job_id = existing(self.world.state.jobs.get(request.path_params["id"])).id
        rating = whole(fields.get("rating"), "rating", 1, 5, 4)
        files = whole(fields.get("files"), "files", 1, 5, 1)
        self._tools.submit(job_id, content_type=fields.get("content_type"), rating=rating, files=files)
        return f"{PREFIX}/jobs/{job_id}?done=submitted"

    def _score(self, request: Request, fields: dict[str, str]) -> str:
        with self.world.lock:
            submission = existing(self.world.state.submissions.get(request.path_params["id"]))
            self._tools.score(submission.id, whole(fields.get("rating"), "rating", 1, 5, 4))
        return f"{PREFIX}/jobs/{submission.job.id}?done=scored#{submission.id}"

    def _withdraw(self, request: Request, _fields: dict[str, str]) -> str:
        with self.world.lock:
            file = existing(self.world.state.files.get(request.path_params["id"]))
            self._tools.withdraw(file.id)
        return f"{PREFIX}/jobs/{file.submission.job.id}?done=withdrawn"

    def _add_fault(self, _request: Request, fields: dict[str, str]) -> str:
        kind = _FAULTS.get(fields.get("kind", ""))
        if kind is None:
            raise ValueError("choose what happens to the request")
        times = None if fields.get("times") == "all" else whole(fields.get("times"), "times", 1, 10**6, 1)
        path, method = fields.get("path", "*"), fields.get("method")
        if len(path) > 500 or len(method or "") > 20:
            raise ValueError("path may have 500 characters, and method 20")
        after = whole(fields.get("after"), "after", 0, 10**6, 0)
        self._tools.faults.add(path=path, method=method, times=times, after=after, **kind)
        return f"{PREFIX}/faults?done=added"

    def _remove_fault(self, _request: Request, fields: dict[str, str]) -> str:
        fault = fields.get("id")
        if fault is None:
            self._tools.faults.clear()
            return f"{PREFIX}/faults?done=cleared"
        self._tools.faults.remove(fault)
        return f"{PREFIX}/faults?done=removed"

    async def _advance(self, _request: Request, fields: dict[str, str]) -> str:
        unit = fields.get("unit", "seconds")
        if unit not in _UNITS:
            raise ValueError(f"unit is one of {', '.join(_UNITS)}")
        amount = whole(fields.get("amount"), "amount", 0, 100_000, 0)
        # In a thread, because this makes deliveries, and their receiver may call this server.
        await asyncio.to_thread(self._tools.clock.advance, seconds=amount * _UNITS[unit])
        return f"{PREFIX}/clock?done=advanced"

    async def _reset(self, _request: Request, _fields: dict[str, str]) -> str:
        await asyncio.to_thread(self._tools.reset)
        return f"{PREFIX}/clock?done=reset"
