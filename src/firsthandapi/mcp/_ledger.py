"""What agents may spend. A file that all sessions and processes of one key share, and that no tool can change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from firsthandapi._core.idempotency import idempotency_key
from firsthandapi._core.job_file import CLOCK_SLACK, KEY_LIFETIME
from firsthandapi.datasets._lock import FolderLock
from firsthandapi.errors import ConfigurationError, FirstHandError

_NAME = "ledger.json"
# A process holds the lock for milliseconds.
_LOCK_SECONDS = 10.0
_LOCK_EVERY = 0.02


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


def default_folder(api_key: str) -> Path:
    """The folder of a key's ledger, named after the key without telling it."""
    return Path.home() / ".firsthandapi" / "mcp" / hashlib.sha256(api_key.encode()).hexdigest()[:16]


class Order(TypedDict):
    """One order in the ledger: its cost, when it was written down (Unix seconds), and the calls that sent it."""

    cost_cents: NonNegativeInt
    at: float
    calls: int


class _File(TypedDict):
    version: Literal[1]
    orders: dict[str, Order]


_ORDERS = TypeAdapter(_File)


class Ledger:
    """The orders of one API key, each by its idempotency key.

    An order is written down, on disk, before it is posted. It is taken out again only if the service surely
    refused it: a cost that may have been paid counts.

    Args:
        folder: where the ledger is kept; created if it does not exist.
        budget_cents: the most that all orders of the ledger may cost, in US cents.
        clock: gives Unix seconds; for tests.
    """

    def __init__(self, folder: Path, budget_cents: int, clock: Callable[[], float] = time.time) -> None:
        self.path = folder / _NAME
        self.budget_cents = budget_cents
        self._folder = folder
        self._clock = clock

    def reserve(self, arguments: dict[str, Any], cost_cents: int) -> tuple[str, bool]:
        """Write an order down, before it is posted.

        The same arguments are the same order while the service surely knows its key, and cost nothing more.

        Returns:
            The idempotency key to post it with, and whether the order is new.

        Raises:
            BudgetError: it would exceed the budget.
            InvalidArgumentError: an argument is not JSON.
            ConfigurationError: the ledger cannot be read or written. Nothing may be spent then.
        """
        with self._locked() as orders:
            now = self._clock()
            number = 0
            while (key := idempotency_key("mcp", number, arguments)) in orders:
                if -CLOCK_SLACK <= now - orders[key]["at"] <= KEY_LIFETIME:
                    orders[key]["calls"] += 1
                    self._write(orders)
                    return key, False
                # The service may have forgotten this key and would sell the job again, so it counts again.
                number += 1
            left = self._left(orders)
            if cost_cents > left:
                raise BudgetError(
                    f"this job costs {cost_cents} cents and the budget of this server has {left} of "
                    f"{self.budget_cents} cents left: nothing was ordered; ask for fewer files or a lower price, "
                    "or ask the person to restart the server with a larger --budget-cents",
                    cost_cents=cost_cents,
                    left_cents=left,
                )
            orders[key] = {"cost_cents": cost_cents, "at": now, "calls": 1}
            self._write(orders)
            return key, True

    def refused(self, key: str) -> None:
        """Take out one call of an order that the service refused, and the order with the last of them."""
        with self._locked() as orders:
            if key in orders:
                orders[key]["calls"] -= 1
                if orders[key]["calls"] <= 0:
                    del orders[key]
                self._write(orders)

    def left_cents(self) -> int:
        """What may still be spent, in US cents."""
        with self._locked() as orders:
            return self._left(orders)

    def _left(self, orders: dict[str, Order]) -> int:
        return max(self.budget_cents - sum(order["cost_cents"] for order in orders.values()), 0)

    @contextmanager
    def _locked(self) -> Generator[dict[str, Order], None, None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the ledger folder {self._folder} cannot be created: {error.strerror}; choose another with --ledger"
            ) from None
        lock = FolderLock(self._folder)
        ends = time.monotonic() + _LOCK_SECONDS
        while not lock.acquire():
            if time.monotonic() > ends:
                raise ConfigurationError(f"the ledger {self.path} is locked by another process: try again")
            time.sleep(_LOCK_EVERY)
        try:
            yield self._read()
        finally:
            lock.release()

    def _read(self) -> dict[str, Order]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"the ledger {self.path} cannot be read: {error.strerror}") from None
        try:
            loaded: Any = json.loads(content)
        except (ValueError, RecursionError):
            loaded = None
        try:
            return _ORDERS.validate_python(loaded, strict=True)["orders"]
        except ValidationError:
            # What was spent is unknown, so nothing more may be.
            raise ConfigurationError(
                f"the ledger {self.path} is damaged: nothing can be ordered; restore the file, or delete it to "
                "start again with the full budget"
            ) from None

    def _write(self, orders: dict[str, Order]) -> None:
        content = json.dumps({"version": 1, "orders": orders}, indent=1).encode()
        try:
            handle, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError as error:
            raise ConfigurationError(
                f"the ledger {self.path} cannot be written: {error.strerror}; nothing was ordered"
            ) from None
