"""What holds of every response. The check has looked at all that it got; these say what it saw."""

from __future__ import annotations

from firsthandapi.conformance._promises import EVERY, add
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._witness import rules


def _seen(id: str, run: Run) -> None:
    _ = run.sample
    if wrong := run.broken.get(id):
        raise wrong


for _id, _rule in rules().items():
    add(_id, EVERY, "§1", _rule.__doc__ or "", _seen, _id)
