"""What holds of every response. The check has looked at all that it got; these say what it saw."""

from __future__ import annotations

from firsthandapi.conformance._promises import EVERY, add
from firsthandapi.conformance._requests import NO_KEY
from firsthandapi.conformance._run import Run, Shared
from firsthandapi.conformance._witness import rules


@Shared
def _sample(run: Run) -> None:
    """getting responses of several kinds"""
    for path in ("/v1/me", "/v1/jobs?limit=1", "/v1/jobs?limit=0", f"/v1/jobs/job_{'0' * 26}"):
        run.get(path)
    for _ in range(2):
        run("GET", "/v1/me", key=NO_KEY)


def _seen(id: str, run: Run) -> None:
    _sample(run)
    if wrong := run.broken.get(id):
        raise wrong


for _id, _rule in rules().items():
    add(_id, EVERY, "§1", _rule.__doc__ or "", _seen, _id)
