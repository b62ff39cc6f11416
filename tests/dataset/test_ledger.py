"""`campaign.json`: what its orders write, and one that is damaged, newer, or too large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firsthandapi._core.campaigns.ledger import LEDGER_FILE
from firsthandapi._core.orders.record import OrderRecord
from firsthandapi.datasets._ledger import EntryOfLedger, LedgerFile
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
)

from .support import api
from .world import POST, World


def test_a_key_of_a_torn_ledger_is_not_given_up(world: World) -> None:
    """Its job may show later."""
    world.client = world.new_client(max_retries=0)
    world.server.faults.add(path="/v1/jobs", method="POST", drop="before")
    with pytest.raises(FirstHandConnectionError):
        world.run(world.campaign(stop=2))
    path = world.dest / LEDGER_FILE
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ConfigurationError, match=r"campaign\.json of dest is damaged, and no job"):
        world.run(world.campaign(stop=2))
    path.unlink()
    assert len(world.run(world.campaign(stop=2))) == 2


def test_a_ledger_of_a_later_version_is_left_alone(world: World) -> None:
    """Upgrade."""
    world.dest.mkdir()
    (world.dest / LEDGER_FILE).write_text('{"version": 9}')
    for call in (world.run, world.client.campaigns.plan):
        with pytest.raises(ConfigurationError, match="upgrade firsthandapi"):
            call(world.campaign(stop=2))


def test_a_ledger_that_would_not_be_read_again_is_not_written(world: World, monkeypatch: Any) -> None:
    """Before the order is sent."""
    monkeypatch.setattr("firsthandapi.datasets._ledger.LARGEST_LEDGER", 10)
    with pytest.raises(ConfigurationError, match="continue in another folder"):
        world.run(world.campaign(stop=2))
    assert POST not in api(world.server)


def test_the_refund_of_an_order_that_is_first_seen_cancelled_is_booked(tmp_path: Path) -> None:
    """Its response was lost, and its job cancelled, before the service confirmed it."""
    file = LedgerFile(tmp_path)
    record = EntryOfLedger(file, 0, "stop")
    sent = OrderRecord({"files_needed": 10, "price_per_file_cents": 50}, "key-1", 1.0, None)
    record.create_job(sent)
    assert file.ledger.spent_cents == 500
    record.write_job(sent.with_job({"id": "job_1", "status": "cancelled", "files_approved": 2}))
    assert file.ledger.spent_cents == 100
