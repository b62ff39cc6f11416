# Made from _async/accounts.py by `make generate`. Do not edit.
"""Read the account: page by page for a check, and once where a run was charged what its orders do not explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar, Unpack

from firsthandapi._base.counts import count_of
from firsthandapi._base.watching import logger
from firsthandapi._core.calls.decode import decode_page
from firsthandapi._core.calls.pages import LARGEST_PAGE, MOST_PAGES, follow_cursor
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.orders.account import fee_warning, with_fees
from firsthandapi._sync.ordering import end_of_search
from firsthandapi.errors import (
    DeadlineExceededError,
    FirstHandError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
)
from firsthandapi.types._base import fitting
from firsthandapi.types.billing import CreditTransaction
from firsthandapi.types.job import Job

if TYPE_CHECKING:
    from firsthandapi._core.orders.record import OrderRecord
    from firsthandapi._sync.transport import Transport
    from firsthandapi.types.options import RequestOptions

M = TypeVar("M", Job, CreditTransaction)

_TRANSACTIONS = "/v1/billing/transactions"
# Seconds for the one look of a run.
_LOOK_SECONDS = 10.0


class AccountReader:
    """Reads the jobs and transactions of an account, the newest first, until a time."""

    def __init__(self, transport: Transport, **options: Unpack[RequestOptions]) -> None:
        self._transport = transport
        self._options = options

    def jobs(self, since: float | None) -> list[Job]:
        """The jobs that were created at `since`, in Unix seconds, or later; None reads all.
        Raises PermissionDeniedError: the API key lacks `jobs:read`.
        Raises DeadlineExceededError: the client's `deadline` has passed.
        Raises PaginationError: the list has more pages than are read.
        """
        created: list[tuple[str, str]] = []
        if since is not None:
            created.append(("created_after", f"{datetime.fromtimestamp(int(since), UTC):%Y-%m-%dT%H:%M:%SZ}"))
        return self._all(Job, "/v1/jobs", since, "jobs", "jobs:read", created)

    def transactions(self, since: float | None) -> list[CreditTransaction]:
        """The transactions that were booked at `since` or later; None reads all.
        Raises PermissionDeniedError: the API key lacks `usage:read`.
        Raises DeadlineExceededError, PaginationError: as for `jobs`.
        """
        return self._all(CreditTransaction, _TRANSACTIONS, since, "transactions", "usage:read")

    def _all(
        self,
        model: type[M],
        path: str,
        since: float | None,
        plural: str,
        scope: str,
        filters: Sequence[tuple[str, str]] = (),
    ) -> list[M]:
        ends = end_of_search(self._transport)
        query: list[tuple[str, str]] = [("limit", str(LARGEST_PAGE)), *filters]
        items: list[M] = []
        cursor: tuple[tuple[str, str], ...] = ()
        seen: frozenset[str] = frozenset()
        while True:
            limit = None if ends is None else ends - self._transport.clock.monotonic()
            if limit is not None and limit <= 0:
                raise self._too_slow(plural, len(seen))
            request = build_request("GET", path, query=[*query, *cursor], time_limit=limit, **self._options)
            try:
                page = self._transport.read(request, partial(decode_page, model))
            except PermissionDeniedError as error:
                if error.type != "unknown":  # a gateway knows no scopes
                    error.message += (
                        f". To read the {plural} of the account, the API key needs the scope {scope}"
                    )
                raise
            except NotFoundError as error:  # nothing was asked for by an id
                error.message = f"the service has no list of {plural}, so charges cannot be checked there"
                raise
            except DeadlineExceededError as error:
                raise self._too_slow(plural, len(seen)) from error
            items += page.data
            if page.next_cursor is None or _are_older(page.data, since):
                return items
            seen = follow_cursor(seen, page.next_cursor)
            cursor = (("cursor", page.next_cursor),)
            if len(seen) >= MOST_PAGES:
                raise PaginationError(
                    f"the check ended after {MOST_PAGES:,} pages of the list of {plural}: check books with newer "
                    "orders only"
                )

    def _too_slow(self, plural: str, pages: int) -> DeadlineExceededError:
        deadline = self._transport.config.deadline or 0.0
        return DeadlineExceededError(
            f"the check did not finish within the deadline of {deadline:g} s: it read {count_of(pages, 'page')} of the "
            f"list of {plural}; increase deadline=, or check books with newer orders only",
            deadline=deadline,
        )


class Charges:
    """Notices, while a run orders, what the account is charged beyond its orders.

    Each response shows the balance. Only where it has not moved by what the orders cost, or is not shown, the latest
    page of transactions is read. The run continues without it.

    Args:
        book: the path of the folder, for messages.

    Attributes:
        is_due: whether the next look reads it whatever the balance: a job was charged before this run noted that.
    """

    def __init__(self, transport: Transport, book: object, **options: Unpack[RequestOptions]) -> None:
        self.is_due = False
        self._transport = transport
        self._book = book
        self._options = options
        # What was spent, and the balance, when both were last compared.
        self._spent: int | None = None
        self._balance: int | None = None
        self._may_read = True

    def begin(self, spent_cents: int) -> None:
        """Note the balance before the first order of this run; `spent_cents` is what earlier ones cost."""
        if self._spent is None:
            self._spent, self._balance = spent_cents, self._transport.key_state.credits_remaining_cents

    def note(self, record: OrderRecord) -> None:
        """Warn if the job of an order costs more than was asked for."""
        if (warning := fee_warning(record, self._book)) is not None:
            logger().warning("%s", warning)

    def look(self, spent_cents: int, records: Iterable[OrderRecord]) -> list[OrderRecord]:
        """Look at the account if a figure has moved that `spent_cents`, the cost of all orders, does not explain.

        Returns those of `records` whose jobs were charged more than they say, with their fee; each was warned of.
        """
        if self._spent is None or not self._may_read:
            return []
        due, balance = spent_cents - self._spent, self._transport.key_state.credits_remaining_cents
        is_shown = balance is not None and self._balance is not None
        # The sandbox charges nothing.
        is_explained = (self._balance or 0) - (balance or 0) in (due, 0) if is_shown else due == 0
        if is_explained and not self.is_due:
            return []
        self.is_due = False
        self._spent, self._balance = spent_cents, balance
        charged = with_fees(records, self._latest())
        for record in charged:
            self._spent += record.cost_cents - replace(record, fee_cents=0).cost_cents
            self.note(record)
        return charged

    def _latest(self) -> list[CreditTransaction]:
        query = [("limit", str(LARGEST_PAGE))]
        try:
            request = build_request(
                "GET", _TRANSACTIONS, query=query, retry=False, time_limit=_LOOK_SECONDS, **self._options
            )
            return (self._transport.read(request, partial(decode_page, CreditTransaction))).data
        except FirstHandError as error:
            self._may_read = False
            # A service may have no such list; its jobs show what they cost.
            say = logger().warning if isinstance(error, PermissionDeniedError) else logger().info
            say(
                "%s",
                f"a fee on an order would not be noticed: reading transactions needs usage:read; {error}",
            )
            return []


def _are_older(items: Sequence[M], since: float | None) -> bool:
    """Whether all items of a page are older than `since`; one without a time may not be."""
    moments = [fitting(item).created_at for item in items]
    return (
        since is not None
        and bool(moments)
        and all(moment is not None and moment.timestamp() < since for moment in moments)
    )
