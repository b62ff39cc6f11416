"""The rules of the service over one state, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import Account, Delivery, DeliveryAttempt, Job
from firsthandapi_server.state.state import State, Timekeeper

from .accounts import Accounts
from .credits import Credits
from .events import RETRY_DELAYS, Events
from .jobs import Jobs


class World:
    """One service. Whoever calls in holds `lock`.

    Args:
        clock: the time.
        seed: of the random numbers.
        state: one that is kept somewhere; a new one in memory if left out.
    """

    def __init__(self, clock: Timekeeper, *, seed: int = 0, state: State | None = None) -> None:
        self.state = state or State(clock, seed)
        self.clock = clock
        self.lock = self.state.lock
        self.events = Events(self.state)
        self.credits = Credits(self.state, self.events)
        self.accounts = Accounts(self.state, self.events, self.credits)
        self.jobs = Jobs(self.state, self.events, self.credits)
        # A consent of whoever has worked for an account, as the contract shows it: a server with a study has some.
        self.consent_of: Callable[[str, Account], dict[str, Any] | None] = lambda _id, _account: None

    def resume(self, *, live: bool = True) -> None:
        """Continue unfinished work after a restart: call it once, before the first request.

        Set `events.send`, `jobs.workforce`, and `jobs.jury` first. Without `live`, the jury itself knows which live
        submissions wait for it.
        """
        with self.lock:
            self.jobs.resume(live=live)
            self.credits.resume()
            self.events.resume()

    def delivered(self, delivery: Delivery, attempt: DeliveryAttempt) -> None:
        """Record an attempt to deliver a webhook. If that cannot be kept, the delivery is tried again later."""
        try:
            with self.lock:
                self.events.delivered(delivery, attempt)
        except NotKeptError:
            with self.lock:
                self.events.repeat(delivery, attempt.at + RETRY_DELAYS[0])

    def close(self) -> None:
        """Let go of what keeps the state. Nobody may call in any more."""
        self.state.close()

    def check_books(self) -> None:
        """Assert that every ledger adds up, and every job's escrow and slots with it."""
        for account in self.state.accounts():
            account.book.check(self.state.sums_of(account))
            for job in account.jobs:
                _check_job(job)


def _check_job(job: Job) -> None:
    approved = len(job.approved)
    pending = sum(
        len(submission.files)
        for submission in job.submissions
        if submission.status in ("pending_score", "retry_pending")
    )
    total = 0 if job.account.is_sandbox else job.files_needed * job.price
    paid = 0 if job.account.is_sandbox else approved * job.price
    held = 0 if job.is_terminal else total - paid
    rules = {
        "total": (job.escrow.total, total),
        "paid": (job.escrow.paid, paid),
        "held": (job.escrow.held, held),
        "pending": (job.pending, pending),
        "completed": (job.status == "completed", approved == job.files_needed),
        "free slots": (min(job.free_slots, 0), 0),
    }
    wrong = [
        f"{name} {actual}, not {expected}" for name, (actual, expected) in rules.items() if actual != expected
    ]
    if wrong:
        raise AssertionError(f"{job.id} does not add up: {'; '.join(wrong)}")
