"""Progress while a tool waits: programs that run models end a call of which they hear nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any, Self

import anyio
from mcp.server.mcpserver import Context

from firsthandapi import types

# Programs give up after a minute; a few of these may be lost.
_EVERY = 10.0
_TICK = 0.001
_FINAL = ("completed", "cancelled")


class Progress:
    """Reports each change of a job, and every ten seconds that it is still waited for.

    Args:
        context: of the call.
        job: the job, as it is at first.
    """

    def __init__(self, context: Context[Any, Any], job: types.Job) -> None:
        self._context = context
        self._job = job
        self._last = 0.0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        group = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(group.cancel_scope.cancel)
        group.start_soon(self._beat)
        return self

    async def __aexit__(self, *raised: Any) -> None:
        # Without what was raised, so that it leaves as it is rather than in a group.
        await self._stack.aclose()

    async def update(self, job: types.Job) -> None:
        """Report `job`."""
        self._job = job
        approved = job.files_approved or 0
        # The protocol wants a number that grows each time. The last half step is the end of the job.
        self._last = max(self._last + _TICK, approved if job.status in _FINAL else approved - 0.5)
        # A program that is gone cannot be told; the call ends by itself.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._context.report_progress(
                self._last, job.files_needed, f"{job.id} is {job.status}, {approved} approved"
            )

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(_EVERY)
            await self.update(self._job)
