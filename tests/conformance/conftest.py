"""What the checks of servers that keep the contract share."""

from __future__ import annotations

import pytest

from firsthandapi.conformance._run import Run
from firsthandapi.conformance.promises import jobs, webhooks


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on busy cores keeps its promises as well, but later."""
    monkeypatch.setattr(Run, "patience", 120.0)
    for promises in (jobs, webhooks):
        monkeypatch.setattr(promises, "_SOON", 120.0)
