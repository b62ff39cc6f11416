"""`campaign.json`: every order of a campaign, written before it is sent. What is spent is read from here alone."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.loose_json import load, members, strings
from firsthandapi._core.files.labels import is_label
from firsthandapi._core.orders.record import OrderRecord, ShownJob, fits, key_of, record_in
from firsthandapi._core.orders.request_hash import text_in_metadata
from firsthandapi._core.rows.decisions import Decided
from firsthandapi.errors import ConfigurationError, InvalidArgumentError
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

LEDGER_FILE = "campaign.json"
# The most that is read of an untrusted file: an order is a few kilobytes.
LARGEST_LEDGER = 64 * 1024 * 1024
_VERSION = 1
_KEY = re.compile(rb'"idempotency_key": ("(?:[^"\\\n]|\\.){1,400}")')


@dataclass(frozen=True)
class Order:
    """One order: the request, its key, and its outcome.

    Attributes:
        label: the label that it is for.
        sent: the request, its key, when it was first sent, and the job as last seen.
        approved: how many of its files were approved.
        duplicates: how many of these have the bytes of a file that the campaign had before.
        repeated: how many are no file of their own: its list shows them twice, or another order has brought them.
        refund_cents: what was refunded.
        closed: whether all of its files were brought or given up once its job was finished.
        excluded: how many files the buyer has excluded, each with the reason, or None. This is not written: it is
            counted by the decisions of the folder, as the following.
        moved: how many files the buyer has given another label, by that label.
    """

    label: str
    sent: OrderRecord
    approved: int = 0
    duplicates: int = 0
    refund_cents: int = 0
    closed: bool = False
    repeated: int = 0
    excluded: tuple[str | None, ...] = field(default=(), compare=False)
    moved: Mapping[str, int] = field(default_factory=dict[str, int], compare=False)

    @property
    def job(self) -> ShownJob | None:
        """The job as last seen; None until the service has confirmed it."""
        return self.sent.job

    @property
    def first_label(self) -> str:
        """The label that it was ordered for: its job's metadata keep it when the label is moved."""
        return text_in_metadata(self.sent.request or {}, LABEL_METADATA) or self.label

    @property
    def is_over(self) -> bool:
        """Whether the job is finished."""
        return self.job is not None and self.job.get("status") in TERMINAL_JOB_STATUSES

    @property
    def is_used(self) -> bool:
        """Whether the service has refused its key because it was used before, and does not show the job."""
        return self.job is None and self.sent.first_sent_at == 0

    @property
    def state(self) -> str:
        """The status of the job; `sent` until the service has confirmed it."""
        return "sent" if self.job is None else str(self.job.get("status"))

    @property
    def files(self) -> int:
        """How many files it orders."""
        return int((self.sent.request or {})["files_needed"])

    @property
    def price_cents(self) -> int:
        """The price of one of them."""
        return int((self.sent.request or {})["price_per_file_cents"])

    @property
    def spent_cents(self) -> int:
        """Its cost minus refunds. An order whose response was lost counts: it may have been posted."""
        return self.files * self.price_cents - self.refund_cents

    @property
    def refundable_cents(self) -> int:
        """The refund if its job is cancelled now."""
        is_unfinished = self.job is not None and not self.is_over
        return max(self.files - self.approved, 0) * self.price_cents if is_unfinished else 0

    def brought(self, *, unique: bool) -> int:
        """How many files it has brought that count unless the buyer says no to them."""
        return max(self.approved - self.repeated - (self.duplicates if unique else 0), 0)

    def counted(self, *, unique: bool) -> int:
        """How many of its files count for its label."""
        return max(self.brought(unique=unique) - self._gone, 0)

    def held(self, *, unique: bool) -> int:
        """How many files it has brought or may bring for its label, as far as that is known."""
        if self.is_over:
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
        own = {name: value for name, value in (self.sent.request or {}).items() if name not in NOT_WORDS}
        return fits(own, request)

    def bought(self, job: ShownJob) -> Order:
        """The same with the job that its key has bought: another machine may have sent it for more or fewer files."""
        own, shown = self.sent.request or {}, _request_in(job)
        request = {**own, **shown} if not fits(job, own) and _is_order({**own, **shown}) else own
        return replace(self, sent=replace(self.sent, request=request)).seen(job)

    def seen(self, job: ShownJob, listed: int = 0) -> Order:
        """The same with its job as the service shows it now, and the most files that its list has shown.

        A count that lags behind the list would have files ordered again that came. A refund is believed of a cancelled
        job that counts its files, and once it is known, a later look never finds more of it. An order whose job is seen
        unfinished is open again, and nothing of it is refunded.
        """
        count, before = int_or_none(job.get("files_approved")), self.job or {}
        approved = max(self.approved if count is None else count, listed)
        after = replace(
            self,
            sent=self.sent.with_job(job),
            approved=approved,
            duplicates=min(self.duplicates, approved),
            repeated=min(self.repeated, approved),
            closed=self.closed and job.get("status") in TERMINAL_JOB_STATUSES,
        )
        refund = 0
        if after.state == "cancelled" and count is not None:
            refund = max(self.files - approved, 0) * self.price_cents
        is_known = self.is_over and int_or_none(before.get("files_approved")) is not None
        return replace(after, refund_cents=min(self.refund_cents, refund) if is_known else refund)


@dataclass(frozen=True)
class Ledger:
    """All orders of a campaign, in the order in which they were made.

    Attributes:
        campaign: the id that every job of the campaign carries in its metadata.
        orders: the orders.
        forgotten: the keys of orders that were given up: no other order is sent with one of them.
    """

    campaign: str
    orders: tuple[Order, ...] = ()
    forgotten: tuple[str, ...] = ()

    @property
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

    def next_key(self, label: str) -> str:
        """The key of the next order of a label: the first one of the label's keys that this ledger does not know.

        Who knows all orders of the label derives the key after theirs; who does not know the latest one derives its
        key, and gets its job.
        """
        known = {*self.forgotten, *(order.sent.idempotency_key for order in self.orders)}
        return next(
            key for n in itertools.count() if (key := order_key(self.campaign, label, n)) not in known
        )

    def key_at(self, number: int) -> str | None:
        """The key of an order; None if there is none yet."""
        return self.orders[number].sent.idempotency_key if number < len(self.orders) else None

    def is_used(self, number: int) -> bool:
        """Whether the service has refused the key of an order because it was used before: it is not sent again."""
        return number < len(self.orders) and self.orders[number].is_used

    def of(self, label: str) -> list[Order]:
        """The orders of a label."""
        return [order for order in self.orders if order.label == label]

    def with_jobs(self, jobs: Sequence[ShownJob]) -> Ledger:
        """The same with the jobs that the service shows now, newest first, each at the order that bought it.

        A job of the campaign that no order has bought is one more: a ledger restored from a copy does not know it.
        """
        by_id, by_key = {str(job["id"]): job for job in jobs}, {key_of(job): job for job in jobs}
        orders: list[Order] = []
        known = set(self.job_ids)
        for order in self.orders:
            if order.job is not None:
                job = by_id.get(str(order.job["id"]))
                orders.append(order if job is None else order.seen(job))
                continue
            job = by_key.get(order.sent.idempotency_key)
            if job is None or str(job["id"]) in known:  # no job is of two orders
                orders.append(order)
            else:
                orders.append(order.bought(job))
                known.add(str(job["id"]))
        unknown = [
            found
            for job_id, job in reversed(by_id.items())
            if job_id not in known
            and campaign_of(job) == self.campaign
            and (found := _found(job)) is not None
        ]
        return replace(self, orders=(*orders, *unknown))

    def with_moved(self, moved: Mapping[str, str]) -> Ledger:
        """The same with each former label become the one that it has moved to.
        Raises InvalidArgumentError: two labels that have orders would become one.
        """
        firsts: dict[str, str] = {}
        orders: list[Order] = []
        for order in self.orders:
            label = moved.get(order.label, order.label)
            if firsts.setdefault(label, order.first_label) != order.first_label and label in moved.values():
                one, other = sorted((firsts[label], order.first_label))
                raise InvalidArgumentError(
                    f"moved: the campaign has ordered files for {one!r} and for {other!r}, and a move does not mix two "
                    f"labels into {label!r}; move to a label without orders, or keep both labels in jobs",
                    field="moved",
                )
            orders.append(replace(order, label=label))
        return replace(self, orders=tuple(orders))

    def first_label(self, label: str) -> str:
        """What the jobs of a label have in their metadata: the label that it had at its first order."""
        return next((order.first_label for order in self.orders if order.label == label), label)

    def with_files(
        self, files: Mapping[str, Mapping[str, str]], decided: Decided | None = None, *, unique: bool = True
    ) -> Ledger:
        """The same with what the files are counted for: those of the bytes of another one, of which the first counts,
        those that are excluded, and those that have another label.
        `files`: by job, the SHA-256 of each file by its id.
        """
        decided = Decided() if decided is None else decided
        met: set[str] = set()
        orders: list[Order] = []
        lost = self._lost(files, decided)
        for order in self.orders:
            again, excluded, moved = 0, list[str | None](), Counter[str]()
            here = files.get(str((order.job or {}).get("id")), {})
            for file_id, sha256 in here.items():
                if (no := decided.excluded.get(file_id)) is not None:
                    excluded.append(no.reason)
                    continue
                again += (is_again := sha256 in met)
                met.add(sha256)
                label = decided.labels.get(file_id, order.label)
                if label != order.label and not (unique and is_again):
                    moved[label] += 1
            again = min(again, order.approved)
            # One that was withdrawn may be one that is excluded: it must not be replaced for both.
            excluded = excluded[max(len(here) - order.approved, 0) :]
            lacks = order.lacks(here) if lost else 0
            excluded, lost = excluded + lost[:lacks], lost[lacks:]
            orders.append(replace(order, duplicates=again, excluded=tuple(excluded), moved=moved))
        return replace(self, orders=tuple(orders))

    def _lost(self, files: Mapping[str, Mapping[str, str]], decided: Decided) -> list[str | None]:
        """The reasons for excluded files without rows, as in a copy without hidden files. Decisions do not name the job
        of a file, so they count only if nothing else is missing."""
        here = {file_id for each in files.values() for file_id in each}
        lost = [no.reason for file_id, no in decided.excluded.items() if file_id not in here]
        if not lost or not all(order.closed for order in self.orders):
            return []
        lacks = sum(order.lacks(files.get(str((order.job or {}).get("id")), {})) for order in self.orders)
        return lost if lacks == len(lost) else []

    def moved_to(self, label: str) -> int:
        """How many files of other labels the buyer has given this one."""
        return sum(order.moved.get(label, 0) for order in self.orders)

    def with_order(self, number: int, order: Order | None) -> Ledger:
        """The same with an order in its place, at the end, or without the one that was there."""
        new = () if order is None else (order,)
        return replace(self, orders=(*self.orders[:number], *new, *self.orders[number + 1 :]))

    def without(self, key: str) -> tuple[Ledger, Order]:
        """The same without an order that no job is known of, and that order. No order is sent with its key again.
        Raises InvalidArgumentError: there is no such order, or its job is known.
        """
        number = next((n for n in range(len(self.orders)) if self.key_at(n) == key), None)
        if number is None:
            raise InvalidArgumentError(
                f"key is of no order in {LEDGER_FILE}; copy it from the message that named it", field="key"
            )
        order = self.orders[number]
        if order.job is not None:
            raise InvalidArgumentError(
                f"key has bought {order.job['id']} ({order.state}), so its order stays; to stop that job, cancel it",
                field="key",
            )
        return replace(self.with_order(number, None), forgotten=(*self.forgotten, key)), order

    def encode(self) -> bytes:
        """The file, indented for people."""
        orders = [
            {
                **order.sent.members(),
                "label": order.label,
                "state": order.state,
                "files": order.files,
                "price_per_file_cents": order.price_cents,
                "approved": order.approved,
                "duplicates": order.duplicates,
                "refund_cents": order.refund_cents,
                "closed": order.closed,
                **({"repeated": order.repeated} if order.repeated else {}),
            }
            for order in self.orders
        ]
        content = {
            "version": _VERSION,
            "campaign": self.campaign,
            "spent_cents": self.spent_cents,
            "orders": orders,
            **({"forgotten": self.forgotten} if self.forgotten else {}),
        }
        return json.dumps(content, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"


@dataclass(frozen=True)
class UnreadableLedger:
    """A `campaign.json` that a disk or a later version has left.

    Attributes:
        keys: the idempotency keys that can still be read of it: each may have bought a job.
        newer: whether a later version wrote it.
    """

    keys: tuple[str, ...] = ()
    newer: bool = False


def read_ledger(content: bytes) -> Ledger | UnreadableLedger:
    """`campaign.json`, checked, or what can be read of it."""
    ledger = members(load(content))
    version, campaign, rows = ledger.get("version"), ledger.get("campaign"), ledger.get("orders")
    forgotten = strings(ledger.get("forgotten", []))
    if isinstance(version, int) and version > _VERSION:
        return UnreadableLedger(newer=True)
    if version == _VERSION and isinstance(campaign, str) and isinstance(rows, list) and forgotten is not None:
        orders = [_order(row) for row in rows]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # it is JSON
        if all(orders):
            return Ledger(campaign, tuple(order for order in orders if order is not None), tuple(forgotten))
    keys = [json.loads(key) for key in _KEY.findall(content)]
    return UnreadableLedger(tuple(dict.fromkeys(keys)))


def _order(row: Any) -> Order | None:
    """An order, or None if it is not one."""
    if not isinstance(row, dict):
        return None
    values = cast("dict[str, Any]", row)
    sent = record_in(values)
    counts = [values.get(name) for name in ("approved", "duplicates", "refund_cents")]
    counts.append(values.get("repeated", 0))
    if (
        not is_label(values.get("label"))
        or sent is None
        or not _is_order(sent.request)
        or not all(type(count) is int and count >= 0 for count in counts)
    ):
        return None
    approved, duplicates, refund, repeated = cast("list[int]", counts)
    closed = values.get("closed") is True
    order = Order(values["label"], sent, approved, duplicates, refund, closed, repeated)
    # A refund never exceeds the payment.
    return order if duplicates <= approved and order.spent_cents >= 0 else None


def _is_order(request: Mapping[str, Any] | None) -> bool:
    names = ("files_needed", "price_per_file_cents")
    return request is not None and all(type(request.get(name)) is int and request[name] > 0 for name in names)


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
    keys: Collection[str] = (),
) -> str:
    """The campaign of a folder whose ledger is lost: that of the jobs that the folder names, else that of the spec.
    `location`: the whole path or URL of the folder.
    `jobs`: the jobs of the account, newest first.
    `of_folder`, `keys`: the ids of jobs that the folder names, and the keys that the damaged ledger names.
    Raises InvalidArgumentError: there are campaigns that this one may be, or may not be.
    """
    of_place = campaign_key(name, location)
    derived = (None if name is not None else spec_key(spec)) or of_place
    campaigns = [(each, job) for job in jobs if (each := campaign_of(job)) is not None]
    named = {each for each, job in campaigns if job["id"] in of_folder or key_of(job) in keys}
    if named:
        return derived if derived in named else min(named)
    ids = {each for each, _ in campaigns}
    if derived in ids or derived == of_place:
        return derived
    # Its words may have changed since; and earlier versions knew it by its place.
    of_dest = sorted(each for each in ids if each == of_place or are_of_one_dest(derived, each))
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
    for order in Ledger(campaign).with_jobs(jobs).orders:
        label = spec.moved.get(order.label, order.label)
        if (request := spec.jobs.get(label)) is not None:
            same = "description" in (order.sent.request or {}) and order.has_words_of(request)
            labels.setdefault(same, set()).add(label)
    return labels


def _ambiguous(spec: Spec, campaigns: Mapping[str, set[str]], *, same: bool) -> InvalidArgumentError:
    one, labels = len(campaigns) == 1, sorted({label for shared in campaigns.values() for label in shared})
    named = f"label{'s' if len(labels) > 1 else ''} {', '.join(map(repr, labels[:3]))}"
    words = (
        "and with the same description" if same else "but with a different description, price, or other field"
    )
    folder = re.split(r"[/\\]", (spec.dest or "").rstrip("/\\"))[-1]
    return InvalidArgumentError(
        f"nothing was ordered: your account already has {'a campaign' if one else f'{len(campaigns)} campaigns'} with "
        f"dest {spec.dest!r} and the {named}, {words}; to continue {'it' if one else 'one'}, add "
        f"name: {' or '.join(list(campaigns)[:3])} to the file (in Python: name=); to start a new one, add a name of "
        f"your own, such as name: {folder[:90]}-2",
        field="name",
    )


def recovered(campaign: str, jobs: Iterable[ShownJob], keys: Iterable[str] = ()) -> Ledger:
    """The ledger of a campaign, from the jobs of the account, newest first; `keys` are those of the damaged ledger.
    Raises ConfigurationError: no job shows one of these keys: it may have bought one that does not show yet.
    """
    ledger = Ledger(campaign).with_jobs(list(jobs))
    missing = set(keys) - {order.sent.idempotency_key for order in ledger.orders}
    if missing:
        raise ConfigurationError(
            f"{LEDGER_FILE} of dest is damaged, and no job with its idempotency key {min(missing)} is in your account "
            "so far: wait a minute, so that a job that was just posted can show, then run the same call again; if "
            f"there is still none, remove {LEDGER_FILE} to continue without that order"
        )
    return ledger


def _found(job: ShownJob) -> Order | None:
    """The order that bought a job; None if the job does not say."""
    label, key = text_in_metadata(job, LABEL_METADATA), key_of(job)
    request = _request_in(job)
    if not is_label(label) or key is None or not _is_order(request):
        return None
    return Order(str(label), OrderRecord(request, key, 0.0, None)).seen(job)


def _request_in(job: ShownJob) -> dict[str, Any]:
    """What a job was ordered with, as far as it shows that."""
    return {name: job[name] for name in JobCreateParams.model_fields if job.get(name) is not None}


def newer_ledger() -> ConfigurationError:
    """The error for a ledger of a later version."""
    return ConfigurationError(
        f"{LEDGER_FILE} of dest was written by a later version of firsthandapi: upgrade firsthandapi"
    )
