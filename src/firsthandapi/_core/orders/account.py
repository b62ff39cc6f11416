"""Compares what the orders of books cost with what the account was charged, and names twins of one key.

A book is a folder of records. A transaction is a job's by its `job_id`, else by the job's id in its description;
a transaction of any other job is not looked at, since an account has many books.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from firsthandapi._base.counts import count_of, dollars
from firsthandapi._base.loose_json import members
from firsthandapi._core.calls.integers import int_or_none

from .journal import title_of
from .record import JOBS_PATH, OrderRecord, ShownJob, created_at, dump, has_made_key, key_of, may_carry
from .request_hash import text_in_metadata

if TYPE_CHECKING:
    from firsthandapi.types.billing import CreditTransaction
    from firsthandapi.types.job import Job

# What every job of a campaign has in its metadata: which campaign it is of.
CAMPAIGN_METADATA = "firsthandapi_campaign"

# What may be the id of a job, with what may follow an id.
_WORDS = (re.compile(r"[A-Za-z0-9_\-]+"), re.compile(r"[A-Za-z0-9_]+"))
# Credits that come and go without a job.
_NOT_OF_JOBS = ("purchase", "free_tier", "bonus", "expiration")
_ASK = "ask the service's support"


@dataclass(frozen=True)
class Order:
    """A record of a book: an order, another POST of a journal, or what agents set aside for a campaign.

    Attributes:
        book: the path or URL of the book.
        key: the idempotency key; None for a job that was only downloaded.
        method, path: the request, such as `POST` and `/v1/jobs`.
        label: the label of its files; None without labels.
        job_id: the job; None until the service has confirmed it.
        status: of the job as last seen. Without a job, `unconfirmed`, `suspected` (the service has named jobs that it
            does not show to be this order's), `refused`, `not_bought` (a later search has not found it), or
            `forgotten`; `allotment` for what agents set aside; None if only the job's id is known.
        files: how many files it orders.
        cost_cents: what counts against a budget, in US cents.
        sent_at: when it was first sent, by the clock of the machine that sent it.
        summary: the beginning of the request, for people.
        suspects: the ids that the service has named in place of its job.
    """

    book: str
    key: str | None
    method: str
    path: str
    label: str | None
    job_id: str | None
    status: str | None
    files: int
    cost_cents: int
    sent_at: datetime | None
    summary: str
    suspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrderCheck:
    """What orders cost, and what the account was charged; truthy if that is the same, and each job is one order's.

    Attributes:
        orders: the number of orders in the books.
        expected_cents: what they cost: of a cancelled job, only its approved files.
        charged_cents: what the account was charged for their jobs, and for other jobs with their keys, minus refunds.
        duplicates: jobs that carry the key of an order that has another job. Cancel them: what is unused is refunded.
        unexplained: charges of the orders' jobs beyond what these cost, such as a fee or a second charge, and charges
            of jobs that have keys of the books, but no order.
        uncharged: orders that were charged less than they cost: the ids of their jobs, or else their keys. A job of a
            sandbox key costs nothing.
        suspects: ids that the service has named in response to orders, and does not show to be their jobs.
    """

    orders: int
    expected_cents: int
    charged_cents: int
    duplicates: tuple[Job, ...] = ()
    unexplained: tuple[CreditTransaction, ...] = ()
    uncharged: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not (self.duplicates or self.unexplained or self.uncharged or self.suspects)

    def __str__(self) -> str:
        lines = [
            f"{count_of(self.orders, 'order')}: {dollars(self.expected_cents)} expected, "
            f"{dollars(self.charged_cents)} charged"
        ]
        for job in self.duplicates:
            lines.append(
                f"duplicate: {job.id} ({job.status}) carries the key of another job; {_to_stop(job)}"
            )
        for charge in self.unexplained:
            lines.append(
                f"unexplained: {dollars(cents_of(charge))} by {charge.id}: {charge.description or charge.type}; {_ASK}"
            )
        for name in self.uncharged:
            lines.append(
                f"not charged: the transactions of the account do not cover {name}: its job is not known or belongs to "
                f"another account, or the list is incomplete; look for the job in your account, or {_ASK}"
            )
        for job_id in self.suspects:
            lines.append(
                f"suspect: the service named {job_id} in response to an order, and does not show it as its job; run "
                "the order again, or give it up with firsthandapi orders forget BOOK KEY"
            )
        return "\n".join(lines)


def _to_stop(job: Job) -> str:
    return _ASK if job.is_terminal else f"cancel it with firsthandapi jobs cancel {job.id}"


def order_of(book: str, record: OrderRecord) -> Order:
    """A record as people see it."""
    sent_at = record.first_sent_at
    return Order(
        book=book,
        key=record.key,
        method=record.method,
        path=record.path,
        label=record.label,
        job_id=record.job_id,
        status=_status(record),
        files=record.files,
        cost_cents=_cost(record),
        sent_at=None if sent_at is None else datetime.fromtimestamp(sent_at, UTC),
        summary=title_of(members(record.request) or record.job or {}),
        suspects=record.suspects,
    )


def _status(record: OrderRecord) -> str | None:
    if record.kind == "allotment":
        return record.kind
    if record.job is not None:
        return record.job.get("status")
    if record.forgotten:
        return "forgotten"
    if record.suspects:
        return "suspected"
    if record.unbought:
        return "not_bought"
    return "unconfirmed" if record.refused_at is None else "refused"


def _cost(record: OrderRecord) -> int:
    """What it costs by its request, or, of a job that was only downloaded, by the job."""
    return record.cost_cents if record.job is None or record.files else _price_of(record.job) or 0


def earliest(records: Iterable[OrderRecord]) -> float | None:
    """The time, in Unix seconds, before which no job of the records was posted; None if one does not say."""
    times: list[float] = []
    for record in records:
        created = created_at(record.job or {})
        dates = [time for time in (record.first_sent_at, record.server_sent_at, created) if time]
        if not dates:
            return None
        times += dates
    return min(times, default=None)


# ── The comparison ─────────────────────────────────────────────────────────────────────────────────────


@dataclass
class _Bought:
    """One order, however many books have a record of it.

    Attributes:
        record: the record that knows most.
        job_ids: its jobs in the records: one, unless books differ.
        suspects: what else the service has named in response to it.
    """

    record: OrderRecord
    job_ids: list[str] = field(default_factory=list[str])
    suspects: list[str] = field(default_factory=list[str])


def check_account(
    records: Iterable[OrderRecord], jobs: Sequence[Job], transactions: Iterable[CreditTransaction]
) -> OrderCheck:
    """Compare the records of books with the account.
    `jobs` and `transactions`: those of the account, at least since the first record.
    """
    orders = _orders(records)
    job_by_id = {job.id: job for job in jobs}
    by_key: dict[str, list[str]] = {}
    for job in reversed(job_by_id.values()):  # the oldest first
        if (key := key_of({"metadata": job.metadata})) is not None:
            by_key.setdefault(key, []).append(job.id)
    rewritten_jobs = [
        (job_id, {"metadata": job.metadata})
        for job_id, job in reversed(job_by_id.items())
        if not has_made_key({"metadata": job.metadata})
    ]
    campaigns = {campaign for order in orders if (campaign := _campaign(order.record.request))}
    job_ids = job_by_id.keys() | {job_id for order in orders for job_id in order.job_ids}
    charges = _by_job(transactions, job_ids)
    expected = charged = 0
    duplicates: list[Job] = []
    unexplained: list[CreditTransaction] = []
    uncharged: list[str] = []
    explained: set[str] = set()
    strangers: set[str] = set()
    for order in orders:
        record = order.record
        listed = by_key.get(record.key or "", [])
        listed += [job_id for job_id, job in rewritten_jobs if may_carry(job, record.key)]
        main_id = next((job_id for job_id in [*order.job_ids, *listed] if job_id in job_by_id), None)
        # Two jobs of one key are twins, even if both are recorded.
        own_ids = [job_id for job_id in order.job_ids if job_id not in listed and job_id != main_id]
        own_ids += [] if main_id is None else [main_id]
        seen = record.job if main_id is None else dump(job_by_id[main_id])
        # A record that is sure to have bought nothing explains no job.
        most = 0 if record.is_free else _most(record, seen)
        cost = _cost(record) if most is None or seen is None else min(most, _cost_now(seen, most))
        moves = [move for job_id in own_ids for move in charges.get(job_id, ())]
        cost = 0 if _is_free_of_charge(record) else cost
        expected += cost
        charged += _net(moves)
        if _net(moves) < cost:
            uncharged.append(next(iter(own_ids), None) or record.job_id or f"idempotency key {record.key}")
        unexplained += [] if most is None else beyond(moves, most, cost)
        twins = [job_id for job_id in listed if job_id not in own_ids]
        explained.update(own_ids)
        strangers.update(twins)
        # One that was cancelled before it cost anything needs nothing more.
        duplicates += [
            job_by_id[twin]
            for twin in twins
            if job_by_id[twin].status != "cancelled" or _net(charges.get(twin, ())) > 0
        ]
    for job_id, job in job_by_id.items():
        is_strange = job_id in strangers or _campaign({"metadata": job.metadata}) in campaigns
        if is_strange and job_id not in explained:
            charged += _net(charges.get(job_id, ()))
            unexplained += beyond(charges.get(job_id, []), 0, 0)
    suspects = dict.fromkeys(name for order in orders for name in order.suspects)
    return OrderCheck(
        len(orders),
        expected,
        charged,
        tuple(duplicates),
        tuple(unexplained),
        tuple(uncharged),
        tuple(suspects),
    )


def _is_free_of_charge(record: OrderRecord) -> bool:
    """Whether the API key of an order is one of the sandbox, which charges nothing."""
    return record.account is not None and record.account.environment == "test"


def _orders(records: Iterable[OrderRecord]) -> list[_Bought]:
    by_key: dict[str, _Bought] = {}
    downloaded: dict[str, _Bought] = {}
    for record in records:
        if record.kind == "allotment" or (record.kind == "call" and record.path != JOBS_PATH):
            continue
        job_id = record.job_id
        group, name = (downloaded, job_id) if record.key is None else (by_key, record.key)
        order = group.setdefault(name or "", _Bought(record))
        if order.record.job is None and (record.job is not None or order.record.is_free):
            order.record = record
        if job_id is not None and job_id not in order.job_ids:
            order.job_ids.append(job_id)
        order.suspects += () if record.forgotten else record.suspects
    bought = {job_id for order in by_key.values() for job_id in order.job_ids}
    return [*by_key.values(), *(order for job_id, order in downloaded.items() if job_id not in bought)]


def _campaign(fields: Any) -> str | None:
    return text_in_metadata(members(fields), CAMPAIGN_METADATA)


def _price_of(job: Mapping[str, Any]) -> int | None:
    files, price = int_or_none(job.get("files_needed")), int_or_none(job.get("price_per_file_cents"))
    return None if files is None or price is None else files * price


def _most(record: OrderRecord, job: ShownJob | None) -> int | None:
    """The most that the job of an order may cost, by its request and by the service; None if neither says."""
    job = job or {}
    asked = max(record.asked_cents, record.before_cents) or _price_of(job)
    limits = [cents for cents in (asked, int_or_none(job.get("total_cost_cents"))) if cents is not None]
    return min(limits, default=None)


def _cost_now(job: ShownJob, most: int) -> int:
    """What a job costs with the files that it has, if it is cancelled; else with all of them."""
    approved, price = int_or_none(job.get("files_approved")), int_or_none(job.get("price_per_file_cents"))
    if job.get("status") != "cancelled" or approved is None or price is None:
        return most
    return approved * price


def with_fees(records: Iterable[OrderRecord], transactions: Iterable[CreditTransaction]) -> list[OrderRecord]:
    """The records whose jobs were charged more than they say, as far as these transactions show that, with that fee."""
    by_job = {record.job_id or "": record for record in records}
    charged: list[OrderRecord] = []
    for job_id, moves in _by_job(transactions, by_job.keys()).items():
        record, job = by_job[job_id], by_job[job_id].job or {}
        fee = _excess(moves, record.asked_cents, min(record.asked_cents, _cost_now(job, record.asked_cents)))
        if record.asked_cents and record.asked_cents + fee > record.cost_cents:
            charged.append(replace(record, fee_cents=fee))
    return charged


def fee_warning(record: OrderRecord, book: object) -> str | None:
    """What to say of an order whose job costs more than was asked for; None if it does not."""
    fee = record.cost_cents - record.asked_cents
    if not record.asked_cents or fee <= 0:
        return None
    return (
        f"{record.job_id} costs {dollars(fee)} more than the {dollars(record.asked_cents)} of its order: run "
        f"firsthandapi orders check {book}, which compares it with the account"
    )


def _by_job(
    transactions: Iterable[CreditTransaction], job_ids: Collection[str]
) -> dict[str, list[CreditTransaction]]:
    """The transactions of each of the known jobs, the oldest first. `transactions`: the newest first."""
    charges: dict[str, list[CreditTransaction]] = {}
    # A page that moved on while it was read shows an item again.
    once = {transaction.id: transaction for transaction in transactions}
    for transaction in reversed(once.values()):
        if (job_id := job_of(transaction, job_ids)) is not None and transaction.type not in _NOT_OF_JOBS:
            charges.setdefault(job_id, []).append(transaction)
    return charges


def job_of(transaction: CreditTransaction, job_ids: Collection[str]) -> str | None:
    """The job whose money a transaction moved; None if it names none of the known ones."""
    job_id, description = transaction.job_id, transaction.description
    if isinstance(job_id, str) and job_id:
        return job_id if job_id in job_ids else None
    if not isinstance(description, str):
        return None
    return next((word for words in _WORDS for word in words.findall(description) if word in job_ids), None)


def cents_of(transaction: CreditTransaction) -> int:
    """What a transaction takes from the account, in US cents; of a refund, a negative number.

    A service may write deductions with either sign.
    """
    amount = int_or_none(transaction.amount_cents) or 0
    if transaction.type == "deduction":
        return abs(amount)
    return -abs(amount) if transaction.type == "refund" else -amount


def _net(moves: Iterable[CreditTransaction]) -> int:
    return sum(map(cents_of, moves))


def _excess(moves: Sequence[CreditTransaction], most: int, cost: int) -> int:
    """By how much the charges of a job exceed what it may cost; a refund of more than is due takes back a charge."""
    cents = [cents_of(move) for move in moves]
    refunded = -sum(amount for amount in cents if amount < 0)
    return sum(amount for amount in cents if amount > 0) - max(refunded - (most - cost), 0) - most


def beyond(moves: Sequence[CreditTransaction], most: int, cost: int) -> list[CreditTransaction]:
    """The charges of a job beyond what it may cost, of all that were made, the oldest first.

    `most`: what it costs with all of its files. `cost`: what it costs now; the rest is refunded.
    """
    if _excess(moves, most, cost) <= 0:
        return []
    taken = sorted((move for move in moves if cents_of(move) > 0), key=lambda move: cents_of(move) != most)
    totals = accumulate(map(cents_of, taken))
    return [move for move, total in zip(taken, totals, strict=True) if total > most]
