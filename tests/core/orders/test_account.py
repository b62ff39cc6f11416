"""What orders cost, what the account was charged for them, and the twins of a key."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from firsthandapi._core.orders.account import OrderCheck, check_account, earliest, job_of, order_of
from firsthandapi._core.orders.record import Account, OrderRecord, marked
from firsthandapi.types import CreditTransaction, Job

REQUEST = {"description": "Photos of street signs", "files_needed": 3, "price_per_file_cents": 50}
ORDER = OrderRecord(key="k1", request=marked(REQUEST, "k1"), first_sent_at=1000.0)
BOUGHT = replace(ORDER, job={"id": "job_1", "status": "open"})
SANDBOX = replace(BOUGHT, account=Account("https://api.example.com", "f", "test"))
KEY = f"fh-{0xABC:064x}"
NUMBERS = itertools.count(1)
DOWNLOADED = OrderRecord(kind="job", job={"id": "job_1", "status": "open", **REQUEST})


def job(job_id: str = "job_1", key: str | None = "k1", **fields: Any) -> Job:
    metadata = {} if key is None else {"firsthandapi_key": key}
    row = {**REQUEST, "total_cost_cents": 150, "metadata": metadata, "status": "open", **fields}
    return Job(id=job_id, **row)


def moved(
    cents: int, job_id: str | None = "job_1", type: str = "deduction", **fields: Any
) -> CreditTransaction:
    """A transaction; the later ones of a test come first in a list, as on the service."""
    number = next(NUMBERS)
    return CreditTransaction(id=f"crtx_{number}", type=type, amount_cents=cents, job_id=job_id, **fields)


def sums(check: OrderCheck) -> tuple[int, int, int, list[str], list[int | None]]:
    charges = [charge.amount_cents for charge in check.unexplained]
    return (
        check.orders,
        check.expected_cents,
        check.charged_cents,
        [job.id for job in check.duplicates],
        charges,
    )


def refund(cents: int, job_id: str = "job_1") -> CreditTransaction:
    return moved(cents, job_id, "refund")


CANCELLED = job(status="cancelled", files_approved=1)


@pytest.mark.parametrize(
    ("records", "jobs", "transactions", "expected"),
    [
        pytest.param([BOUGHT], [job()], [moved(-150)], (1, 150, 150, [], []), id="as agreed"),
        pytest.param(
            [
                replace(
                    BOUGHT, job=None, request=marked({**REQUEST, "files_needed": 2}, "k1"), before_cents=150
                )
            ],
            [job()],
            [moved(-150)],
            (1, 150, 150, [], []),
            id="corrected, and bought as it was before",
        ),
        pytest.param(
            [BOUGHT], [job()], [moved(150)], (1, 150, 150, [], []), id="a deduction without its sign"
        ),
        pytest.param(
            [BOUGHT], [], [moved(-150)], (1, 150, 150, [], []), id="a job that the list does not show"
        ),
        pytest.param([SANDBOX], [job()], [], (1, 0, 0, [], []), id="a sandbox charges nothing"),
        pytest.param([ORDER], [job()], [moved(-150)], (1, 150, 150, [], []), id="found by its key"),
        pytest.param([DOWNLOADED], [job()], [moved(-150)], (1, 150, 150, [], []), id="only downloaded"),
        pytest.param(
            [BOUGHT, DOWNLOADED, BOUGHT], [job()], [moved(-150)], (1, 150, 150, [], []), id="in three books"
        ),
        pytest.param([BOUGHT], [CANCELLED], [refund(100), moved(-150)], (1, 50, 50, [], []), id="refunded"),
        pytest.param([BOUGHT], [job()], [moved(-30), moved(-150)], (1, 150, 180, [], [-30]), id="a fee"),
        pytest.param(
            [BOUGHT], [job()], [moved(-150), moved(-30)], (1, 150, 180, [], [-30]), id="a fee before"
        ),
        pytest.param(
            [BOUGHT],
            [job()],
            [moved(-30, type="fee"), moved(-150)],
            (1, 150, 180, [], [-30]),
            id="of a new type",
        ),
        pytest.param(
            [BOUGHT], [job()], [moved(-150), moved(-150)], (1, 150, 300, [], [-150]), id="charged twice"
        ),
        pytest.param(
            [BOUGHT],
            [job()],
            [refund(150), moved(-150), moved(-150)],
            (1, 150, 150, [], []),
            id="and taken back",
        ),
        pytest.param(
            [BOUGHT],
            [CANCELLED],
            [refund(100), moved(-30), moved(-150)],
            (1, 50, 80, [], [-30]),
            id="a fee beside a refund",
        ),
        pytest.param(
            [BOUGHT],
            [job(total_cost_cents=180)],
            [moved(-180)],
            (1, 150, 180, [], [-180]),
            id="a fee in the cost of the job",
        ),
        pytest.param(
            [BOUGHT],
            [job("job_2"), job()],
            [moved(-150, "job_2"), moved(-150)],
            (1, 150, 300, ["job_2"], [-150]),
            id="a twin",
        ),
        pytest.param(
            [ORDER],
            [job("job_2"), job()],
            [moved(-150, "job_2"), moved(-150)],
            (1, 150, 300, ["job_2"], [-150]),
            id="a twin of an order without a response: the older job is the order's",
        ),
        pytest.param(
            [BOUGHT],
            [job("job_2", status="cancelled"), job()],
            [refund(150, "job_2"), moved(-150, "job_2"), moved(-150)],
            (1, 150, 150, [], []),
            id="a twin that was cancelled",
        ),
        pytest.param(
            [BOUGHT],
            [job("job_2"), job()],
            [moved(-150)],
            (1, 150, 150, ["job_2"], []),
            id="a twin that is free",
        ),
        pytest.param(
            [replace(ORDER, forgotten=True)],
            [job()],
            [moved(-150)],
            (1, 0, 150, [], [-150]),
            id="an order that was given up",
        ),
        pytest.param(
            [BOUGHT],
            [job("job_9", "k9"), job()],
            [moved(-900, "job_9"), moved(-99, "job_8"), moved(5, None, "bonus"), moved(-150)],
            (1, 150, 150, [], []),
            id="somebody else's",
        ),
        pytest.param(
            [BOUGHT],
            [job()],
            [moved(-40, type="expiration"), moved(-150)],
            (1, 150, 150, [], []),
            id="credit that expired",
        ),
        pytest.param(
            [
                replace(ORDER, kind="allotment", request=None, cents=900),
                replace(ORDER, kind="call", path="/v1/api_keys"),
            ],
            [],
            [],
            (0, 0, 0, [], []),
            id="neither is an order",
        ),
        pytest.param(
            [replace(ORDER, request=[], kind="call", job={"id": "job_1"})],
            [],
            [moved(-150)],
            (1, 0, 150, [], []),
            id="a cost that nobody knows",
        ),
    ],
)
def test_each_cent_is_of_an_order_or_unexplained(
    records: list[OrderRecord],
    jobs: list[Job],
    transactions: list[CreditTransaction],
    expected: tuple[int, int, int, list[str], list[int]],
) -> None:
    """By the books of one order of three files for 50 cents each."""
    check = check_account(records, jobs, transactions)
    assert sums(check) == expected
    assert bool(check) is (not expected[3] and not expected[4])


@pytest.mark.parametrize(
    ("record", "jobs", "transactions", "name"),
    [
        (ORDER, [], [], "idempotency key k1"),
        (BOUGHT, [job()], [], "job_1"),
        (BOUGHT, [job()], [moved(-100)], "job_1"),
        (BOUGHT, [job()], [refund(150), moved(-150)], "job_1"),
    ],
    ids=["lost", "without a transaction", "charged in part", "refunded, and not cancelled"],
)
def test_an_order_that_was_not_charged_is_no_proof(
    record: OrderRecord, jobs: list[Job], transactions: list[CreditTransaction], name: str
) -> None:
    """Its job may be one that the books do not know, or the list of transactions may be incomplete."""
    check = check_account([record], jobs, transactions)
    assert not check
    assert check.uncharged == (name,)
    assert f"not charged: the transactions of the account do not cover {name}:" in str(check)


def test_a_suspect_is_named() -> None:
    """Until its order has a job; forgotten, it is the owner's decision."""
    suspected = ORDER.with_suspect("job_9")
    check = check_account([suspected], [], [])
    assert not check
    assert check.suspects == ("job_9",)
    assert "suspect: the service named job_9 in response to an order" in str(check)
    assert order_of("signs", suspected).status == "suspected"
    assert order_of("signs", suspected).suspects == ("job_9",)
    assert check_account([replace(suspected, forgotten=True)], [], [])
    assert check_account([suspected.with_job({"id": "job_1"})], [job()], [moved(-150)])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("firsthandapi_key", KEY.upper()),
        ("firsthandapi_key", KEY[:32]),
        ("firsthandapiKey", KEY),
        ("FIRSTHANDAPI_KEY", KEY.upper()),
    ],
)
def test_a_twin_is_found_though_its_key_was_rewritten(name: str, value: str) -> None:
    """As an earlier run has bought it on a service that rewrites metadata."""
    order = OrderRecord("order", KEY, marked(REQUEST, KEY), 0.0, {"id": "job_1"})
    jobs = [job("job_2", metadata={name: value}), job("job_1", metadata={name: value})]
    check = check_account([order], jobs, [moved(-150, "job_2"), moved(-150)])
    assert not check
    assert [twin.id for twin in check.duplicates] == ["job_2"]
    assert check.charged_cents == 300


def test_a_job_of_a_campaign_that_no_book_has() -> None:
    """Its charges are unexplained. Jobs of other campaigns are somebody else's."""
    request = {**REQUEST, "metadata": {"firsthandapi_campaign": "c1"}}
    order = replace(BOUGHT, request=marked(request, "k1"))
    jobs = [
        job(f"job_{n}", key, metadata={"firsthandapi_key": key, "firsthandapi_campaign": campaign})
        for n, key, campaign in ((3, "k3", "c2"), (2, "k2", "c1"), (1, "k1", "c1"))
    ]
    check = check_account([order], jobs, [moved(-150, f"job_{n}") for n in (3, 2, 1)])
    assert sums(check) == (1, 150, 300, [], [-150])
    assert check.unexplained[0].job_id == "job_2"


@pytest.mark.parametrize(
    ("fields", "job_id"),
    [
        ({"job_id": "job_1", "description": "Escrow for job_2"}, "job_1"),
        ({"job_id": "job_9", "description": "Escrow for job_2"}, None),
        ({"description": "Escrow for job_2."}, "job_2"),
        ({"description": "job_2-fee"}, "job_2"),
        ({"description": "your job_22"}, None),
        ({"description": "order 7b-1 paid"}, "7b-1"),
        ({"description": 5}, None),
        ({}, None),
    ],
)
def test_the_job_of_a_transaction(fields: dict[str, Any], job_id: str | None) -> None:
    """Its `job_id` says it, else its description; whatever an id looks like."""
    assert job_of(CreditTransaction(id="crtx_1", **fields), {"job_1", "job_2", "7b-1"}) == job_id


def test_an_item_that_two_pages_show_counts_once() -> None:
    """Pages move on while they are read."""
    charge = moved(-150)
    assert sums(check_account([BOUGHT], [job(), job()], [charge, charge])) == (1, 150, 150, [], [])


def test_a_twin_that_is_recorded_is_one_all_the_same() -> None:
    """As a campaign records it that counts the files of both."""
    records = [BOUGHT, replace(BOUGHT, job={"id": "job_2", "status": "open"})]
    check = check_account(records, [job("job_2"), job()], [moved(-150, "job_2"), moved(-150)])
    assert sums(check) == (1, 150, 300, ["job_2"], [-150])


def test_a_check_says_what_to_do() -> None:
    """It names the job to cancel, and each charge."""
    transactions = [moved(-150, "job_2", description="Escrow for job_2"), moved(-150)]
    check = check_account([BOUGHT], [job("job_2"), job()], transactions)
    assert str(check).splitlines() == [
        "1 order: $1.50 expected, $3.00 charged",
        "duplicate: job_2 (open) carries the key of another job; cancel it with firsthandapi jobs cancel job_2",
        f"unexplained: $1.50 by {transactions[0].id}: Escrow for job_2; ask the service's support",
    ]
    assert "job_2 (completed) carries the key of another job; ask the service's support" in str(
        check_account([BOUGHT], [job("job_2", status="completed"), job()], transactions)
    )
    assert str(check_account([], [], [])) == "0 orders: $0.00 expected, $0.00 charged"


def test_the_account_is_read_since_the_first_order() -> None:
    """By the record, by the service's clock, or by the job; all of it if a record says nothing."""
    created = {"id": "job_1", "created_at": "1970-01-01T00:15:00Z"}
    assert earliest([ORDER, replace(ORDER, server_sent_at=950.0)]) == 950.0
    assert earliest([ORDER, OrderRecord(kind="job", job=created)]) == 900.0
    assert earliest([ORDER, DOWNLOADED]) is None
    assert earliest([]) is None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "unconfirmed"),
        ({"job": {"id": "job_1", "status": "filled"}}, "filled"),
        ({"job": {"id": "job_1"}}, None),
        ({"refused_at": 5.0}, "refused"),
        ({"refused_at": 5.0, "unbought": True}, "not_bought"),
        ({"forgotten": True}, "forgotten"),
        ({"kind": "allotment", "cents": 900}, "allotment"),
    ],
)
def test_the_status_of_an_order(changes: dict[str, Any], status: str | None) -> None:
    """That of its job; without one, whether it may have been bought."""
    assert order_of("signs", replace(ORDER, **changes)).status == status


def test_an_order_as_people_see_it() -> None:
    """What it is for and what it costs; of a job that was only downloaded, what the job says."""
    order = order_of("signs", replace(BOUGHT, label="stop"))
    assert (order.book, order.key, order.method, order.path) == ("signs", "k1", "POST", "/v1/jobs")
    assert (order.label, order.job_id, order.files, order.cost_cents) == ("stop", "job_1", 3, 150)
    assert (order.sent_at, order.summary) == (datetime.fromtimestamp(1000, UTC), "Photos of street signs")
    downloaded = order_of("signs", DOWNLOADED)
    assert (downloaded.key, downloaded.cost_cents, downloaded.sent_at) == (None, 150, None)
    long = order_of("signs", replace(ORDER, request={**REQUEST, "title": "x" * 99}))
    assert long.summary == "x" * 60 + "…"
    assert order_of("signs", replace(ORDER, request=None, kind="call")).summary == ""
