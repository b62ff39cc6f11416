"""Progress while a tool waits: programs that run models end a call of which they hear nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any, Self

import anyio
from mcp.server.mcpserver import Context

from firsthandapi import types
from firsthandapi._core.calls.integers import int_or_none

# Programs give up after a minute; a few of these may be lost.
_EVERY = 10.0
_TICK = 0.001


class Steps:
    """Reports each step, and every ten seconds that the call still waits.

    Args:
        context: of the call.
        total: how many steps there are; None if nobody knows.
    """

    def __init__(self, context: Context[Any, Any], total: int | None) -> None:
        self._context = context
        self._total = total
        self._last = 0.0
        self._message = ""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(group.cancel_scope.cancel)
        group.start_soon(self._beat)
        return self

    async def __aexit__(self, *raised: Any) -> None:
        # Without what was raised, so that it leaves as it is rather than in a group.
        await self._stack.aclose()

    async def report(self, done: float, message: str) -> None:
        """Report that `done` steps are done."""
        # The protocol wants a number that grows each time.
        self._last, self._message = max(self._last + _TICK, done), message
        # A program that is gone cannot be told; the call ends by itself.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._context.report_progress(self._last, self._total, message)

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(_EVERY)
            await self.report(self._last, self._message)


class JobSteps(Steps):
    """Reports a job, file by file."""

    async def update(self, job: types.Job) -> None:
        """Report `job`."""
        approved = int_or_none(job.files_approved) or 0
        # The last half step is the end of the job.
        done = approved if job.is_terminal else approved - 0.5
        await self.report(done, f"{job.id} is {job.status}, {approved} approved")
