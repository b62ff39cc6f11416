"""The records of a campaign's orders: what is written of them, and one that is damaged, newer, or too large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firsthandapi._core.orders.record import ORDERS, OrderRecord
from firsthandapi.datasets._ledger import LedgerFolder, OrderBook
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .support import api
from .world import POST, World

pytestmark = pytest.mark.both


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "is empty or damaged"),
        ('{"version": 9}', "was written by a later version of firsthandapi: upgrade"),
    ],
)
def test_a_record_that_cannot_be_read_stops_the_campaign(
    world: World, content: str | None, wrong: str
) -> None:
    """Its job may show later: nothing is asked. Put back, the order is sent with its key."""
    world.lose_order(world.campaign(stop=2))
    (path,) = (world.dest / ORDERS).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] if content is None else content.encode())
    with world.asking_nothing():
        for call in (world.run, world.client.campaigns.plan):
            with pytest.raises(ConfigurationError, match=f"{path.name} {wrong}"):
                call(world.campaign(stop=2))
    path.write_bytes(whole)
    assert len(world.run(world.campaign(stop=2))) == 2
    assert len({r.headers["idempotency-key"] for r in world.server.requests if r.method == "POST"}) == 1


def test_a_record_that_would_not_be_read_again_is_not_written(world: World, monkeypatch: Any) -> None:
    """Before the order is sent."""
    monkeypatch.setattr("firsthandapi.datasets._orders.LARGEST_RECORD", 10)
    with pytest.raises(InvalidArgumentError, match="metadata is too large"):
        world.run(world.campaign(stop=2))
    assert POST not in api(world.server)


def test_the_refund_of_an_order_that_is_first_seen_cancelled_is_booked(tmp_path: Path) -> None:
    """Its response was lost, and its job cancelled, before the service confirmed it."""
    folder = LedgerFolder(tmp_path)
    book = OrderBook(folder, 0, "stop")
    request = {"files_needed": 10, "price_per_file_cents": 50}
    sent = OrderRecord("order", "key-1", request, 1.0, label="stop")
    book.create(sent)
    assert folder.ledger.spent_cents == 500
    book.write(sent.with_job({"id": "job_1", "status": "cancelled", "files_approved": 2}))
    assert folder.ledger.spent_cents == 100
