"""What a campaign orders next, searched without a socket."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.campaigns.campaign import Spec, check_spec
from firsthandapi._core.campaigns.ledger import CampaignLedger, CampaignOrder
from firsthandapi._core.campaigns.plan import (
    PlannedOrder,
    in_vain,
    make_plan,
    next_orders,
    outdated,
    request_of,
    to_send,
)
from firsthandapi._core.orders.record import OrderRecord
from firsthandapi.errors import SpendLimitError

PRICE = 50


def spec(budget_cents: int = 10_000, unique: bool = True, price: int = PRICE, **counts: int) -> Spec:
    """A campaign that wants so many files of each label."""
    defaults = {
        "description": "Photos of street signs in daylight",
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": price,
    }
    return check_spec(
        budget_cents, defaults, {label: {"files_needed": n} for label, n in counts.items()}, unique
    )


def bought(
    of: Spec, label: str, files: int, status: str | None = "open", approved: int = 0, duplicates: int = 0
) -> CampaignOrder:
    """An order of a label, and what became of it, its list read; with status None its response was lost."""
    request = {**next(iter(of.jobs.values())), "files_needed": files}
    order = CampaignOrder(OrderRecord("order", f"key-{label}-{files}", request, 1.0, label=label))
    if status is None:
        return order
    seen = order.seen({"id": "job_1", "status": status, "files_approved": approved})
    return seen.with_(duplicates=duplicates, closed=seen.is_over)


def next_order(of: Spec, ledger: CampaignLedger) -> PlannedOrder | None:
    """The first of the next orders."""
    return next(iter(next_orders(of, ledger)), None)


def planned(of: Spec, *orders: CampaignOrder) -> list[tuple[str, int, int]]:
    plan = make_plan(of, CampaignLedger("fh-1", orders))
    return [(order.label, order.files, order.cost_cents) for order in plan.orders]


def test_at_first_everything_is_ordered() -> None:
    """An order for each label, at its price."""
    of = spec(stop=3, give_way=2)
    plan = make_plan(of, CampaignLedger("fh-1"))
    assert plan.orders == (PlannedOrder("stop", 3, 150), PlannedOrder("give_way", 2, 100))
    assert (plan.cost_cents, plan.spent_cents, plan.budget_cents, plan.left_cents) == (250, 0, 10_000, 10_000)
    assert plan.fits
    assert request_of(of, PlannedOrder("stop", 1, 50)) == {**of.jobs["stop"], "files_needed": 1}


def test_what_is_there_or_coming_is_not_ordered_again() -> None:
    """Jobs that are known."""
    of = spec(stop=10)
    assert planned(of, bought(of, "stop", 10)) == []
    assert planned(of, bought(of, "stop", 10, "completed", 10)) == []


def test_an_order_without_a_response_is_planned_as_it_was_sent() -> None:
    """It may still be posted, so the plan lists it and its cost once; it is not spent and not on its way."""
    of = spec(stop=10)
    lost = bought(of, "stop", 10, None)
    for count, price, changed in ((10, PRICE, ()), (3, 10, ("price_per_file_cents",))):
        now = spec(stop=count, price=price)
        plan = make_plan(now, CampaignLedger("fh-1", (lost,)))
        assert plan.orders == (PlannedOrder("stop", 10, 500, changed, unconfirmed=True),)
        assert (plan.spent_cents, plan.cost_cents, plan.labels[0].coming) == (0, 500, 0)
        assert to_send(now, CampaignLedger("fh-1", (lost,))) == {"key-stop-10"}
        assert next_order(now, CampaignLedger("fh-1", (lost,))) is None
    assert planned(spec(stop=15), lost) == [("stop", 10, 500), ("stop", 5, 250)]
    assert next_order(spec(stop=15), CampaignLedger("fh-1", (lost,))) == PlannedOrder("stop", 5, 250)
    text = str(make_plan(spec(stop=15, price=10), CampaignLedger("fh-1", (lost,))))
    row = ["stop", "15", "0", "0", "15", "$0.50,", "$0.10", "$5.50", "price_per_file_cents"]
    assert text.splitlines()[1].split() == row
    assert text.endswith("; had no response, and is sent again as it was: stop (10 files)")


def test_a_refused_order_is_planned_anew() -> None:
    """In the words and for the number of files that are wanted now: its key buys one of them. Its cost counts once."""
    of = spec(stop=10, price=100)
    refused = bought(spec(stop=10), "stop", 10, None).with_(refused_at=1.0)
    plan = make_plan(of, CampaignLedger("fh-1", (refused,)))
    assert plan.orders == (PlannedOrder("stop", 10, 1_000, ("price_per_file_cents",)),)
    assert (plan.spent_cents, plan.cost_cents) == (0, 1_000)
    gone = make_plan(spec(give_way=1), CampaignLedger("fh-1", (refused,)))
    assert (gone.spent_cents, gone.cost_cents) == (
        500,
        50,
    )  # nobody sends it again, and it may have been posted
    assert next_order(spec(1_000, price=100, stop=10), CampaignLedger("fh-1", (refused,))) is not None
    exact = spec(500, stop=10)
    assert next_order(exact, CampaignLedger("fh-1", (refused,))) == PlannedOrder("stop", 10, 500)


def test_no_other_order_takes_what_a_refused_one_may_have_spent() -> None:
    """Its key may have bought all that it was sent for, however little of it is planned now."""
    of = spec(300, stop=5, give_way=1)
    was = bought(of, "stop", 5, "cancelled", 1)
    refused = bought(of, "stop", 4, None).with_(refused_at=1.0)
    ledger = CampaignLedger("fh-1", (was, refused))
    assert [order.label for order in next_orders(of, ledger)] == ["stop", "give_way"]
    with pytest.raises(SpendLimitError):
        next_orders(replace(of, budget_cents=299), ledger)
    # Fewer replacements are wanted by now, or fit: the rest stays spent.
    fewer = make_plan(spec(300, stop=3), ledger)
    assert (fewer.spent_cents, fewer.cost_cents, fewer.left_cents) == (150, 100, 150)
    assert next_orders(spec(149, stop=5), ledger) == [PlannedOrder("stop", 1, 50)]


def test_an_order_that_was_sent_for_more_before_keeps_its_price_in_the_plan() -> None:
    """The rest of what its key may have bought stays spent."""
    of = spec(stop=3)
    plan = make_plan(of, CampaignLedger("fh-1", (bought(of, "stop", 3, None).with_(before_cents=200),)))
    assert plan.orders == (PlannedOrder("stop", 3, 150, unconfirmed=True),)
    assert (plan.spent_cents, plan.cost_cents) == (50, 150)


def test_an_order_without_a_response_that_nobody_wants_is_not_sent() -> None:
    """Its label is gone, or has its files; it may have been posted, so it costs."""
    of = spec(stop=10)
    lost = bought(of, "stop", 10, None)
    gone = make_plan(spec(give_way=1), CampaignLedger("fh-1", (lost,)))
    assert [(order.label, order.files) for order in gone.orders] == [("give_way", 1)]
    assert (gone.spent_cents, gone.cost_cents) == (500, 50)
    assert to_send(spec(give_way=1), CampaignLedger("fh-1", (lost,))) == frozenset()
    complete = CampaignLedger("fh-1", (bought(of, "stop", 4, "completed", 4), lost))
    assert make_plan(spec(stop=4), complete).orders == ()
    assert to_send(spec(stop=4), complete) == frozenset()
    assert make_plan(spec(stop=4), complete).spent_cents == 700
    with pytest.raises(SpendLimitError, match=r"nothing was ordered: stop .10 files., stop .5 files."):
        next_order(spec(700, stop=15), CampaignLedger("fh-1", (lost,)))


def test_a_plan_that_no_longer_holds_says_what_changed() -> None:
    """Orders, what was spent, or the budget; files that came since change nothing."""
    of = spec(1_000, stop=10, give_way=1)
    plan = make_plan(of, CampaignLedger("fh-1", (bought(of, "stop", 4, "open"),)))
    assert outdated(plan, make_plan(of, CampaignLedger("fh-1", (bought(of, "stop", 4, "open", 3),)))) is None
    since = CampaignLedger("fh-1", (bought(of, "stop", 4, "cancelled"), bought(of, "give_way", 1)))
    text = str(outdated(plan, make_plan(of, since)))
    assert "spent was $2.00, and is $0.50; " in text
    assert "stop was to order 6 files for $3.00, and is to order 10 files for $5.00; " in text
    assert "give_way was to order 1 file for $0.50, and is to order nothing" in text
    richer = make_plan(
        spec(2_000, stop=10, give_way=1), CampaignLedger("fh-1", (bought(of, "stop", 4, "open"),))
    )
    assert "budget_cents was $10.00, and is $20.00" in str(outdated(plan, richer))


def test_lowered_or_removed_nothing_is_ordered() -> None:
    """And what was ordered still shows."""
    of = spec(stop=5)
    orders = (bought(of, "stop", 10), bought(of, "old", 4, "completed", 4))
    assert planned(of, *orders) == []
    plan = make_plan(of, CampaignLedger("fh-1", orders))
    assert [(label.label, label.wanted, label.approved, label.coming) for label in plan.labels] == [
        ("stop", 5, 0, 10),
        ("old", 0, 4, 0),
    ]
    assert plan.spent_cents == 700


def test_replacements_are_ordered_as_far_as_the_budget_goes() -> None:
    """After all files that were never ordered."""
    of = spec(1_000, stop=10, give_way=4)
    ledger = CampaignLedger("fh-1", (bought(of, "stop", 10, "completed", 10, duplicates=10),))
    assert next_order(of, ledger) == PlannedOrder("give_way", 4, 200)
    ledger = ledger.with_order(1, bought(of, "give_way", 4))
    assert next_order(of, ledger) == PlannedOrder("stop", 6, 300)
    assert next_order(of, ledger.with_order(2, bought(of, "stop", 6))) is None


@pytest.mark.parametrize("budget_cents", [10_000, 700])
def test_a_finished_job_is_replaced_once_its_list_was_read(budget_cents: int) -> None:
    """Other labels do not wait for that, unless the replacement could take what theirs would cost."""
    of = spec(budget_cents, stop=10, give_way=4)
    unread = bought(of, "stop", 10, "completed", 1).with_(closed=False)
    ledger = CampaignLedger("fh-1", (unread,))
    assert next_orders(of, ledger) == [PlannedOrder("give_way", 4, 200)]
    ledger = ledger.with_order(1, bought(of, "give_way", 4, "completed", 3))
    assert next_orders(of, ledger) == ([PlannedOrder("give_way", 1, 50)] if budget_cents == 10_000 else [])
    ledger = ledger.with_order(1, bought(of, "give_way", 4))
    assert next_orders(of, ledger) == []
    ledger = ledger.with_order(0, unread.with_(approved=9, closed=True))
    assert next_orders(of, ledger) == ([PlannedOrder("stop", 1, 50)] if budget_cents == 10_000 else [])


def test_new_files_come_before_replacements_of_the_same_label() -> None:
    """Where the budget has room for the new ones alone."""
    of = spec(750, stop=15)
    ledger = CampaignLedger("fh-1", (bought(of, "stop", 10, "completed", 10, duplicates=2),))
    assert next_order(of, ledger) == PlannedOrder("stop", 5, 250)


def test_a_label_is_not_ordered_in_vain_for_ever() -> None:
    """After three orders that brought nothing, until its words change."""
    of = spec(stop=2)
    nothing = [bought(of, "stop", 2, "cancelled", 0) for _ in range(3)]
    assert planned(of, *nothing[:2]) == [("stop", 2, 100)]
    assert planned(of, *nothing) == []
    assert planned(of, bought(of, "stop", 2, "cancelled", 1), *nothing[:2]) == [("stop", 1, 50)]
    assert planned(spec(stop=2, price=60), *nothing) == [("stop", 2, 120)]
    plan = make_plan(of, CampaignLedger("fh-1", tuple(nothing)))
    assert in_vain(plan) is not None
    assert "stop has 0 of 2 files" in str(in_vain(plan))
    assert f"spent; nothing to order; {in_vain(plan)}" in str(plan)
    assert in_vain(make_plan(of, CampaignLedger("fh-1"))) is None
    enough = (bought(of, "stop", 2, "completed", 2), *nothing)
    assert in_vain(make_plan(of, CampaignLedger("fh-1", enough))) is None
    assert planned(spec(stop=8), *[bought(of, "stop", 2)] * 3) == [
        ("stop", 2, 100)
    ]  # these may bring some still


def test_printed_a_plan_is_a_table() -> None:
    """Labels of any script in line; what the plan does to the budget below."""
    of = spec(10_000, stop=300, 停止=20)
    plan = make_plan(of, CampaignLedger("fh-1", (bought(of, "stop", 100, "in_progress", 20),)))
    assert str(plan) == (
        "label  wanted  approved  coming  to order  price     cost\n"
        "stop      300        20      80       200  $0.50  $100.00\n"
        "停止       20         0       0        20  $0.50   $10.00\n"
        "total     320        20      80       220         $110.00\n"
        "$50.00 of $100.00 spent; the plan is $60.00 over the budget"
    )
    assert repr(plan) == "<CampaignPlan [2 orders, 220 files, $110.00 of $50.00 left]>"
    assert str(make_plan(spec(20_000, stop=300), CampaignLedger("fh-1"))).endswith(
        "$0.00 of $200.00 spent; $150.00 after this plan"
    )
    done = str(make_plan(of, CampaignLedger("fh-1", (bought(of, "stop", 300), bought(of, "停止", 20)))))
    assert done.endswith("; nothing to order")
    assert done.splitlines()[1].split() == ["stop", "300", "0", "300", "0", "$0.00"]
    texts: list[str] = []
    plan._repr_pretty_(type("Printer", (), {"text": staticmethod(texts.append)}), False)
    assert texts == [str(plan)]


def test_an_excluded_file_is_replaced_and_a_relabeled_one_counts_for_its_new_label() -> None:
    """Unless the campaign says otherwise; as far as the budget goes, and however often the buyer says no."""
    of = spec(300, stop=3, give_way=2)
    no = replace(bought(of, "stop", 3, "completed", 3), excluded=("dark", None), moved={"give_way": 1})
    orders = (no, bought(of, "give_way", 2, "completed", 1))
    plan = make_plan(of, CampaignLedger("fh-1", orders))
    assert planned(of, *orders) == [("stop", 3, 150)]
    assert [(label.approved, label.excluded, label.reasons) for label in plan.labels] == [
        (0, 2, ("dark",)),
        (2, 0, ()),
    ]
    first, stop, *_, summary = str(plan).splitlines()
    assert first.split()[:4] == ["label", "wanted", "approved", "excluded"]
    assert stop.split()[:4] == ["stop", "3", "0", "2"]
    assert summary.endswith("; excluded: stop (dark)")
    order = next_order(of, CampaignLedger("fh-1", orders))
    assert order is not None
    assert (order.files, order.cost_cents) == (1, 50)  # 250 of 300 are spent
    as_they_are = replace(of, replace_excluded=False)
    assert planned(as_they_are, *orders) == [("stop", 1, 50)]  # it went to the other label
    assert not make_plan(of, CampaignLedger("fh-1", (no, no, no))).labels[0].in_vain


def test_a_plan_shows_what_changed_since_the_last_order_of_a_label() -> None:
    """Words, price, and bar, by the names of their fields; formats in another order and a default are no change."""
    of = spec(stop=3)
    new = {"description": "Photos of signs at night", "min_star_rating": 4, "deadline": "2030-01-01"}
    defaults = {**of.jobs["stop"], **new, "price_per_file_cents": 60, "title": None}
    now = check_spec(9_000, defaults, {"stop": {"files_needed": 5}, "halt": {}}, True)
    plan = make_plan(now, CampaignLedger("fh-1", (bought(of, "stop", 3),)))
    assert [(order.label, order.price_per_file_cents, order.changed) for order in plan.orders] == [
        ("stop", 60, ("description", "min_star_rating", "price_per_file_cents", "deadline")),
        ("halt", 60, ()),
    ]
    first, stop, *_, total, _ = str(plan).splitlines()
    assert first.endswith("  cost  changed")
    assert stop.endswith("$0.60  $1.20  description, min_star_rating, price_per_file_cents, deadline")
    assert total.endswith("$3.00")
    same = check_spec(9_000, {**of.jobs["stop"], "min_star_rating": 3}, {"stop": {"files_needed": 5}}, True)
    assert make_plan(same, CampaignLedger("fh-1", (bought(of, "stop", 3),))).orders[0].changed == ()


OUTCOMES = st.tuples(
    st.sampled_from(["open", "completed", "cancelled", "refused", None]), st.integers(0, 6), st.integers(0, 3)
)


@given(
    budget=st.integers(1, 2_000),
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    outcomes=st.lists(OUTCOMES, max_size=40),
)
def test_orders_never_cost_more_than_the_budget_and_come_to_an_end(
    budget: int, counts: list[int], outcomes: list[tuple[str | None, int, int]]
) -> None:
    """Whatever becomes of each order: cancelled, completed with duplicates, refused, or its response lost."""
    of = spec(budget, **{f"label{n}": count for n, count in enumerate(counts)})
    ledger = CampaignLedger("fh-1")
    rest = iter(outcomes)
    for _ in range(200):
        try:
            order = next_order(of, ledger)
        except SpendLimitError:
            assert sum(counts) * PRICE > budget
            return
        if order is None:
            return
        status, approved, duplicates = next(rest, ("completed", order.files, 0))
        approved = order.files if status == "completed" else min(approved, order.files)
        key = ledger.next_key(order.label)
        sent_as = None if status == "refused" else status
        purchase = bought(of, order.label, order.files, sent_as, approved, min(duplicates, approved)).with_(
            key=key
        )
        purchase = purchase.with_(refused_at=1.0) if status == "refused" else purchase
        ledger = ledger.with_order(ledger.keys.get(key, len(ledger.orders)), purchase)
        assert len(ledger.keys) == len(ledger.orders)
        assert ledger.spent_cents <= budget
    raise AssertionError("it never ends")
