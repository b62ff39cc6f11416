"""The words that an option takes, and their completion."""

from __future__ import annotations

from typing import get_args

import pytest

from firsthandapi.cli.output import stars
from firsthandapi.types.enums import JobStatus, TransactionType

from .support import Cli


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("firsthandapi j", ["jobs"]),
        ("firsthandapi webhooks ", ["listen", "rotate-secret", "events"]),
        ("firsthandapi jobs list --status ", list(get_args(JobStatus))),
        ("firsthandapi jobs list --status in", ["in_progress"]),
        ("firsthandapi submissions list --status re", ["rejected", "retry_pending"]),
        ("firsthandapi webhooks create --events job.", ["job.completed", "job.cancelled", "job.flagged"]),
        ("firsthandapi keys create --scopes usage", ["usage:read"]),
        ("firsthandapi keys create --scopes jobs:read,usage", ["jobs:read,usage:read"]),
        ("firsthandapi transactions --type ", list(get_args(TransactionType))),
        ("firsthandapi audit --event-type api", ["api_key.created", "api_key.rotated", "api_key.revoked"]),
        ("firsthandapi purchase 2", ["2500", "25000"]),
        ("firsthandapi settings update --def", ["--default-type", "--default-price-per-file-cents"]),
    ],
)
def test_bash_completes_commands_options_and_words(shell: Cli, line: str, offered: list[str]) -> None:
    """The protocol as bash speaks it: the words so far in variables, the offers on stdout."""
    words = line.split(" ")
    shell.set(_FIRSTHANDAPI_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    run = shell()
    assert run.err == ""
    assert set(offered) <= set(run.out.split())
    assert all(offer.startswith(words[-1]) for offer in run.out.split())


def test_stars_end_at_five() -> None:
    """A rating from the network makes no line of a million stars."""
    assert [stars(rating) for rating in (None, -1, 3, 10**9)] == ["", "", "★★★", "★★★★★"]
