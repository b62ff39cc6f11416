"""The clock of calls, and what a suspend does to a wait."""

from __future__ import annotations

import httpx
import pytest

from firsthandapi import _async, _sync
from firsthandapi._base.host import clock
from firsthandapi.errors import WaitTimeoutError

from .support import Connect

JOB_ID = "job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE"


@pytest.fixture
def suspended(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of this machine, which a test moves on."""
    now = [1_000.0]
    monkeypatch.setattr(clock, "ticks", lambda: now[0])
    return now


@pytest.mark.parametrize("method", ["wait", "follow"])
def test_a_wait_counts_a_suspend(method: str, connect: Connect, suspended: list[float]) -> None:
    """After a laptop has slept through the timeout, the job is not waited for any longer."""

    def answer(request: httpx.Request) -> httpx.Response:
        suspended[0] += 3600
        return httpx.Response(200, json={"id": JOB_ID, "status": "open", "data": [], "next_cursor": None})

    client = connect(handler=answer)
    with pytest.raises(WaitTimeoutError):
        list(getattr(client.jobs, method)(JOB_ID, timeout=600))


def test_a_long_pause_looks_at_the_clock(
    connect: Connect, suspended: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each minute: a machine that was suspended for an hour does not sleep it again."""
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        suspended[0] += 3600 if len(sleeps) == 2 else seconds

    async def sleep_in_loop(seconds: float) -> None:
        sleep(seconds)

    monkeypatch.setattr(_sync.clock, "time", type("time", (), {"sleep": staticmethod(sleep)}))
    monkeypatch.setattr(_async.clock, "anyio", type("anyio", (), {"sleep": staticmethod(sleep_in_loop)}))
    result = connect(api_key="fh_test_x")._transport.clock.sleep(3700)
    if connect.loop is not None:
        connect.loop.run(result)
    assert sleeps == [60, 60, 40]
