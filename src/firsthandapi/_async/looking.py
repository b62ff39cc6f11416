"""The current state of a campaign: its ledger, updated with the jobs as the service shows them. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Unpack

from firsthandapi._async.bridge import at_once, run_blocking
from firsthandapi._async.ordering import ask, end_of_search
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.longpoll import LIST_LAGS
from firsthandapi._core.campaigns.campaign import Spec, campaign_key
from firsthandapi._core.campaigns.ledger import CampaignLedger, campaign_in
from firsthandapi._core.campaigns.plan import make_plan
from firsthandapi._core.orders.ordering import LookFor, Read, Shown, Walk, search_start
from firsthandapi._core.orders.record import ShownJob, account_of, is_of
from firsthandapi.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport
    from firsthandapi.datasets._ledger import LedgerFolder
    from firsthandapi.types.options import RequestOptions

# Pages of the account's jobs to read for unfinished ones; older jobs are read one by one.
_MOST_PAGES = 10
# Pages to read for orders that a ledger restored from a copy lacks.
_MOST_PAGES_OF_ORDERS = 100


class Looking:
    """One look at a campaign.

    Attributes:
        may_read: whether the API key has shown that it may read jobs.
        walk: the latest search that has read every page; None before the first.
    """

    def __init__(
        self,
        transport: Transport,
        file: LedgerFolder,
        *,
        key_since: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        self.may_read = False
        self.walk: Walk | None = None
        self._transport = transport
        self._file = file
        self._key_since = key_since
        self._options = options

    async def ledger(
        self, spec: Spec, name: str | None, counting: Callable[[CampaignLedger], CampaignLedger]
    ) -> CampaignLedger:
        """The ledger of the campaign; if the file is lost, reconstructed from the jobs of the account. `counting` adds
        the counts of the files in the folder.
        Raises InvalidArgumentError: the campaign has another name.
        Raises FirstHandError: the ledger or the jobs cannot be read.
        """
        recorded = await run_blocking(self._file.read)
        if recorded is not None:
            if name is not None and recorded.campaign != campaign_key(name, ""):
                raise InvalidArgumentError(
                    f"the campaign in {self._file.path} was started under a different name; pass that name, or leave "
                    "it out",
                    field="name",
                )
            jobs, missing = await self._unfinished(recorded)
            ledger = counting(recorded.with_suspects(missing).with_jobs(jobs).with_moved(spec.moved))
            is_at_rest = ledger.is_confirmed and not make_plan(spec, ledger).orders
            return ledger if is_at_rest else await self.whole(spec, ledger)
        jobs = await self._jobs(search_start(self._key_since, ()))
        listed = {str(job["id"]) for job in jobs}
        job_ids = await run_blocking(self._file.recorded)
        for job_id in sorted(job_ids - listed):
            # The list may lag behind the folder. A job of another account is not found.
            with suppress(NotFoundError):
                jobs += (await self._ask(Read(job_id))).jobs
        rows_of, location = await run_blocking(self._file.rows_of), await run_blocking(self._file.location)
        campaign = campaign_in(spec, name, location, jobs, rows_of | job_ids)
        return counting(CampaignLedger(campaign).with_jobs(jobs).with_moved(spec.moved))

    async def whole(self, spec: Spec, ledger: CampaignLedger) -> CampaignLedger:
        """Add the orders that the ledger lacks because it is a copy. They are newer than its first order. One walk
        looks for the jobs of all orders that have none."""
        if ledger.is_confirmed:
            job_ids = set(ledger.job_ids) or None
            jobs = await self._jobs(self._start(ledger), job_ids, _MOST_PAGES_OF_ORDERS)
            return ledger.with_jobs(jobs).with_moved(spec.moved)
        self.walk = None
        jobs = await self._jobs(self._start(ledger))
        ledger = ledger.with_jobs(jobs).with_moved(spec.moved)
        return ledger if self.walk is None else ledger.without_found(self.walk)

    def _start(self, ledger: CampaignLedger) -> float | None:
        return search_start(self._key_since, (order.record.first_sent_at for order in ledger.orders))

    async def _unfinished(self, ledger: CampaignLedger) -> tuple[list[ShownJob], set[str]]:
        """The current jobs of the orders that are not closed; and of closed ones that have counted more files since, as
        far as the newest jobs show them. Also the ids that only the response to a POST has shown, and that the service
        does not have."""
        unfinished = [order for order in ledger.orders if not order.closed]
        closed = {order.record.job_id: order.approved for order in ledger.orders if order.may_be_late}
        if not unfinished and not closed:
            return [], set()
        open_ids = {str(order.job["id"]) for order in unfinished if order.job is not None}
        now = self._transport.clock.time()
        young = {
            order.record.job_id
            for order in unfinished
            if 0 <= now - (order.record.first_sent_at or 0) < LIST_LAGS
        }
        looked_for = open_ids.union(map(str, closed))
        jobs = await self._jobs(self._start(ledger), looked_for, _MOST_PAGES)
        jobs = [
            job for job in jobs if (int_or_none(job.get("files_approved")) or 0) > closed.get(job["id"], -1)
        ]
        open_ids &= looked_for
        account = account_of(self._transport.config, self._transport.key_state.organization)
        unseen = {
            order.record.job_id
            for order in unfinished
            if order.record.unseen and is_of(order.record, account)
        }
        missing: set[str] = set()

        async def read(job_id: str) -> None:
            try:
                jobs.extend((await self._ask(Read(job_id))).jobs)
            except NotFoundError as error:
                if job_id in young:
                    return  # just posted; the ledger has it from the response to its POST
                if job_id in unseen:
                    missing.add(job_id)
                    return
                error.message += (
                    f"; {job_id} is a job of the campaign in {self._file.path}: use the API key and base_url that it "
                    "was started with; if these are right, and billing.transactions() shows no charge for the job, "
                    "remove its record in .firsthandapi/orders"
                )
                raise

        await at_once([partial(read, job_id) for job_id in sorted(open_ids)])
        return jobs, missing

    async def _jobs(
        self, since: float | None, targets: set[str] | None = None, most_pages: float = inf
    ) -> list[ShownJob]:
        """The jobs of the account that have an idempotency key, created at `since` or later. With `targets`, read until
        all of these are found; each one found is removed from `targets`."""
        jobs: list[ShownJob] = []
        question: LookFor | None = LookFor(None, since=since)
        pages, ends = 0, end_of_search(self._transport)
        walk = Walk(self._transport.clock.time())
        while question is not None and pages < most_pages and (targets is None or targets or not pages):
            page = await self._ask(question, ends)
            question = page.unread
            jobs += page.jobs
            pages += 1
            walk = walk.after(page)
            if targets is not None:
                targets.difference_update(str(job["id"]) for job in page.jobs)
        self.walk = walk if question is None else self.walk
        return jobs

    async def _ask(self, question: LookFor | Read, ends: float | None = None) -> Shown:
        answer, _ = await ask(self._transport, question, ends, **self._options)
        self.may_read = True
        return answer
