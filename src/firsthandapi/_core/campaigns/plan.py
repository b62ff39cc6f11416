"""Decides what a campaign orders next, from its spec and its ledger alone.

An order that was written down and never confirmed is part of the plan as it was written, as long as its label is in the
spec and lacks files: `run` sends it again. One whose label is gone is not sent, and costs until its job is found or it
is given up.

Three rules hold it together. Orders never cost more than the budget has left. Files that were never ordered are
ordered for all labels or for none, so that a budget that is too small is found out before anything is spent;
replacements of what was cancelled or came twice are ordered as far as the budget goes. And a label whose last three
orders brought nothing is not ordered again until its words change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any
from unicodedata import combining, east_asian_width

from firsthandapi._base.counts import count_of, dollars
from firsthandapi._base.display import Displayed
from firsthandapi._base.visible import visible
from firsthandapi._core.orders.record import differing
from firsthandapi._core.orders.refusals import forgetting
from firsthandapi.errors import InvalidArgumentError, SpendLimitError

from .campaign import Spec, kinds_in
from .ledger import CampaignLedger, CampaignOrder

# Orders in a row that brought nothing.
_MOST_IN_VAIN = 3


@dataclass(frozen=True)
class PlannedOrder:
    """Files that `campaigns.run` would order.

    Attributes:
        label: the label they are for.
        files: how many.
        cost_cents: what they cost, in US cents.
        changed: the fields of the job that differ from the last order of the label, such as `description`; empty for
            the first.
        unconfirmed: whether it was sent before, and had no response: it is sent again as it was, with its key.
            `changed` then names the fields in which the campaign differs from it by now.
    """

    label: str
    files: int
    cost_cents: int
    changed: tuple[str, ...] = ()
    unconfirmed: bool = False

    @property
    def price_per_file_cents(self) -> int:
        """The price of one file, in US cents."""
        return self.cost_cents // self.files


@dataclass(frozen=True)
class LabelPlan:
    """The state of a label.

    Attributes:
        label: the label.
        wanted: how many files the campaign asks for; 0 for a label that was taken out.
        approved: how many it has that count.
        coming: how many more its unfinished jobs may bring.
        missing: how many are neither approved nor coming.
        spent_cents: what its orders cost so far, less refunds, in US cents.
        in_vain: whether its last three orders brought nothing: it is not ordered again until its words change.
        refundable_cents: what its unfinished jobs have not spent: `campaigns.cancel` refunds it, in US cents.
        excluded: how many of its files `Dataset.exclude` has excluded: they do not count.
        reasons: why, each reason once.
    """

    label: str
    wanted: int
    approved: int
    coming: int
    missing: int
    spent_cents: int
    in_vain: bool = False
    refundable_cents: int = 0
    excluded: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class CampaignPlan(Displayed):
    """What `campaigns.run` would order now. Printed, it is a table.

    Attributes:
        orders: the orders; empty if the campaign has or awaits all of its files.
        labels: how far each label is.
        spent_cents: what all orders cost so far, less refunds, in US cents.
        budget_cents: what they may cost, in US cents.
        campaign: the campaign: `campaigns.run` takes the plan in its place, and refuses it if it no longer holds.
    """

    orders: tuple[PlannedOrder, ...]
    labels: tuple[LabelPlan, ...]
    spent_cents: int
    budget_cents: int
    campaign: Any = field(default=None, repr=False, compare=False)

    @property
    def cost_cents(self) -> int:
        """What the orders cost together, in US cents."""
        return sum(order.cost_cents for order in self.orders)

    @property
    def left_cents(self) -> int:
        """What the budget has left before these orders, in US cents."""
        return max(self.budget_cents - self.spent_cents, 0)

    @property
    def fits(self) -> bool:
        """Whether the budget has room for all of the orders."""
        return self.cost_cents <= self.left_cents

    def __repr__(self) -> str:
        orders = count_of(len(self.orders), "order")
        files = count_of(sum(order.files for order in self.orders))
        return f"<CampaignPlan [{orders}, {files}, {dollars(self.cost_cents)} of {dollars(self.left_cents)} left]>"

    def __str__(self) -> str:
        return text_of(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 # IPython calls it with both
        """The plain text that IPython shows."""
        printer.text(str(self))


class Planner:
    """Makes the plans of a campaign. The state of a label is computed again only once its orders have changed."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._known: dict[str, tuple[tuple[CampaignOrder, ...], int, LabelPlan]] = {}

    def labels(self, ledger: CampaignLedger) -> list[LabelPlan]:
        """How far each label is."""
        return [self._label(label, ledger) for label in dict.fromkeys((*self.spec.jobs, *ledger.by_label))]

    def plan(self, ledger: CampaignLedger) -> CampaignPlan:
        """The plan of a campaign."""
        spec, labels = self.spec, self.labels(ledger)
        orders: list[PlannedOrder] = []
        spent = ledger.spent_cents
        for state in labels:
            lost = _to_send(state, ledger.of(state.label))
            orders += [
                PlannedOrder(
                    order.label,
                    order.files,
                    order.record.asked_cents,
                    _changed(order.request, spec.jobs[order.label]),
                    unconfirmed=True,
                )
                for order in lost
            ]
            spent -= sum(order.record.asked_cents for order in lost)
            missing = state.missing - sum(order.files for order in lost)
            if missing > 0 and not state.in_vain:
                orders.append(_planned(spec, state.label, missing, ledger.of(state.label)))
                spent -= _held(ledger, orders[-1])
        return CampaignPlan(tuple(orders), tuple(labels), spent, spec.budget_cents)

    def _label(self, label: str, ledger: CampaignLedger) -> LabelPlan:
        orders, moved = ledger.of(label), ledger.moved.get(label, 0)
        old_orders, old_moved, plan = self._known.get(label, ((), -1, None))
        is_same = len(orders) == len(old_orders) and all(map(is_, orders, old_orders))
        if plan is None or not is_same or moved != old_moved:
            plan = _label(label, self.spec, orders, moved)
            self._known[label] = orders, moved, plan
        return plan


def make_plan(spec: Spec, ledger: CampaignLedger) -> CampaignPlan:
    """The plan of a campaign."""
    return Planner(spec).plan(ledger)


def to_send(spec: Spec, ledger: CampaignLedger) -> frozenset[str]:
    """The keys of the unconfirmed orders that are sent again."""
    labels = (state for state in Planner(spec).labels(ledger) if state.label in spec.jobs)
    return frozenset(order.key for state in labels for order in _to_send(state, ledger.of(state.label)))


def _to_send(label: LabelPlan, orders: Iterable[CampaignOrder]) -> list[CampaignOrder]:
    """The unconfirmed orders of a label that it still needs."""
    lost: list[CampaignOrder] = []
    for order in orders:
        if order.is_lost and sum(lost_order.files for lost_order in lost) < label.missing:
            lost.append(order)
    return lost


def next_orders(spec: Spec, ledger: CampaignLedger) -> list[PlannedOrder]:
    """The next orders; none if nothing more is needed or fits into the budget. Once they are made, ask again.
    Raises SpendLimitError: files that were never ordered do not fit into the budget. Nothing may be ordered.
    """
    plan = make_plan(spec, ledger)
    orders = [order for order in plan.orders if not order.unconfirmed]
    # If a job has finished, only its list shows for sure how many of its files to replace.
    unread = {order.label for order in ledger.orders if order.is_over and not order.closed}
    ready = [order for order in orders if order.label not in unread]
    if plan.fits:
        return ready
    held = {order.label: _held(ledger, order) for order in orders}
    unconfirmed_cents = sum(order.cost_cents for order in plan.orders if order.unconfirmed)
    left_cents = plan.budget_cents - plan.spent_cents - unconfirmed_cents - sum(held.values())
    new = {order.label: _never_ordered(spec, ledger, order) for order in orders}
    new_cents = sum(max(files * _price(spec, label) - held[label], 0) for label, files in new.items())
    if any(new.values()) and new_cents > left_cents:
        raise over_budget(plan)
    if any(new.values()):
        return [_of_files(order, new[order.label]) for order in ready if new[order.label]]
    if unread:
        return []  # their replacements could take what these have room for
    replacements: list[PlannedOrder] = []
    for order in orders:
        room = max(left_cents + held[order.label], 0)
        if files := min(order.files, room // order.price_per_file_cents):
            replacements.append(_of_files(order, files))
            left_cents -= max(replacements[-1].cost_cents - held[order.label], 0)
    return replacements


def _held(ledger: CampaignLedger, order: PlannedOrder) -> int:
    """How much of the cost of a planned order is spent already: what was refused may have been bought, and this one has
    its key. What is beyond stays spent."""
    refused = next((entry for entry in ledger.of(order.label) if entry.is_refused), None)
    return 0 if refused is None else min(refused.spent_cents, order.cost_cents)


def _of_files(order: PlannedOrder, files: int) -> PlannedOrder:
    return replace(order, files=files, cost_cents=files * order.price_per_file_cents)


def request_of(spec: Spec, order: PlannedOrder) -> dict[str, Any]:
    """The body of the POST for an order, without what the ledger adds to its metadata."""
    return {**spec.jobs[order.label], "files_needed": order.files}


def check_unconfirmed(spec: Spec, ledger: CampaignLedger, max_spend_cents: int | None) -> None:
    """Refuse to send an order again that may never have arrived, if it costs more than is allowed by now.
    Raises SpendLimitError: there is such an order. Nothing may be ordered.
    """
    keys = to_send(spec, ledger)
    for order in ledger.orders:
        cost = order.files * order.price_cents
        if order.key not in keys:
            continue
        if ledger.spent_cents > spec.budget_cents:
            raise _unconfirmed(order, "budget_cents", ledger.spent_cents, spec.budget_cents)
        if max_spend_cents is not None and cost > max_spend_cents:
            raise _unconfirmed(order, "max_spend_cents", cost, max_spend_cents)


def _unconfirmed(order: CampaignOrder, name: str, cost_cents: int, limit_cents: int) -> SpendLimitError:
    return SpendLimitError(
        f"nothing was ordered: an order of {count_of(order.files)} for {order.label}, idempotency key {order.key}, "
        f"had no response, and with it {dollars(cost_cents)} would be spent, but {name} is {dollars(limit_cents)}: "
        f"increase {name}; or, if no job in your account has that key, {forgetting('BOOK', order.key)}",
        cost_cents=cost_cents,
        limit_cents=limit_cents,
    )


def check_kinds(spec: Spec, ledger: CampaignLedger) -> str | None:
    """What is wrong if the media of the spec are not those that the campaign has ordered; None if they are."""
    ordered = {order.label: order.request for order in ledger.orders}
    requests = {label: request for label, request in ordered.items() if request.get("accepted_formats")}
    if not requests:
        return None
    had = set(kinds_in(requests).values())
    wants = set(kinds_in(spec.jobs).values())
    if wants <= had:
        return None
    (old, *_), (new, *_) = (sorted(" and ".join(sorted(group)) for group in kinds) for kinds in (had, wants))
    return f"the campaign in dest has ordered {old} files, and accepted_formats now has {new}"


def outdated(old_plan: CampaignPlan, new_plan: CampaignPlan) -> InvalidArgumentError | None:
    """The error for a plan that no longer holds; None if it does."""
    changes = [
        f"{name} was {dollars(old_cents)}, and is {dollars(new_cents)}"
        for name, old_cents, new_cents in (
            ("budget_cents", old_plan.budget_cents, new_plan.budget_cents),
            ("spent", old_plan.spent_cents, new_plan.spent_cents),
        )
        if old_cents != new_cents
    ]
    labels = dict.fromkeys([order.label for order in (*old_plan.orders, *new_plan.orders)])
    for label in labels:
        old_order, new_order = (
            " and ".join(
                f"{count_of(order.files)} for {dollars(order.cost_cents)}"
                for order in plan.orders
                if order.label == label
            )
            or "nothing"
            for plan in (old_plan, new_plan)
        )
        if old_order != new_order:
            changes.append(f"{label} was to order {old_order}, and is to order {new_order}")
    if not changes:
        return None
    return InvalidArgumentError(
        f"nothing was ordered: the campaign has changed since this plan: {'; '.join(changes)}; call campaigns.plan "
        "again",
        field="campaign",
    )


def over_budget(plan: CampaignPlan, *, begun: bool = False) -> SpendLimitError:
    """The error for orders that the budget has no room for."""
    orders = ", ".join(f"{order.label} ({count_of(order.files)})" for order in plan.orders)
    costs = f"{dollars(plan.cost_cents)} more, and budget_cents has {dollars(plan.left_cents)} left"
    outcome = "the campaign is incomplete" if begun else "nothing was ordered"
    return SpendLimitError(
        f"{outcome}: {orders} would cost {costs} of {dollars(plan.budget_cents)}; increase budget_cents, or request "
        "fewer or cheaper files",
        cost_cents=plan.spent_cents + plan.cost_cents,
        limit_cents=plan.budget_cents,
    )


def in_vain(plan: CampaignPlan) -> str | None:
    """What to say of labels that are not ordered again; None if there are none."""
    stuck = [
        f"{state.label} has {state.approved:,} of {count_of(state.wanted)}"
        for state in plan.labels
        if state.in_vain and state.missing
    ]
    if not stuck:
        return None
    return (
        f"{'; '.join(stuck)}, and its last {_MOST_IN_VAIN} orders brought no file that counts: change its description, "
        "price, or other fields, and run the campaign again"
    )


def _planned(spec: Spec, label: str, files: int, orders: Sequence[CampaignOrder]) -> PlannedOrder:
    changed = _changed(orders[-1].request, spec.jobs[label]) if orders else ()
    return PlannedOrder(label, files, files * _price(spec, label), changed)


def _changed(old_request: Mapping[str, Any], new_request: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields in which two orders of a label differ, however many files they are for."""
    names = differing(old_request, new_request)
    names += ["deadline"] if old_request.get("deadline") != new_request.get("deadline") else []
    return tuple(name for name in names if name != "files_needed")


def _label(label: str, spec: Spec, orders: Sequence[CampaignOrder], moved: int) -> LabelPlan:
    request = spec.jobs.get(label)
    files_needed = 0 if request is None else int(request["files_needed"])
    counted = sum(order.counted(unique=spec.unique) for order in orders) + moved
    held = sum(order.held(unique=spec.unique) for order in orders if order.job is not None) + moved
    excluded = [reason for order in orders for reason in order.excluded]
    last = orders[-_MOST_IN_VAIN:]
    return LabelPlan(
        label=label,
        wanted=files_needed,
        approved=counted,
        coming=max(held - counted, 0),
        missing=max(files_needed - held - (0 if spec.replace_excluded else len(excluded)), 0),
        spent_cents=sum(order.spent_cents for order in orders),
        refundable_cents=sum(order.refundable_cents for order in orders),
        in_vain=request is not None
        and len(last) == _MOST_IN_VAIN
        and all(
            order.is_over and not order.brought(unique=spec.unique) and order.has_words_of(request)
            for order in last
        ),
        excluded=len(excluded),
        reasons=tuple(dict.fromkeys(reason for reason in excluded if reason)),
    )


def _never_ordered(spec: Spec, ledger: CampaignLedger, order: PlannedOrder) -> int:
    """How many files of a planned order replace nothing."""
    ordered = sum(
        entry.files for entry in ledger.of(order.label) if not entry.is_refused and not entry.record.is_free
    )
    return min(max(int(spec.jobs[order.label]["files_needed"]) - ordered, 0), order.files)


def _price(spec: Spec, label: str) -> int:
    return int(spec.jobs[label]["price_per_file_cents"])


# ── The table ──────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = ("label", "wanted", "approved", "excluded", "coming", "to order", "price", "cost", "changed")
_TEXTS = ("label", "changed")


def columns_of(plan: CampaignPlan) -> tuple[str, ...]:
    """The columns of the table: what was excluded and what changed since the last order where there is any."""
    left_out = {
        *([] if any(state.excluded for state in plan.labels) else ["excluded"]),
        *([] if any(order.changed for order in plan.orders) else ["changed"]),
    }
    return tuple(name for name in _COLUMNS if name not in left_out)


def rows_of(plan: CampaignPlan) -> list[tuple[str, ...]]:
    """The rows of the table, a total last."""
    rows: list[dict[str, str]] = []
    for state in (*plan.labels, None):
        labels = plan.labels if state is None else [state]
        orders = [order for order in plan.orders if state is None or order.label == state.label]
        prices = dict.fromkeys(dollars(order.price_per_file_cents) for order in orders)
        changed = dict.fromkeys(name for order in orders for name in order.changed)
        rows.append(
            {
                "label": "total" if state is None else state.label,
                "wanted": f"{sum(label.wanted for label in labels):,}",
                "approved": f"{sum(label.approved for label in labels):,}",
                "excluded": f"{sum(label.excluded for label in labels):,}",
                "coming": f"{sum(label.coming for label in labels):,}",
                "to order": f"{sum(order.files for order in orders):,}",
                "price": "" if state is None else ", ".join(prices),
                "cost": dollars(sum(order.cost_cents for order in orders)),
                "changed": "" if state is None else ", ".join(changed),
            }
        )
    return [tuple(row[name] for name in columns_of(plan)) for row in rows]


def summary_of(plan: CampaignPlan) -> str:
    """The line below the table."""
    spent = f"{dollars(plan.spent_cents)} of {dollars(plan.budget_cents)} spent"
    if not plan.fits:
        over = f"the plan is {dollars(plan.cost_cents - plan.left_cents)} over the budget"
        return "; ".join([spent, over, *filter(None, [_excluded(plan)])])
    after = (
        f"{dollars(plan.spent_cents + plan.cost_cents)} after this plan"
        if plan.orders
        else "nothing to order"
    )
    # What is missing and not ordered needs its user's word.
    return "; ".join([spent, after, *filter(None, [_again(plan), _excluded(plan), in_vain(plan)])])


def _again(plan: CampaignPlan) -> str | None:
    orders = [f"{order.label} ({count_of(order.files)})" for order in plan.orders if order.unconfirmed]
    return f"had no response, and is sent again as it was: {', '.join(orders)}" if orders else None


def _excluded(plan: CampaignPlan) -> str | None:
    """What the buyer said of the files that are excluded."""
    notes = [f"{state.label} ({', '.join(state.reasons)})" for state in plan.labels if state.reasons]
    return visible(f"excluded: {', '.join(notes)}") if notes else None


def text_of(plan: CampaignPlan) -> str:
    """The plan as a table in plain text."""
    rows = [columns_of(plan), *rows_of(plan)]
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell + " " * (width - _cells(cell)) if name in _TEXTS else cell.rjust(width)
            for name, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, summary_of(plan)])


def _cells(text: str) -> int:
    """The columns of a terminal that `text` takes."""
    return sum(2 if east_asian_width(char) in "WF" else not combining(char) for char in text)
