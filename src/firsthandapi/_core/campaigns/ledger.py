"""The orders of a campaign, each a record that is written before it is sent. What is spent is read from these alone."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.files.labels import is_label
from firsthandapi._core.orders.ordering import Walk
from firsthandapi._core.orders.record import (
    OrderRecord,
    OtherOrders,
    ShownJob,
    created_at,
    fits,
    has_made_key,
    is_of_another,
    key_of,
)
from firsthandapi._core.orders.request_hash import text_in_metadata
from firsthandapi._core.orders.twins import oldest_first
from firsthandapi._core.rows.decisions import Decided
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types.enums import TERMINAL_JOB_STATUSES
from firsthandapi.types.job_arguments import JobCreateParams

from .campaign import (
    CAMPAIGN_METADATA,
    LABEL_METADATA,
    NOT_WORDS,
    Spec,
    are_of_one_dest,
    campaign_key,
    order_key,
    spec_key,
)


@dataclass(frozen=True)
class CampaignOrder:
    """One order of a campaign: its record, and what the buyer has decided about its files.

    Attributes:
        record: the request, its key, the job as last seen, and what came of it.
        excluded: how many files the buyer has excluded, each with the reason, or None. This is not written: it is
            counted by the decisions of the folder, as the following.
        moved: how many files the buyer has given another label, by that label.
    """

    record: OrderRecord
    excluded: tuple[str | None, ...] = field(default=(), compare=False)
    moved: Mapping[str, int] = field(default_factory=dict[str, int], compare=False)

    @property
    def label(self) -> str:
        """The label that it is for."""
        return self.record.label or ""

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return self.record.key or ""

    @property
    def request(self) -> dict[str, Any]:
        """The body of its POST."""
        request: dict[str, Any] = self.record.request
        return request

    @property
    def job(self) -> ShownJob | None:
        """The job as last seen; None until the service has confirmed it."""
        return self.record.job

    @property
    def approved(self) -> int:
        """How many of its files were approved."""
        return self.record.approved

    @property
    def repeated(self) -> int:
        """How many of these are no file of their own: its list shows them twice, or another order has brought them."""
        return self.record.repeated

    @property
    def closed(self) -> bool:
        """Whether all of its files were brought or given up once its job was finished."""
        return self.record.closed

    @property
    def first_label(self) -> str:
        """The label that it was ordered for: its job's metadata keep it when the label is moved."""
        return text_in_metadata(self.request, LABEL_METADATA) or self.label

    @property
    def is_over(self) -> bool:
        """Whether the job is finished."""
        return self.job is not None and self.job.get("status") in TERMINAL_JOB_STATUSES

    @property
    def is_refused(self) -> bool:
        """Whether the service has refused it, and no job shows it: its key is sent again with the next order."""
        return self.job is None and self.record.refused_at is not None

    @property
    def is_lost(self) -> bool:
        """Whether it was sent, and there was no response: it may have bought a job."""
        return self.job is None and not self.is_refused and not self.record.is_free

    @property
    def state(self) -> str:
        """The status of the job; `sent` until the service has confirmed it."""
        return "sent" if self.job is None else str(self.job.get("status"))

    @property
    def files(self) -> int:
        """How many files it orders."""
        return self.record.files

    @property
    def price_cents(self) -> int:
        """The price of one of them."""
        return self.record.price_cents

    @property
    def spent_cents(self) -> int:
        """Its cost minus refunds. An order counts until it is sure that it bought nothing."""
        return self.record.cost_cents - self.record.refund_cents

    @property
    def refundable_cents(self) -> int:
        """The refund if its job is cancelled now."""
        is_unfinished = self.job is not None and not self.is_over
        return max(self.files - self.approved, 0) * self.price_cents if is_unfinished else 0

    @property
    def may_be_late(self) -> bool:
        """Whether it was closed with fewer files than it ordered: its job may have counted them later."""
        return self.closed and self.approved < self.files

    def brought(self, *, unique: bool) -> int:
        """How many files it has brought that count unless the buyer says no to them."""
        return max(self.approved - self.repeated - (self.record.duplicates if unique else 0), 0)

    def counted(self, *, unique: bool) -> int:
        """How many of its files count for its label."""
        return max(self.brought(unique=unique) - self._gone, 0)

    def held(self, *, unique: bool) -> int:
        """How many files it has brought or may bring for its label, as far as that is known. A completed job has
        brought all of them, though its count may be late."""
        if self.is_over and (self.closed or self.state != "completed"):
            return self.counted(unique=unique)
        return max(max(self.files, self.approved) - self._gone, 0)

    def lacks(self, files: Collection[str]) -> int:
        """How many of its files are not among these."""
        return max(self.approved - self.repeated - len(files), 0)

    @property
    def _gone(self) -> int:
        return len(self.excluded) + sum(self.moved.values())

    def has_words_of(self, request: Mapping[str, Any]) -> bool:
        """Whether it asks for what `request` asks for, whatever the number of files."""
        words = {name: value for name, value in self.request.items() if name not in NOT_WORDS}
        return fits(words, request)

    def with_(self, **changes: Any) -> CampaignOrder:
        """The same with these fields of its record."""
        return replace(self, record=replace(self.record, **changes))

    def bought(self, job: ShownJob) -> CampaignOrder:
        """The same with the job that its key has bought: another machine may have sent it for more or fewer files."""
        request = {**self.request, **_request_in(job)}
        is_another = is_of_another(job, self.request) and _is_order(request)
        return (self.with_(request=request) if is_another else self).seen(job)

    def seen(self, job: ShownJob, listed: int = 0) -> CampaignOrder:
        """The same with its job as the service shows it now, and the most files that its list has shown.

        A count that lags behind the list would have files ordered again that came. A refund is believed of a cancelled
        job that counts its files, and once it is known, a later look never finds more of it. An order whose job is seen
        unfinished is open again, and nothing of it is refunded.
        """
        count, old_job = int_or_none(job.get("files_approved")), self.job or {}
        approved = max(self.approved if count is None else count, listed)
        refund = 0
        if job.get("status") == "cancelled" and count is not None:
            refund = max(self.files - approved, 0) * self.price_cents
        if self.is_over and int_or_none(old_job.get("files_approved")) is not None:
            refund = min(self.record.refund_cents, refund)
        record = replace(
            self.record.with_job(job),
            approved=approved,
            duplicates=min(self.record.duplicates, approved),
            repeated=min(self.repeated, approved),
            closed=self.closed and job.get("status") in TERMINAL_JOB_STATUSES,
            refund_cents=refund,
        )
        return replace(self, record=record)


@dataclass(frozen=True)
class CampaignLedger:
    """All orders of a campaign, in the order in which they were made.

    Attributes:
        campaign: the id that every job of the campaign carries in its metadata.
        orders: the orders.
        forgotten: the orders that were given up: no other order is sent with the key of one.
    """

    campaign: str
    orders: tuple[CampaignOrder, ...] = ()
    forgotten: tuple[CampaignOrder, ...] = ()

    @cached_property
    def by_label(self) -> dict[str, tuple[CampaignOrder, ...]]:
        """The orders of each label."""
        labels: dict[str, list[CampaignOrder]] = {}
        for order in self.orders:
            labels.setdefault(order.label, []).append(order)
        return {label: tuple(orders) for label, orders in labels.items()}

    @cached_property
    def spent_cents(self) -> int:
        """The cost of all orders, minus refunds."""
        return sum(order.spent_cents for order in self.orders)

    @property
    def is_confirmed(self) -> bool:
        """Whether the service has confirmed every order."""
        return all(order.job is not None for order in self.orders)

    @property
    def job_ids(self) -> frozenset[str]:
        """The ids of all jobs that the orders have bought."""
        return frozenset(str(order.job["id"]) for order in self.orders if order.job is not None)

    @cached_property
    def keys(self) -> dict[str, int]:
        """The number of the first order of each key; -1 for one that was given up."""
        numbers = {order.key: -1 for order in self.forgotten}
        for number, order in enumerate(self.orders):
            numbers.setdefault(order.key, number)
        return numbers

    @property
    def twins(self) -> list[tuple[ShownJob, ShownJob]]:
        """The jobs that have the key of an older one, which comes first, as long as not all of them are closed."""
        if len(self.keys) - len(self.forgotten) == len(self.orders):
            return []
        jobs: dict[str, list[ShownJob]] = {}
        for order in self.orders:
            if order.job is not None:
                jobs.setdefault(order.key, []).append(order.job)
        unclosed = {order.key for order in self.orders if not order.closed}
        groups = [oldest_first(group) for key, group in jobs.items() if key in unclosed]
        return [(first, twin) for first, *twins in groups for twin in twins]

    def next_key(self, label: str) -> str:
        """The key of the next order for a label: that of an order that was refused, or the first one of the label's
        keys that this ledger does not know.

        Who knows all orders of the label derives the key after theirs; who does not know the latest one derives its
        key, and gets its job.
        """
        refused = (order.key for order in self.of(label) if order.is_refused)
        keys = (order_key(self.campaign, self.first_label(label), n) for n in itertools.count())
        return next(refused, None) or next(key for key in keys if key not in self.keys)

    def of(self, label: str) -> tuple[CampaignOrder, ...]:
        """The orders of a label."""
        return self.by_label.get(label, ())

    def with_jobs(self, jobs: Sequence[ShownJob]) -> CampaignLedger:
        """The same with the jobs that the service shows now, newest first, each at the order that bought it.

        A job of the campaign that no order has bought is one more: a ledger restored from a copy does not know it.
        """
        by_id, by_key = {str(job["id"]): job for job in jobs}, {key_of(job): job for job in jobs}
        orders: list[CampaignOrder] = []
        job_ids = set(self.job_ids)
        for order in self.orders:
            if order.job is not None:
                job = by_id.get(str(order.job["id"]))
                orders.append(order if job is None else order.seen(job))
                continue
            job = by_key.get(order.key)
            if job is None or str(job["id"]) in job_ids:  # no job is of two orders
                orders.append(order)
            else:
                orders.append(order.bought(job))
                job_ids.add(str(job["id"]))
        unknown = [
            new_order
            for job_id, job in reversed(by_id.items())
            if job_id not in job_ids
            and campaign_of(job) == self.campaign
            and (new_order := _found(job)) is not None
        ]
        return replace(self, orders=(*orders, *unknown))

    def with_suspects(self, job_ids: Collection[str]) -> CampaignLedger:
        """The same after the service did not have these jobs, which it had named in response to orders."""
        orders = [
            replace(order, record=order.record.with_suspect(job_id))
            if (job_id := order.record.job_id) in job_ids and job_id is not None
            else order
            for order in self.orders
        ]
        return replace(self, orders=tuple(orders)) if job_ids else self

    def without_found(self, walk: Walk) -> CampaignLedger:
        """The same after a search of all jobs that has found none for the orders without one."""
        others = OtherOrders.of(order.record for order in self.orders)
        orders = [
            replace(order, record=order.record.not_found(walk.began, walk.served_at, walk.unmarked, others))
            for order in self.orders
        ]
        return replace(self, orders=tuple(orders))

    def with_moved(self, moved: Mapping[str, str]) -> CampaignLedger:
        """The same with each former label become the one that it has moved to.
        Raises InvalidArgumentError: two labels that have orders would become one.
        """
        firsts: dict[str, str] = {}
        orders: list[CampaignOrder] = []
        for order in self.orders:
            label = moved.get(order.label, order.label)
            if firsts.setdefault(label, order.first_label) != order.first_label and label in moved.values():
                first, second = sorted((firsts[label], order.first_label))
                raise InvalidArgumentError(
                    f"moved: the campaign has ordered files for {first!r} and for {second!r}, and a move does not mix "
                    f"two labels into {label!r}; move to a label without orders, or keep both labels in jobs",
                    field="moved",
                )
            orders.append(order if label == order.label else order.with_(label=label))
        return replace(self, orders=tuple(orders))

    def first_label(self, label: str) -> str:
        """What the jobs of a label have in their metadata: the label that it had at its first order."""
        return next((order.first_label for order in self.of(label)), label)

    def with_files(
        self, files: Mapping[str, Mapping[str, str]], decided: Decided | None = None, *, unique: bool = True
    ) -> CampaignLedger:
        """The same with what the files are counted for: those of the bytes of another one, of which the first counts,
        those that are excluded, and those that have another label.
        `files`: by job, the SHA-256 of each file by its id.
        """
        decided = Decided() if decided is None else decided
        met: set[str] = set()
        orders: list[CampaignOrder] = []
        lost = self._lost(files, decided)
        for order in self.orders:
            duplicates, excluded, moved = 0, list[str | None](), Counter[str]()
            order_files = files.get(str((order.job or {}).get("id")), {})
            for file_id, sha256 in order_files.items():
                if (no := decided.excluded.get(file_id)) is not None:
                    excluded.append(no.reason)
                    continue
                duplicates += (is_again := sha256 in met)
                met.add(sha256)
                label = decided.labels.get(file_id, order.label)
                if label != order.label and not (unique and is_again):
                    moved[label] += 1
            duplicates = min(duplicates, order.approved)
            # One that was withdrawn may be one that is excluded: it must not be replaced for both.
            excluded = excluded[max(len(order_files) - order.approved, 0) :]
            lacks = order.lacks(order_files) if lost else 0
            excluded, lost = excluded + lost[:lacks], lost[lacks:]
            orders.append(replace(order.with_(duplicates=duplicates), excluded=tuple(excluded), moved=moved))
        return replace(self, orders=tuple(orders))

    def _lost(self, files: Mapping[str, Mapping[str, str]], decided: Decided) -> list[str | None]:
        """The reasons for excluded files without rows, as in a copy without hidden files. Decisions do not name the job
        of a file, so they count only if nothing else is missing."""
        file_ids = {file_id for job_files in files.values() for file_id in job_files}
        lost = [no.reason for file_id, no in decided.excluded.items() if file_id not in file_ids]
        if not lost or not all(order.closed for order in self.orders):
            return []
        lacks = sum(order.lacks(files.get(str((order.job or {}).get("id")), {})) for order in self.orders)
        return lost if lacks == len(lost) else []

    @cached_property
    def moved(self) -> Counter[str]:
        """How many files of other labels the buyer has given each label."""
        counts = Counter[str]()
        for order in self.orders:
            counts.update(order.moved)
        return counts

    def with_order(self, number: int, order: CampaignOrder | None) -> CampaignLedger:
        """The same with an order in its place, at the end, or without the one that was there."""
        new = () if order is None else (order,)
        return replace(self, orders=(*self.orders[:number], *new, *self.orders[number + 1 :]))


def ledger_of(records: Iterable[OrderRecord]) -> CampaignLedger | None:
    """The ledger of a campaign's records; None if there are none. They are in the order in which they were sent."""
    orders = [CampaignOrder(record) for record in records if _is_of_a_campaign(record)]
    if not orders:
        return None
    orders.sort(key=lambda order: (order.record.first_sent_at or 0.0, order.key))
    return CampaignLedger(
        str(campaign_of(orders[0].request)),
        tuple(order for order in orders if not order.record.forgotten),
        tuple(order for order in orders if order.record.forgotten),
    )


def _is_of_a_campaign(record: OrderRecord) -> bool:
    return (
        record.kind == "order"
        and record.label is not None
        and campaign_of(record.request) is not None
        and _is_order(record.request)
    )


def _is_order(request: Mapping[str, Any]) -> bool:
    names = ("files_needed", "price_per_file_cents")
    return all(type(request.get(name)) is int and request[name] > 0 for name in names)


# ── Recovering a lost ledger ───────────────────────────────────────────────────────────────────────────


def campaign_of(job: Mapping[str, Any]) -> str | None:
    """The campaign that a job was ordered for; None for any other job."""
    return text_in_metadata(job, CAMPAIGN_METADATA)


def campaign_in(
    spec: Spec,
    name: str | None,
    location: str,
    jobs: Sequence[ShownJob],
    of_folder: Collection[str] = (),
) -> str:
    """The campaign of a folder whose records are lost: that of the jobs that the folder names, else that of the spec.
    `location`: the whole path or URL of the folder.
    `jobs`: the jobs of the account, newest first.
    `of_folder`: the ids of jobs that the folder names.
    Raises InvalidArgumentError: there are campaigns that this one may be, or may not be.
    """
    of_place = campaign_key(name, location)
    derived = (None if name is not None else spec_key(spec)) or of_place
    campaigns = [(campaign_id, job) for job in jobs if (campaign_id := campaign_of(job)) is not None]
    named = {campaign_id for campaign_id, job in campaigns if job["id"] in of_folder}
    if named:
        return derived if derived in named else min(named)
    ids = {campaign_id for campaign_id, _ in campaigns}
    if derived in ids or derived == of_place:
        return derived
    # Its words may have changed since.
    of_dest = sorted(campaign_id for campaign_id in ids if are_of_one_dest(derived, campaign_id))
    shared = [(campaign, _shared(spec, campaign, jobs)) for campaign in of_dest]
    for same in (True, False):
        doubtful = {campaign: labels[same] for campaign, labels in shared if same in labels}
        if same and len(doubtful) == 1:
            return next(iter(doubtful))
        if doubtful:
            raise _ambiguous(spec, doubtful, same=same)
    return derived


def _shared(spec: Spec, campaign: str, jobs: Sequence[ShownJob]) -> dict[bool, set[str]]:
    """The labels of `spec` for which a campaign has asked: by whether for the same.

    A job that does not show its description may be of anything.
    """
    labels: dict[bool, set[str]] = {}
    for order in CampaignLedger(campaign).with_jobs(jobs).orders:
        label = spec.moved.get(order.label, order.label)
        if (request := spec.jobs.get(label)) is not None:
            same = "description" in order.request and order.has_words_of(request)
            labels.setdefault(same, set()).add(label)
    return labels


def _ambiguous(spec: Spec, campaigns: Mapping[str, set[str]], *, same: bool) -> InvalidArgumentError:
    single, labels = len(campaigns) == 1, sorted({label for shared in campaigns.values() for label in shared})
    named = f"label{'s' if len(labels) > 1 else ''} {', '.join(map(repr, labels[:3]))}"
    words = (
        "and with the same description" if same else "but with a different description, price, or other field"
    )
    folder = re.split(r"[/\\]", (spec.dest or "").rstrip("/\\"))[-1]
    return InvalidArgumentError(
        f"nothing was ordered: your account already has {'a campaign' if single else f'{len(campaigns)} campaigns'} "
        f"with dest {spec.dest!r} and the {named}, {words}; to continue {'it' if single else 'one'}, add "
        f"name: {' or '.join(list(campaigns)[:3])} to the file (in Python: name=); to start a new one, add a name of "
        f"your own, such as name: {folder[:90]}-2",
        field="name",
    )


def _found(job: ShownJob) -> CampaignOrder | None:
    """The order that bought a job; None if the job does not say."""
    label, key = text_in_metadata(job, LABEL_METADATA), key_of(job)
    request = _request_in(job)
    if not is_label(label) or not has_made_key(job) or not _is_order(request):
        return None
    return CampaignOrder(OrderRecord("order", key, request, created_at(job) or 0.0, label=label)).seen(job)


def _request_in(job: ShownJob) -> dict[str, Any]:
    """What a job was ordered with, as far as it shows that."""
    return {name: job[name] for name in JobCreateParams.model_fields if job.get(name) is not None}
