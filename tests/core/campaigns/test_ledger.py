"""The orders of a campaign: what each cost, and how it is found again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from firsthandapi._core.campaigns.campaign import Spec, campaign_key, check_spec, order_key, spec_key
from firsthandapi._core.campaigns.ledger import (
    CampaignLedger,
    CampaignOrder,
    campaign_in,
    campaign_of,
    ledger_of,
)
from firsthandapi._core.orders.ordering import Walk
from firsthandapi._core.orders.record import OrderRecord, read_record
from firsthandapi._core.rows.decisions import Decided, Decision
from firsthandapi.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {
    "description": "Photos of street signs",
    "accepted_formats": ["image/jpeg"],
    "files_needed": 10,
    "price_per_file_cents": 50,
}


def key(number: int) -> str:
    """A key as this package makes them."""
    return f"fh-{number:064x}"


def job(number: int = 1, status: str = "open", approved: int | None = 0, **fields: Any) -> dict[str, Any]:
    """A job as the service shows it."""
    metadata = {
        "firsthandapi_key": key(number),
        "firsthandapi_campaign": "fh-1",
        "firsthandapi_label": "stop",
    }
    row = {"id": f"job_{number}", "status": status, "metadata": metadata, **REQUEST, **fields}
    return row if approved is None else {**row, "files_approved": approved}


def order(
    number: int = 1, label: str = "stop", row: dict[str, Any] | None = None, **changed: Any
) -> CampaignOrder:
    """An order of 10 files for 50 cents each."""
    sent_at = 1_800_000_000.0 + number
    order = CampaignOrder(OrderRecord("order", key(number), {**REQUEST, **changed}, sent_at, label=label))
    return order if row is None else order.seen(row)


def read_again(ledger: CampaignLedger) -> CampaignLedger:
    """What is read of its records."""
    orders = (*ledger.orders, *ledger.forgotten)
    copy = ledger_of(read_record(entry.record.encode(), "record") for entry in orders)
    assert copy is not None
    return copy


def test_an_order_costs_all_of_its_files_until_something_is_refunded() -> None:
    """Also one whose response was lost: it may have been posted."""
    assert order().spent_cents == 500
    assert order(row=job(status="in_progress", approved=3)).spent_cents == 500
    assert order(row=job(status="completed", approved=10)).spent_cents == 500
    cancelled = order(row=job(status="cancelled", approved=3))
    assert (cancelled.spent_cents, cancelled.record.refund_cents, cancelled.state) == (150, 350, "cancelled")


def test_an_order_keeps_its_first_label_through_moves() -> None:
    """Its job's metadata say it; what comes of the same first label joins it, and no other label does."""
    first = {"metadata": {"firsthandapi_label": "stop", "firsthandapi_campaign": "fh-1"}}
    ledger = CampaignLedger("fh-1", (order(**first), order(2, "yield"))).with_moved(
        {"stop": "halt", "old": "halt"}
    )
    assert [(entry.label, entry.first_label) for entry in ledger.orders] == [
        ("halt", "stop"),
        ("yield", "yield"),
    ]
    assert (ledger.first_label("halt"), ledger.first_label("new")) == ("stop", "new")
    assert read_again(ledger).first_label("halt") == "stop"
    late = replace(ledger, orders=(*ledger.orders, order(3, **first)))
    assert [entry.label for entry in late.with_moved({"stop": "halt"}).orders] == ["halt", "yield", "halt"]
    with pytest.raises(InvalidArgumentError, match="for 'stop' and for 'yield', and a move does not mix"):
        ledger.with_moved({"yield": "halt"})
    apart = CampaignLedger("fh-1", (order(), order(2, "yield")))
    with pytest.raises(InvalidArgumentError, match="does not mix two labels into 'halt'"):
        apart.with_moved({"stop": "halt", "yield": "halt"})


def test_a_refund_never_grows() -> None:
    """A file that was withdrawn after the end is not refunded; one that was approved late is paid."""
    cancelled = order(row=job(status="cancelled", approved=3))
    assert cancelled.seen(job(status="cancelled", approved=2)).record.refund_cents == 350
    assert cancelled.seen(job(status="cancelled", approved=4)).record.refund_cents == 300
    assert order(row=job(status="completed", approved=9)).record.refund_cents == 0


def test_a_job_that_does_not_count_its_files_refunds_nothing() -> None:
    """What nobody counted may have been paid; the list says how many files there are. Once it counts, it refunds."""
    purchase = order(row=job(status="cancelled", approved=None))
    assert (purchase.approved, purchase.record.refund_cents) == (0, 0)
    assert purchase.seen(job(status="cancelled", approved=None), listed=4).approved == 4
    assert purchase.seen(job(status="cancelled", approved=4)).record.refund_cents == 300


def test_a_status_that_goes_back_closes_nothing() -> None:
    """A replica has shown an end that is not one: all of the files are paid and awaited, until it is seen again."""
    closed = order(row=job(status="cancelled", approved=3)).with_(closed=True)
    assert closed.seen(job(status="cancelled", approved=3)) == closed
    relapse = closed.seen(job(status="in_progress", approved=3))
    assert (relapse.closed, relapse.record.refund_cents, relapse.spent_cents, relapse.held(unique=True)) == (
        False,
        0,
        500,
        10,
    )
    assert relapse.seen(job(status="cancelled", approved=6)).spent_cents == 300


def test_files_in_the_list_are_approved_whatever_the_count_says() -> None:
    """A count that lags has no file ordered again, and nothing refunded that was paid."""
    assert order().seen(job(status="completed", approved=-1), listed=10).approved == 10
    cancelled = order().seen(job(status="cancelled", approved=0), listed=3)
    assert (cancelled.approved, cancelled.record.refund_cents) == (3, 350)


def test_what_is_on_its_way_is_held() -> None:
    """An unfinished job may bring all of its files, and so may a completed one whose count is late; one that was
    cancelled, or closed, has brought what was approved."""
    assert order().held(unique=True) == 10
    assert order(row=job(approved=3)).held(unique=True) == 10
    assert order(row=job(status="completed", approved=3)).held(unique=True) == 10
    assert order(row=job(status="completed", approved=3)).with_(closed=True).held(unique=True) == 3
    assert order(row=job(status="cancelled", approved=3)).held(unique=True) == 3


def test_the_same_bytes_count_once() -> None:
    """The first file counts, whichever job it is of."""
    ledger = CampaignLedger(
        "fh-1",
        (
            order(1, row=job(1, "completed", 3)).with_(closed=True),
            order(2, row=job(2, "completed", 2)).with_(closed=True),
            order(3),
        ),
    )
    files = {"job_1": {"file_1": "a", "file_2": "b", "file_3": "a"}, "job_2": {"file_4": "b", "file_5": "c"}}
    counted = ledger.with_files(files)
    assert [line.record.duplicates for line in counted.orders] == [1, 1, 0]
    assert [line.counted(unique=True) for line in counted.orders] == [2, 1, 0]
    assert [line.counted(unique=False) for line in counted.orders] == [3, 2, 0]
    # Without the first, the second counts in its place, and for the label that it was given.
    decided = Decided()
    for action, file_id, label in (
        ("exclude", "file_2", None),
        ("relabel", "file_3", "yield"),
        ("relabel", "file_4", "yield"),
    ):
        decided.add(Decision(file_id, action, label, "dark", None, datetime.now(UTC)))
    counted = ledger.with_files(files, decided)
    assert [line.record.duplicates for line in counted.orders] == [1, 0, 0]
    assert [line.counted(unique=True) for line in counted.orders] == [1, 1, 0]
    assert (counted.moved["yield"], counted.orders[0].excluded) == (1, ("dark",))
    assert b"excluded" not in counted.orders[0].record.encode()
    # An unfinished job may still bring what it has promised, less what it has brought in vain.
    assert [line.held(unique=True) for line in counted.orders] == [1, 1, 10]
    # What the service has withdrawn since may be what was excluded.
    fewer = replace(ledger, orders=(order(1, row=job(1, "completed", 2)), *ledger.orders[1:]))
    assert [line.counted(unique=False) for line in fewer.with_files(files, decided, unique=False).orders] == [
        1,
        1,
        0,
    ]
    both = ledger.with_files(files, decided.with_moved({"yield": "halt"}), unique=False)
    assert (both.moved["yield"], both.moved["halt"]) == (0, 2)


OF_CAMPAIGN = {"metadata": {"firsthandapi_campaign": "fh-1"}}


def test_the_ledger_is_read_as_it_was_written() -> None:
    """Orders, jobs, refunds, and what was spent, in the order in which they were sent; other records are none of it."""
    ledger = CampaignLedger(
        "fh-1", (order(1, row=job(1, "cancelled", 3), **OF_CAMPAIGN), order(2, "yield", **OF_CAMPAIGN))
    )
    copy = read_again(ledger)
    assert copy == ledger
    assert copy.spent_cents == ledger.spent_cents == 650
    assert [entry.label for entry in copy.of("yield")] == ["yield"]
    strangers = (
        OrderRecord("job", job={"id": "job_9"}, label="stop"),
        order(3).record,
        replace(order(4, **OF_CAMPAIGN).record, label=None),
        order(5, **OF_CAMPAIGN, files_needed=0).record,
    )
    assert ledger_of(strangers) is None
    assert ledger_of([*strangers, *(entry.record for entry in reversed(ledger.orders))]) == ledger


def test_an_order_is_put_in_place_added_or_taken_out() -> None:
    """Each step of an order makes another ledger."""
    ledger = CampaignLedger("fh-1").with_order(0, order(1)).with_order(1, order(2))
    assert [entry.key for entry in ledger.orders] == [key(1), key(2)]
    assert ledger.with_order(0, order(3)).orders[0].key == key(3)
    assert ledger.with_order(1, None).orders == ledger.orders[:1]
    assert ledger.with_order(0, None).orders == ledger.orders[1:]


def test_jobs_are_found_by_their_key_and_then_by_their_id() -> None:
    """An order whose response was lost learns its job; others learn the news."""
    ledger = CampaignLedger("fh-1", (order(1), order(2, row=job(2)), order(3)))
    seen = ledger.with_jobs([job(2, "completed", 10), job(1, "in_progress", 4)])
    assert [entry.state for entry in seen.orders] == ["in_progress", "completed", "sent"]
    assert [entry.approved for entry in seen.orders] == [4, 10, 0]


def test_a_job_of_the_campaign_that_no_order_bought_is_one_more() -> None:
    """A ledger restored from a copy does not know it. A list may show a job twice, and jobs of other campaigns."""
    ledger = CampaignLedger("fh-1", (order(1, row=job(1)), order(2)))
    stray = job(9)
    stray["metadata"] = {**stray["metadata"], "firsthandapi_campaign": "fh-2"}
    seen = ledger.with_jobs([job(4), stray, job(3, "cancelled", 4), job(3, "cancelled", 4), job(2), job(1)])
    assert [(entry.key, entry.state) for entry in seen.orders] == [
        (key(1), "open"),
        (key(2), "open"),
        (key(3), "cancelled"),
        (key(4), "open"),
    ]
    assert seen.spent_cents == 1_700
    assert seen.with_jobs([job(4), job(3, "cancelled", 4)]) == seen


def test_a_lost_ledger_is_made_from_the_jobs() -> None:
    """Those of the campaign, oldest first; no other job is taken for one of its orders."""
    stray = {**job(9), "metadata": {"firsthandapi_key": key(9)}}
    no_label = {**job(8), "metadata": {**job(8)["metadata"], "firsthandapi_label": "../up"}}
    no_key = {**job(7), "metadata": {"firsthandapi_campaign": "fh-1", "firsthandapi_label": "stop"}}
    no_price = {**job(6), "price_per_file_cents": None}
    jobs = [
        job(2, "in_progress", 1),
        stray,
        no_label,
        no_key,
        no_price,
        job(1, "cancelled", 4),
        {"id": "job_0"},
    ]
    ledger = CampaignLedger("fh-1").with_jobs(jobs)
    assert [(entry.label, entry.state, entry.approved, entry.spent_cents) for entry in ledger.orders] == [
        ("stop", "cancelled", 4, 200),
        ("stop", "in_progress", 1, 500),
    ]
    assert ledger.orders[0].has_words_of({**REQUEST, "files_needed": 99})
    assert not ledger.orders[0].has_words_of({**REQUEST, "description": "Photos of other signs"})
    assert campaign_of(jobs[0]) == "fh-1"
    assert campaign_of(stray) is None


def test_a_lost_ledger_is_of_the_campaign_that_ordered_the_rows() -> None:
    """Of its own where that is one of them; jobs that no row names, or of no campaign, say nothing."""
    jobs = [job(n) for n in range(5)]
    for row, campaign in zip(jobs, ("fh-3", "fh-2", None, "fh-4", "fh-0"), strict=True):
        row["metadata"] = {"firsthandapi_campaign": campaign}
    rows_of = ["job_0", "job_1", "job_2", "job_3", "job_9"]
    name_key = campaign_key("signs", "")
    assert campaign_in(spec(), "signs", "/a", jobs, rows_of) == "fh-2"
    assert campaign_in(spec(), "signs", "/a", jobs, ["job_2"]) == name_key
    assert campaign_in(spec(), "signs", "/a", jobs) == name_key
    jobs[3]["metadata"].update(firsthandapi_campaign=name_key, firsthandapi_key=key(3))
    assert campaign_in(spec(), "signs", "/a", jobs, rows_of) == name_key


def spec(dest: str | None = None, moved: Any = None, **labels: str) -> Spec:
    """A campaign that asks for labels with descriptions."""
    jobs = {
        label: {**REQUEST, "description": f"Photos of {words}"}
        for label, words in (labels or {"a": "signs"}).items()
    }
    return check_spec(10_000, None, jobs, True, moved, dest)


def orders_of(campaign: str, begun: Spec, number: int = 1) -> list[dict[str, Any]]:
    """The jobs that a campaign has, one for each label."""
    return [
        {
            **job(number),
            **request,
            "id": f"job_{campaign}_{label}",
            "metadata": {
                "firsthandapi_key": order_key(campaign, label, 0),
                "firsthandapi_campaign": campaign,
                "firsthandapi_label": label,
            },
        }
        for label, request in begun.jobs.items()
    ]


def test_a_lost_campaign_is_found_by_its_dest_and_the_words_of_a_label() -> None:
    """Also once labels came, went, moved, and changed."""
    begun = spec("signs", stop="stop signs", give_way="yield signs")
    key = str(spec_key(begun))
    for now in (
        begun,
        spec("signs", stop="stop signs", merge="merging lanes"),
        spec("signs", stop="stop signs", give_way="yield signs at night"),
        spec("signs", {"stop": "halt"}, halt="stop signs"),
    ):
        assert campaign_in(now, None, "/a/signs", orders_of(key, begun)) == key
        assert campaign_in(now, "mine", "/a/signs", orders_of(key, begun)) == campaign_key("mine", "")
    assert campaign_in(begun, None, "/a/signs", []) == key


def test_another_campaign_is_not_taken_for_a_lost_one() -> None:
    """Of another dest, whatever its words; or of the same, with other labels."""
    begun = spec("signs", stop="stop signs")
    jobs = orders_of(str(spec_key(begun)), begun)
    for now in (
        spec("sign", stop="stop signs"),
        spec("signs", cat="cats"),
        spec("signs/2", stop="stop signs"),
    ):
        assert campaign_in(now, None, "/a", jobs) == spec_key(now)
    whole = spec(stop="stop signs")
    assert campaign_in(whole, None, "/a", jobs) == campaign_key(None, "/a")


@pytest.mark.parametrize("words", ["stop signs at night", None])
def test_a_campaign_that_may_be_another_is_refused(words: str | None) -> None:
    """One of the same dest has a label of the same name with other words, or does not say which: the error names it."""
    begun = spec("signs", stop="stop signs")
    key = str(spec_key(begun))
    jobs = [{**row, "description": words and f"Photos of {words}"} for row in orders_of(key, begun)]
    now = spec("signs", stop="stop signs", merge="merging lanes")
    with pytest.raises(InvalidArgumentError) as refused:
        campaign_in(now, None, "/a", jobs)
    assert refused.value.field == "name"
    assert refused.value.message == (
        "nothing was ordered: your account already has a campaign with dest 'signs' and the label 'stop', but with a "
        f"different description, price, or other field; to continue it, add name: {key} to the file "
        "(in Python: name=); to start a new one, add a name of your own, such as name: signs-2"
    )
    assert campaign_in(now, key, "/a", jobs) == key


def test_of_two_campaigns_with_the_words_of_a_label_none_is_taken() -> None:
    """The error names both; one that has all words is the one."""
    cats, dogs = (spec("signs", stop="stop signs", more=words) for words in ("cats", "dogs"))
    jobs = [job for campaign in (cats, dogs) for job in orders_of(str(spec_key(campaign)), campaign)]
    with pytest.raises(
        InvalidArgumentError,
        match="2 campaigns with dest 'signs' and the label 'stop', and with the same description; to continue one, add",
    ) as refused:
        campaign_in(spec("signs", stop="stop signs"), None, "/a", jobs)
    assert " or ".join(sorted(map(str, map(spec_key, (cats, dogs))))) in refused.value.message
    assert campaign_in(cats, None, "/a", jobs) == spec_key(cats)


def test_the_key_of_an_order_is_the_same_on_every_machine() -> None:
    """The first of the label's keys that no order has: behind orders of other keys, gaps, and those given up."""
    first, second, third = (order_key("fh-1", "stop", n) for n in range(3))
    ledger = CampaignLedger("fh-1", (order(1),))
    assert ledger.next_key("stop") == first
    assert ledger.next_key("yield") == order_key("fh-1", "yield", 0)
    orders = tuple(order().with_(key=key) for key in (first, third))
    assert CampaignLedger("fh-1", orders[:1]).next_key("stop") == second
    assert CampaignLedger("fh-1", orders).next_key("stop") == second
    given_up = order().with_(key=second, forgotten=True)
    assert CampaignLedger("fh-1", orders, (given_up,)).next_key("stop") == order_key("fh-1", "stop", 3)


def test_a_refused_order_leaves_its_key_to_the_next_one() -> None:
    """It costs until a later search has not found it, and is no order of the plan meanwhile."""
    refused = order().with_(request={**REQUEST, "metadata": {"firsthandapi_key": key(1)}}, refused_at=100.0)
    ledger = CampaignLedger("fh-1", (refused, order(2, row=job(2))))
    assert ledger.next_key("stop") == key(1)
    assert ledger.next_key("yield") == order_key("fh-1", "yield", 0)
    assert (refused.is_refused, refused.is_lost, order().is_lost) == (True, False, True)
    assert ledger.spent_cents == 1_000
    assert ledger.without_found(Walk(159.0)) == ledger
    later = ledger.without_found(Walk(160.0))
    assert (later.spent_cents, later.next_key("stop")) == (500, key(1))
    assert later.with_jobs([job(1)]).spent_cents == 1_000


def test_a_job_that_another_machine_ordered_counts_as_it_is() -> None:
    """With its own number of files, price, and words; one that shows none of that counts as it was ordered."""
    row = job(files_needed=4, price_per_file_cents=20)
    bought = order().bought(row)
    assert (bought.files, bought.price_cents, bought.spent_cents, bought.held(unique=True)) == (4, 20, 80, 4)
    assert CampaignLedger("fh-1", (order(),)).with_jobs([row]).orders == (bought,)
    assert order().bought({"id": "job_1", "status": "open"}).spent_cents == 500
    assert order().bought(job(files_needed=0)).spent_cents == 500


def test_no_job_is_of_two_orders() -> None:
    """A service that hands out another's job, and the list then shows it with this one's key."""
    ledger = CampaignLedger("fh-1", (order(1, row=job(9)), order(2)))
    assert ledger.with_jobs([{**job(2), "id": "job_9"}]).orders[1].job is None
    assert ledger.job_ids == {"job_9"}


def test_jobs_of_one_key_are_twins_until_all_are_closed() -> None:
    """The older one comes first; an order without a job has none."""
    first, second = ({**job(1), "id": f"job_{n}", "created_at": f"2026-11-0{n}T00:00:00Z"} for n in (1, 2))
    orders = (order(1, row=second), order(1, row=first), order(2))
    assert CampaignLedger("fh-1", orders).twins == [(first, second)]
    assert CampaignLedger("fh-1", tuple(entry.with_(closed=True) for entry in orders)).twins == []
    assert CampaignLedger("fh-1", orders[1:]).twins == []


def test_an_order_that_is_given_up_leaves_its_key() -> None:
    """It costs nothing, and no other order gets its key."""
    ledger = CampaignLedger("fh-1", (order(1, row=job(1), **OF_CAMPAIGN), order(2, **OF_CAMPAIGN)))
    given_up = ledger.orders[1].with_(forgotten=True)
    assert given_up.spent_cents == 0
    copy = read_again(ledger.with_order(1, given_up))
    assert (copy.orders, copy.forgotten) == (ledger.orders[:1], (given_up,))
    assert copy.keys == {key(1): 0, key(2): -1}


def test_files_that_are_no_files_of_their_own_never_count() -> None:
    """Whether or not the same bytes count once."""
    brought = order(1, row=job(1, "completed", 5), **OF_CAMPAIGN).with_(repeated=2, duplicates=1)
    ledger = CampaignLedger("fh-1", (brought,))
    assert [ledger.orders[0].counted(unique=unique) for unique in (True, False)] == [2, 3]
    assert read_again(ledger).orders[0].repeated == 2
    assert ledger.orders[0].seen(job(1, "completed", 1)).repeated == 1
