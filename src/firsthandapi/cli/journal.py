"""`firsthandapi journal`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .options import argument
from .output import Output, command, moment, note, print_table
from .pages import group

if TYPE_CHECKING:
    from firsthandapi._journal import JournalFile

app = group("List the calls of a journal whose outcome is unknown, or forget one.")

JournalPath = Annotated[str, argument("PATH", "Journal, as in FirstHandClient(journal=PATH).")]


@command(app, "list")
def list_pending(path: JournalPath) -> Output:
    """List calls whose outcome is unknown, and stopped create_and_wait calls.

    The oldest call is first. To settle a call, run it again with this journal.

    Example: firsthandapi journal list orders.journal
    """
    found = [entry.pending() for entry in _journal(path).unknown()]
    names = ("key", "method", "path", "at", "job_id", "summary")
    rows = [
        (each.key, moment(each.at), f"{each.method} {each.path}", each.job_id, each.summary) for each in found
    ]
    return Output(
        [{name: getattr(each, name) for name in names} | {"at": each.at.isoformat()} for each in found],
        lambda: print_table(("key", "since", "call", "job", "summary"), rows, none="Nothing is pending."),
    )


@command(app)
def forget(
    path: JournalPath,
    key: Annotated[str, argument("KEY", "Idempotency key, as shown by list.")],
) -> None:
    """Forget a call whose outcome is unknown, so that the same call is sent again.

    You may then pay twice. Look for its job first: firsthandapi jobs list

    Example: firsthandapi journal forget orders.journal 3f2a…
    """
    journal = _journal(path)
    if not journal.forget(key):
        raise InvalidArgumentError(
            f"KEY {key} is not pending in {journal.path}; list the pending keys with firsthandapi journal list",
            field="key",
        )
    note(f"{key} is forgotten.")


def _journal(path: str) -> JournalFile:
    from firsthandapi._journal import journal_at

    if not os.path.exists(os.path.expanduser(path)):  # noqa: PTH110, PTH111 # no journal is created here
        raise ConfigurationError(f"no journal exists at {path}; check the path")
    return journal_at(os.path.expanduser(path))  # noqa: PTH111 # see above
