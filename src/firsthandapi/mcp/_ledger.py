"""What agents may spend. A file that all sessions and processes of one key share, and that no tool can change."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NotRequired

from pydantic import NonNegativeInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from firsthandapi._core.calls.counts import dollars
from firsthandapi._core.calls.idempotency import idempotency_key
from firsthandapi._core.calls.loose_json import load, members
from firsthandapi._core.orders.record import OrderRecord, marked
from firsthandapi._host import replacing
from firsthandapi._host.locking import FileLock, taken_within
from firsthandapi.datasets._lock import FolderLock
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

_NAME = "ledger.json"
_VERSION = 1
# A process holds the lock for milliseconds.
_LOCK_SECONDS = 5.0
# Of the 20 that the contract allows, one is the key.
_MOST_METADATA = 20
_CHANGED = "another session changed the budget at the same time: nothing was ordered; call again"


class BudgetError(FirstHandError):
    """The order would exceed the budget. Nothing was sent.

    Attributes:
        cost_cents: the cost of the order, in US cents.
        left_cents: what the budget has left, in US cents.
    """

    def __init__(self, message: str, *, cost_cents: int, left_cents: int) -> None:
        super().__init__(message)
        self.cost_cents = cost_cents
        self.left_cents = left_cents


def account_of(api_key: str, base_url: str) -> str:
    """What tells accounts apart in a ledger: a digest that does not lead back to the key."""
    return hashlib.sha256(f"{api_key} {base_url}".encode()).hexdigest()[:16]


def default_folder(api_key: str) -> Path:
    """The folder of a key's ledger, named after the key without revealing it.
    Raises ConfigurationError: there is no home directory to put it in.
    """
    try:
        home = Path.home()
    except RuntimeError:  # as in some containers
        raise ConfigurationError(
            "there is no home directory for the ledger; pass a folder with --ledger"
        ) from None
    return home / ".firsthandapi" / "mcp" / hashlib.sha256(api_key.encode()).hexdigest()[:16]


class Order(TypedDict):
    """One order in the ledger, or what is set aside for a campaign.

    Its cost, when it was written (Unix seconds), and how many calls sent it. Of an order also its job, once that is
    known; the service's time when it was first sent; and whether its job names the key in its metadata.
    """

    cost_cents: NonNegativeInt
    at: float
    calls: int
    job_id: NotRequired[str]
    server_at: NotRequired[float]
    marked: NotRequired[bool]


class _File(TypedDict):
    version: Literal[1]
    orders: dict[str, Order]


_ORDERS = TypeAdapter(_File)


class Ledger:
    """The orders of an API key, each by its idempotency key.

    An order is written to disk before it is posted. It is removed only if the service surely refused it: a cost
    that may have been paid counts.

    Args:
        folder: where the ledger is kept; created if it does not exist.
        budget_cents: the most that all orders of the ledger may cost, in US cents.
        clock: gives Unix seconds; for tests.
        account: whose orders these are. Several accounts may share a ledger: the same order of two accounts is two.
    """

    def __init__(
        self, folder: Path, budget_cents: int, clock: Callable[[], float] = time.time, *, account: str = ""
    ) -> None:
        # Behind links: to replace one would split what is spent over two files.
        self.path = Path(os.path.realpath(folder / _NAME))
        self.budget_cents = budget_cents
        self._folder = self.path.parent
        self._clock = clock
        self._account = account

    def look(self, order: Mapping[str, Any]) -> tuple[bool, int]:
        """Whether `order` is in the ledger, so that it costs nothing more; and what is left, in US cents.
        Raises InvalidArgumentError: a value has no JSON form.
        Raises ConfigurationError: the ledger cannot be read.
        """
        key = self._key(order)
        with self._locked() as orders:
            return key in orders, self._left(orders)

    def reserve(self, order: Mapping[str, Any], cost_cents: int, *, new: bool = True) -> tuple[str, bool]:
        """Write an order down, before it is posted.

        The same order is one order at any age, and costs nothing more.

        Args:
            order: its fields.
            cost_cents: what it costs, in US cents.
            new: whether it may be one that the ledger does not know.

        Returns:
            The idempotency key to post it with, and whether the order is new.

        Raises BudgetError: it would exceed the budget.
        Raises InvalidArgumentError: a value has no JSON form.
        Raises ConfigurationError: the ledger cannot be read or written. Nothing may be spent then.
        """
        key = self._key(order)
        with self._locked() as orders:
            if key in orders:
                orders[key]["calls"] += 1
                return key, False
            self._check(cost_cents, orders)
            if not new:
                raise FirstHandError(_CHANGED)
            marked = len(order.get("metadata") or ()) < _MOST_METADATA
            orders[key] = {"cost_cents": cost_cents, "at": self._clock(), "calls": 1, "marked": marked}
            return key, True

    def has_job(self, job_id: str) -> bool:
        """Whether an order of this ledger got the job."""
        with self._locked() as orders:
            return any(order.get("job_id") == job_id for order in orders.values())

    def order(self, key: str) -> Order | None:
        """What is written down of an order; None if it is not there."""
        with self._locked() as orders:
            return orders.get(key)

    def note(self, key: str, sent: OrderRecord) -> None:
        """Write down the outcome of an order: from then on it is known by its job."""
        with self._locked() as orders:
            if (order := orders.get(key)) is not None:
                if sent.job_id is not None:
                    order["job_id"] = sent.job_id
                if sent.server_sent_at is not None:
                    order["server_at"] = sent.server_sent_at

    def unaffordable(self, key: str) -> BudgetError | None:
        """Why an order that was sent before may not be sent again: it is over a budget that is smaller by now."""
        with self._locked() as orders:
            cost = orders[key]["cost_cents"] if key in orders else 0
            if sum(order["cost_cents"] for order in orders.values()) <= self.budget_cents:
                return None
        return BudgetError(
            f"this order for {dollars(cost)} was sent before, no job shows it so far, and the orders of this server "
            "cost more than its budget by now: nothing was ordered; call again in a minute, so that a job that was "
            "just posted can show, or ask the person to restart the server with a larger --budget-cents",
            cost_cents=cost,
            left_cents=0,
        )

    def allotted(self, campaign: str) -> tuple[int, int]:
        """What is set aside for a campaign, and what is left besides, in US cents."""
        with self._locked() as orders:
            entry = orders.get(self._campaign_key(campaign))
            return (0 if entry is None else entry["cost_cents"]), self._left(orders)

    def allot(self, campaign: str, budget_cents: int, *, most_more: int | None = None) -> None:
        """Set aside what a campaign may cost, before it orders anything. It stays so until the campaign is finished.

        Args:
            campaign: its folder. All sessions that run it share what is set aside.
            budget_cents: what all its orders may cost, in US cents.
            most_more: how much more may be set aside than was before, in US cents; None for no limit but the budget.

        Raises BudgetError: it would exceed the budget.
        Raises ConfigurationError: the ledger cannot be read or written. Nothing may be spent then.
        """
        key = self._campaign_key(campaign)
        with self._locked() as orders:
            entry = orders.get(key)
            more = budget_cents - (0 if entry is None else entry["cost_cents"])
            if more <= 0:
                return
            self._check(more, orders)
            if most_more is not None and more > most_more:
                raise FirstHandError(_CHANGED)
            orders[key] = {"cost_cents": budget_cents, "at": self._clock(), "calls": 1}

    def give_back(self, campaign: str, spent_cents: int) -> None:
        """Of a campaign that is finished, only what it has spent stays set aside. Whoever calls has its turn."""
        key = self._campaign_key(campaign)
        with self._locked() as orders:
            if key in orders and spent_cents < orders[key]["cost_cents"]:
                orders[key]["cost_cents"] = spent_cents

    def turn(self, campaign: str) -> FileLock:
        """The lock of whoever runs a campaign.

        Without it, a session that finishes one could give back what another one is about to spend.

        Raises ConfigurationError: the folder of the ledger cannot be written to.
        """
        with self._locked():
            return FileLock(self._folder / f"{self._campaign_key(campaign)}.lock", 0o600)

    def _campaign_key(self, campaign: str) -> str:
        return idempotency_key("mcp campaign", self._account, campaign)

    def refused(self, key: str) -> None:
        """Take back one call of an order that the service refused; the order is removed with the last of them."""
        with self._locked() as orders:
            if key in orders:
                orders[key]["calls"] -= 1
                if orders[key]["calls"] <= 0:
                    del orders[key]

    def left_cents(self) -> int:
        """What may still be spent, in US cents."""
        with self._locked() as orders:
            return self._left(orders)

    def _key(self, order: Mapping[str, Any]) -> str:
        # The 0 stands in every ledger: without it, an order of an earlier one would be posted again.
        return idempotency_key("mcp", self._account, 0, _canonical(order))

    def _check(self, cost_cents: int, orders: dict[str, Order]) -> None:
        left = self._left(orders)
        if cost_cents > left:
            raise BudgetError(
                f"this costs {cost_cents} cents, but the budget of this server has {left} of "
                f"{self.budget_cents} cents left: nothing was ordered; ask for fewer files or a lower price, "
                "or ask the person to restart the server with a larger --budget-cents",
                cost_cents=cost_cents,
                left_cents=left,
            )

    def _left(self, orders: dict[str, Order]) -> int:
        return max(self.budget_cents - sum(order["cost_cents"] for order in orders.values()), 0)

    @contextmanager
    def _locked(self) -> Generator[dict[str, Order]]:
        """The orders, which nobody else changes meanwhile. A change is written at the end, unless there is an error."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"could not create the ledger folder {self._folder}: {error.strerror}; nothing was ordered; choose "
                "another folder with --ledger"
            ) from None
        lock = FolderLock(self._folder)
        if not taken_within(_LOCK_SECONDS, lock.acquire):
            raise ConfigurationError(
                f"the ledger {self.path} is locked by another process: nothing was ordered; call again"
            )
        try:
            orders = self._read()
            before = {key: dict(order) for key, order in orders.items()}
            yield orders
            if orders != before:
                self._write(orders)
        finally:
            lock.release()

    def _read(self) -> dict[str, Order]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"could not read the ledger {self.path}: {error.strerror}") from None
        loaded = load(content)
        try:
            return _ORDERS.validate_python(loaded, strict=True)["orders"]
        except ValidationError:
            # What was spent is unknown, so nothing more may be.
            pass
        version = members(loaded).get("version")
        if type(version) is int and version > _VERSION:
            raise ConfigurationError(
                f"the ledger {self.path} was written by a newer version: nothing can be ordered; update firsthandapi"
            )
        raise ConfigurationError(
            f"the ledger {self.path} is damaged: nothing can be ordered; restore the file, or delete it to "
            "start again with the full budget"
        )

    def _write(self, orders: dict[str, Order]) -> None:
        content = json.dumps({"version": _VERSION, "orders": orders}, indent=1).encode()
        try:
            replacing.replace(self.path, content, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"could not write the ledger {self.path}: {error.strerror}; nothing was ordered; free disk space, or "
                "choose another folder with --ledger"
            ) from None


class EntryOfLedger:
    """An order of the ledger, as `order_once` records it.

    Args:
        ledger: where it is written down.
        key: its idempotency key.
        request: the body of its POST.
        fresh: whether it was written down just now, so that nothing was sent.
    """

    def __init__(self, ledger: Ledger, key: str, request: dict[str, Any], *, fresh: bool) -> None:
        self.path = ledger.path
        self._ledger = ledger
        self._key = key
        self._request = request
        self._fresh = fresh

    def known_order(self) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """The order as it was sent before, if it was."""
        order = self._ledger.order(self._key)
        is_marked = order is not None and order.get("marked", False)
        if order is None or (self._fresh and is_marked):
            return None, ()
        job_id = order.get("job_id")
        record = OrderRecord(
            "order",
            self._key,
            marked(self._request, self._key),
            order["at"],
            None if job_id is None else {"id": job_id},
            server_sent_at=order.get("server_at"),
        )
        return record, ()

    def create(self, record: OrderRecord) -> None:
        """The order is written down before: its cost counts."""

    def write(self, record: OrderRecord) -> None:
        """Write down its outcome."""
        try:
            self._ledger.note(self._key, record)
        except ConfigurationError:
            if record.job is None:
                raise
            # The job is there, and its metadata name the key: the next call finds it.

    def remove(self) -> None:
        """What counts is taken back by whoever knows how all calls of the order ended."""


def _canonical(order: Mapping[str, Any]) -> str:
    """An order as text: the same for the same fields. Unlike `idempotency_key`, it takes floats: coordinates."""
    try:
        return json.dumps(order, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidArgumentError(
        "location or metadata has a value without a JSON form: a number that is not finite, one of thousands of "
        "digits, or too many levels",
        field="metadata",
    )
