"""The catalogue's tests, on the bundled server: no account, no key, no network, no waiting.

`firsthand_server` and `firsthand_client` are fixtures of the pytest plugin that comes with
`pip install "firsthandapi[testing]"`.
"""

from pathlib import Path

from catalogue import PHOTOS, PRICE_CENTS, fetch_photos, order_photos

from firsthandapi import FirstHandClient
from firsthandapi.testing import MockServer

PRODUCTS = {"A-1": "blue teapot", "A-2": "garden chair"}


def test_photos_come_once_people_have_taken_them(
    firsthand_server: MockServer, firsthand_client: FirstHandClient, tmp_path: Path
) -> None:
    orders = order_photos(firsthand_client, PRODUCTS)
    assert fetch_photos(firsthand_client, orders, tmp_path) == {}

    firsthand_server.clock.advance(hours=1)  # the server's time is virtual: workers deliver, scores come in
    photos = fetch_photos(firsthand_client, orders, tmp_path)
    assert {number: len(paths) for number, paths in photos.items()} == {"A-1": PHOTOS, "A-2": PHOTOS}
    assert all(path.stat().st_size > 0 for paths in photos.values() for path in paths)


def test_ordering_again_buys_nothing(firsthand_client: FirstHandClient) -> None:
    first = order_photos(firsthand_client, PRODUCTS)
    assert order_photos(firsthand_client, PRODUCTS) == first
    assert len(list(firsthand_client.jobs.list())) == len(PRODUCTS)


def test_an_answer_that_is_lost_on_the_way_buys_nothing_twice(
    firsthand_server: MockServer, firsthand_client: FirstHandClient
) -> None:
    firsthand_server.faults.add(path="/v1/jobs", method="POST", drop="after")
    orders = order_photos(firsthand_client, PRODUCTS)
    assert sorted(job.id for job in firsthand_client.jobs.list()) == sorted(orders.jobs.values())


def test_a_download_that_breaks_off_is_resumed(
    firsthand_server: MockServer, firsthand_client: FirstHandClient, tmp_path: Path
) -> None:
    orders = order_photos(firsthand_client, {"A-1": "blue teapot"})
    firsthand_server.clock.advance(hours=1)
    firsthand_server.faults.add(path="/files/*", cut=100)
    assert len(fetch_photos(firsthand_client, orders, tmp_path)["A-1"]) == PHOTOS


def test_photos_can_be_fetched_after_the_download_urls_have_expired(
    firsthand_server: MockServer, firsthand_client: FirstHandClient, tmp_path: Path
) -> None:
    orders = order_photos(firsthand_client, PRODUCTS)
    firsthand_server.clock.advance(days=30)
    assert fetch_photos(firsthand_client, orders, tmp_path).keys() == PRODUCTS.keys()


def test_what_was_paid_for_before_a_cancellation_is_fetched(tmp_path: Path) -> None:
    # A worker driven by hand, in a time that stands still.
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        orders = order_photos(client, {"A-1": "blue teapot"})
        server.submit(orders.jobs["A-1"])
        server.clock.advance(seconds=15)  # scoring
        client.jobs.cancel(orders.jobs["A-1"])
        assert len(fetch_photos(client, orders, tmp_path)["A-1"]) == 1


def test_what_the_credits_do_not_suffice_for_is_told(firsthand_server: MockServer) -> None:
    poor = firsthand_server.create_organization(cents=PHOTOS * PRICE_CENTS)
    with firsthand_server.client(api_key=poor.api_key) as client:
        orders = order_photos(client, PRODUCTS)
        assert (list(orders.jobs), orders.unpaid) == (["A-1"], ["A-2"])
        assert client.billing.credits().balance_cents == 0
