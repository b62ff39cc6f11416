"""All that happened on a server for tests, as one HTML page without scripts: for whoever reads a failed test."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from firsthandapi_server.console import shown
from firsthandapi_server.http.requests import ReceivedRequest
from firsthandapi_server.rules.faults import Fault
from firsthandapi_server.rules.world import World

from .clock import Clock

_MOST_REQUESTS, _MOST_DELIVERIES = 500, 200
_CONSOLE = Path(shown.__file__).parent


class _Move(NamedTuple):
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def trace_of(
    world: World,
    clock: Clock,
    requests: list[ReceivedRequest],
    faults: list[Fault],
    *,
    title: str,
    problem: str,
) -> str:
    """The page. Secrets are masked, and whatever anybody wrote is escaped.

    Args:
        title: its heading.
        problem: the text of a failure.
    """
    recent = requests[-_MOST_REQUESTS:]
    began = recent[0].time if recent else 0.0
    steps: list[tuple[float, str, Any]] = [(request.time, "request", request) for request in recent]
    steps += [(at, "move", _Move(*span)) for at, *span in clock.moves if at >= began]
    templates = shown.templates(*(folder / "templates" for folder in (Path(__file__).parent, _CONSOLE)))
    with world.lock:
        return templates.get_template("trace.html").render(
            title=title,
            problem=problem,
            style=(_CONSOLE / "static" / "console.css").read_text(encoding="utf-8"),
            steps=[step[1:] for step in sorted(steps, key=lambda step: step[0])],
            left_out=len(requests) - len(recent),
            faults=faults,
            deliveries=[*world.state.deliveries][-_MOST_DELIVERIES:],
            now=clock.now(),
            moves=len(clock.moves),
            speed=clock.speed,
            accounts=[
                account for account in world.state.accounts() if account.jobs or not account.is_sandbox
            ],
            span=_span,
        )


def _span(seconds: float) -> str:
    """A span of time, such as `0:00:20` or `7 days, 0:00:00`."""
    return str(timedelta(seconds=round(seconds, 2)))
