# Made from _async/resources/campaigns.py by `make generate`. Do not edit.
"""Campaigns: many jobs, one dataset, one budget."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from firsthandapi._base.forks import importing
from firsthandapi._base.progress import progress_line
from firsthandapi._core.calls.config import DEFAULT_WAIT
from firsthandapi._core.calls.idempotency import check_since
from firsthandapi._core.calls.request import check_whole_timeout
from firsthandapi._sync.bridge import Callback
from firsthandapi._sync.calls import Resource
from firsthandapi._sync.reader import board_of
from firsthandapi.campaigns import Campaign, CampaignPlan
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types.options import ExtraOptions, RequestOptions

if TYPE_CHECKING:
    from firsthandapi._core.orders.reports import CampaignProgress
    from firsthandapi.datasets import Dataset
    from firsthandapi.types.event import WebhookEvent
    from firsthandapi.types.job import Job


class Campaigns(Resource):
    """Campaigns; planning needs the scope `jobs:read`, running and cancelling also `jobs:write`."""

    def plan(
        self, campaign: Campaign, *, key_since: datetime | None = None, **options: Unpack[RequestOptions]
    ) -> CampaignPlan:
        """Show what `run` would order now. Nothing is written or ordered.

        A campaign that has all of its files costs no request; otherwise the list of jobs is read.

        Args:
            campaign: the campaign.
            key_since: an aware datetime before which the campaign never ran: the search for its jobs reads only jobs
                that are younger, or older by less than a day.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The plan: `orders`, `cost_cents`, `spent_cents`, `budget_cents`; printed, it is a table.

        Raises:
            ConfigurationError: a record of an order is damaged or of a later version.
            FirstHandError: any other failure; its subclass names it.
        """
        with importing():
            from firsthandapi._sync.campaigns import Campaigning
        since = check_since(key_since, self._transport.clock.time())
        return Campaigning(self._transport, _checked(campaign), key_since=since, **options).plan()

    def run(
        self,
        campaign: Campaign | CampaignPlan,
        *,
        timeout: float | None = DEFAULT_WAIT,
        concurrency: int = 32,
        on_progress: Callback[CampaignProgress] | None = None,
        progress: bool = True,
        key_since: datetime | None = None,
        **options: Unpack[ExtraOptions],
    ) -> Dataset:
        """Order what the campaign lacks, wait for all of its jobs, and download their files into `data/<label>/`.

        After a crash at any point, the same call continues: it orders nothing twice. Files that exist or are on their
        way are not ordered; if you increase `files_needed`, the difference is. Files that no order has covered yet
        are ordered for all labels or, if they do not fit into the budget, for none. Files of a cancelled job, and
        with `unique` those with the bytes of another file, are replaced as far as the budget goes; a label whose last
        three orders brought nothing is not ordered again until its fields change. Where the account may have only one
        unfinished job, as on the free tier, the labels are ordered one after the other.

        Args:
            campaign: the campaign; or a plan of it: then nothing is ordered if the plan no longer holds, because
                orders, spending, or the budget have changed since.
            timeout: seconds for the whole call, 0 or more; None waits without limit. The client's `timeout` applies
                to each request.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `CampaignProgress`, in your thread or loop, in place of the line of `progress`.
            progress: whether to redraw one line on standard error, on a terminal and in a notebook. With
                `FIRSTHAND_PROGRESS=0` in the environment, none is shown.
            key_since: an aware datetime before which the campaign never ran: the search for its jobs reads only jobs
                that are younger, or older by less than a day.
            **options: `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The dataset, with the labels of its files.

        Raises:
            SpendLimitError: the budget does not suffice. If files were never ordered, nothing is ordered; if
                replacements are, everything else was done.
            IncompleteJobError: the last three orders of a label brought nothing, or the service does not list all
                files that it counts; `.dataset` contains what came.
            DownloadError: some files could not be downloaded; the same call downloads the rest.
            WaitTimeoutError: the jobs did not finish in time; the same call continues them.
            PermissionDeniedError: the API key may not post jobs, or another job of a free-tier account is unfinished.
            InsufficientCreditsError: the balance does not cover the next order; purchase credits, and run it again.
            ConfigurationError: `dest` cannot be written to, a record of an order is damaged or of a later version, or
                labels accept other media than before. Nothing was ordered.
            InvalidArgumentError: `dest` is the folder of a job without a label, or the plan no longer holds; the
                message says what changed.
            FirstHandError: any other failure; its subclass names it. If it ends the call after an order, `.job` is a
                job of the campaign.

        Contract: §1 "Idempotency", §2 "Jobs", "Files".
        """
        with importing():
            from firsthandapi._sync.campaigns import Campaigning
        timeout, since = check_whole_timeout(timeout), check_since(key_since, self._transport.clock.time())
        plan = campaign if isinstance(campaign, CampaignPlan) else None
        checked = _checked(campaign if plan is None else plan.campaign)
        with self._span("campaigns.run"), progress_line(on_progress, progress, checked.dest) as callback:
            return Campaigning(self._transport, checked, key_since=since, **options).run(
                plan=plan, timeout=timeout, concurrency=concurrency, on_progress=callback
            )

    def cancel(self, campaign: Campaign, label: str, **options: Unpack[RequestOptions]) -> tuple[Job, ...]:
        """Cancel the unfinished jobs of a label. The service refunds the files that did not come, and the campaign
        books the refund; approved files stay.

        The next `run` orders the missing files again, as after any cancelled job: to prevent that, first decrease the
        label's `files_needed`, or remove the label from `jobs`. A run in another process books the refund by itself.

        Args:
            campaign: the campaign.
            label: the label; one that was removed from `jobs` has its jobs still.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The jobs, as they are now: `cancelled`, or `completed` if one was finished before; empty if none was
            unfinished.

        Raises:
            InvalidArgumentError: the campaign has no such label.
            ConfigurationError: a record of an order is damaged or of a later version, or cannot be written.
            FirstHandError: any other failure; its subclass names it. The same call cancels the rest.

        Contract: §2 "Jobs".
        """
        with importing():
            from firsthandapi._sync.campaigns import Campaigning
        return Campaigning(self._transport, _checked(campaign), **options).cancel(label)

    def wake(self, event: WebhookEvent) -> None:
        """Have running campaigns and `jobs.follow` look at a job now, because a webhook has reported it.

        They look by themselves every 10 seconds or sooner; with webhooks a file comes seconds earlier. Without one of
        them running in this process, nothing happens.

            router.on("*")(client.campaigns.wake)

        Args:
            event: what `webhooks.unwrap` returns, or an `EventRouter` passes.
        """
        job_id = getattr(event.data, "job_id", None)
        if isinstance(job_id, str):
            board_of(self._transport).wake(job_id)


def _checked(campaign: object) -> Campaign:
    if not isinstance(campaign, Campaign):
        raise InvalidArgumentError(
            f"campaign must be a Campaign, not a value of type {type(campaign).__name__}: pass Campaign.load(path) or "
            "Campaign(dest=…, budget_cents=…, jobs={…})",
            field="campaign",
        )
    return campaign
