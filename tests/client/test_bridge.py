"""Where async code meets callbacks and blocking code."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from firsthandapi._async.bridge import call_back, run_blocking


def test_the_bridge() -> None:
    """Callbacks may be functions or coroutine functions, and what blocks runs on a thread."""
    seen: list[Any] = []

    async def note(value: int) -> None:
        seen.append(value)

    async def main() -> None:
        await call_back(None, 0)
        await call_back(seen.append, 1)
        await call_back(note, 2)
        assert await run_blocking(threading.get_ident) != threading.get_ident()
        assert await run_blocking(lambda a, *, b: a + b, 1, b=2) == 3

    asyncio.run(main())
    assert seen == [1, 2]
