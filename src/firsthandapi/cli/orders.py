"""`firsthandapi orders`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from .options import argument
from .output import Output, as_json, command, dollars, moment, note, print_table
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient

app = group("List recorded orders, check them against the account, or give one up.")

_BOOK = "Folder or bucket URL of a dataset, or folder of a journal or of an agents' ledger."
Books = Annotated[list[str], argument("BOOK...", _BOOK)]


@command(app, "list")
def list_orders(books: Books) -> Output:
    """List the orders of a dataset, a journal, or an agents' ledger.

    Nothing is requested. A journal contains only calls whose outcome is unknown. To
    settle an unconfirmed order, run the call or campaign that made it again.

    Example: firsthandapi orders list signs
    """
    from firsthandapi._core.orders.account import order_of
    from firsthandapi.datasets._books import read_books

    orders = [order_of(book, record) for book, record in read_books(books)]
    rows = [
        (
            order.key or "",
            moment(order.sent_at),
            order.status,
            order.job_id,
            order.label,
            dollars(order.cost_cents),
            order.summary,
        )
        for order in orders
    ]
    names = ("key", "sent", "status", "job", "label", "cost", "request")
    return Output(
        [{**vars(order), "sent_at": order.sent_at and order.sent_at.isoformat()} for order in orders],
        lambda: print_table(names, rows, none="No orders."),
    )


@command(app)
def check(api: FirstHandClient, books: Books) -> Output:
    """Compare recorded orders with what the account was charged.

    The command names charges that no order explains, and jobs that have the key of an
    order that has another job, and exits with 1 if there are any. It cancels nothing.

    Example: firsthandapi orders check signs
    """
    result = api.orders.check(*books)
    return Output(
        {
            "orders": result.orders,
            "expected_cents": result.expected_cents,
            "charged_cents": result.charged_cents,
            "duplicates": [as_json(job) for job in result.duplicates],
            "unexplained": [as_json(charge) for charge in result.unexplained],
        },
        str(result),
        code=0 if result else 1,
    )


@command(app)
def forget(
    book: Annotated[str, argument("BOOK", _BOOK)],
    key: Annotated[str, argument("KEY", "Idempotency key, as shown by list.")],
) -> None:
    """Give up an order whose job cannot be found, or a call of a journal.

    The same call then buys again, with another key, and you may pay twice. Look for
    the job first: firsthandapi jobs list

    An order whose job is known is refused.

    Example: firsthandapi orders forget signs fh-…
    """
    from firsthandapi.datasets._books import forget_order

    forget_order(book, key)
    note(f"{key} is forgotten.")
