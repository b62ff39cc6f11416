# Made from _async/resources/orders.py by `make generate`. Do not edit.
"""What folders, journals, and agents' ledgers have recorded as ordered, and what the account was charged for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from firsthandapi._core.calls.idempotency import check_key
from firsthandapi._core.orders.account import Order, OrderCheck, check_account, earliest, order_of
from firsthandapi._core.orders.ordering import search_start
from firsthandapi._sync.accounts import AccountReader
from firsthandapi._sync.bridge import finish_blocking, run_blocking
from firsthandapi._sync.calls import Resource
from firsthandapi.campaigns import Campaign
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._books import forget_order, read_books
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types.options import RequestOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

Book = str | os.PathLike[str] | Dataset | Campaign


class Orders(Resource):
    """Recorded orders. A book is a dataset, a campaign, or the path of a dataset, a journal, or an agents' ledger."""

    def check(self, *books: Book, **options: Unpack[RequestOptions]) -> OrderCheck:
        """Compare the orders of books with what the account was charged. Nothing is changed or cancelled.

        The jobs and the transactions of the account are read since a day before the first order, 100 per request. A
        transaction belongs to an order by its `job_id`, else by the id of a job in its description; all others are of
        somebody else and are not looked at. Reading needs the scopes `jobs:read` and `usage:read`.

        Args:
            *books: a `Dataset`, a `Campaign`, or a path or URL: of a dataset's folder, of the folder of `journal=`, or
                of an agents' ledger. Check the books of one account together: an order in two of them counts once.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The comparison: `orders`, `expected_cents`, `charged_cents`, `duplicates`, and `unexplained`; truthy if
            every charge is explained and no key has bought two jobs.

        Raises:
            PermissionDeniedError: the API key lacks `jobs:read` or `usage:read`; the message names the scope.
            ConfigurationError: a book does not exist, or a record in it is damaged; the message names its path.
            DeadlineExceededError: the jobs, or the transactions, were not read within the client's `deadline`.
            PaginationError: the account has more than 1,000 pages of jobs or of transactions since the first order.
            InvalidArgumentError: a book is none of these.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Billing", §3 "CreditTransaction".
        """
        records = [record for _, record in run_blocking(read_books, _places(books))]
        reader = AccountReader(self._transport, **options)
        since = search_start(earliest(records), ())
        jobs = reader.jobs(since)
        return check_account(records, jobs, reader.transactions(since))

    def list(self, *books: Book) -> tuple[Order, ...]:
        """List the records of books, each book's oldest first. Nothing is requested.

        A journal contains only calls whose outcome is unknown, and stopped calls of `jobs.create_and_wait`.

        Args:
            *books: as for `check`.

        Returns:
            One `Order` per record: `book`, `key`, `label`, `job_id`, `status`, `files`, `cost_cents`, `sent_at`, and
            more.

        Raises:
            ConfigurationError: a book does not exist, or a record in it is damaged; the message names its path.
            InvalidArgumentError: a book is none of these.
        """
        return tuple(order_of(book, record) for book, record in run_blocking(read_books, _places(books)))

    def forget(self, book: Book, key: str) -> None:
        """Give up an order or another POST whose outcome is unknown. It then costs a budget nothing.

        The same call then buys again, with another key. So first make sure that your account has no job with this key.
        An order whose job is known is refused: to stop that job, cancel it.

        Args:
            book: as for `check`.
            key: its idempotency key, as `list` and errors show it.

        Raises:
            InvalidArgumentError: the book has no such key, or its job is known.
            ConfigurationError: the book does not exist, cannot be written, or another process is writing to it.
        """
        check_key(key)
        (place,) = _places([book])
        finish_blocking(forget_order, place, key)


def _places(books: Iterable[Book]) -> list[str | os.PathLike[str]]:
    """The folders of books. Raises InvalidArgumentError: there are none, or one is no book."""
    places: list[str | os.PathLike[str]] = []
    for book in books:
        place = book.path if isinstance(book, Dataset) else book.dest if isinstance(book, Campaign) else book
        if not isinstance(place, str | os.PathLike) and not hasattr(place, "protocol"):
            raise InvalidArgumentError(
                f"a book must be a path, a Dataset, or a Campaign, not a value of type {type(book).__name__}",
                field="books",
            )
        places.append(place)
    if not places:
        raise InvalidArgumentError("no book was passed: pass a path, a Dataset, or a Campaign", field="books")
    return places
