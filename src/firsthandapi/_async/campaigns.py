"""Campaigns: order what is missing, watch all jobs by one reader, and download every file into one folder."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from firsthandapi._async.accounts import Charges
from firsthandapi._async.bridge import (
    Callback,
    at_once,
    call_back,
    calls_from_threads,
    ended,
    ending_with,
    finish_blocking,
    run_blocking,
)
from firsthandapi._async.collecting import MOST_PENDING, REPORT_EVERY, Collecting, approved_of
from firsthandapi._async.following import HEAD_EVERY, Following
from firsthandapi._async.looking import Looking
from firsthandapi._async.ordering import order_once
from firsthandapi._async.reader import SharedReader, board_of, name_twins
from firsthandapi._async.waiting import Waiting, short_count
from firsthandapi._async.workers import note_workers
from firsthandapi._base.counts import count_of
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.calls.longpoll import LIST_LAGS, Pauses, count_pause
from firsthandapi._core.calls.lost_answers import continues, several
from firsthandapi._core.calls.places import AT_ONCE
from firsthandapi._core.calls.spend import check_spend
from firsthandapi._core.campaigns.campaign import (
    check_deadlines,
    check_known,
    check_labels,
    metadata_of,
)
from firsthandapi._core.campaigns.ledger import CampaignLedger
from firsthandapi._core.campaigns.plan import (
    CampaignPlan,
    PlannedOrder,
    Planner,
    check_kinds,
    check_unconfirmed,
    in_vain,
    make_plan,
    next_orders,
    outdated,
    over_budget,
    request_of,
    to_send,
)
from firsthandapi._core.files.kinds import is_mixed
from firsthandapi._core.orders.record import ShownJob, dump, load
from firsthandapi._core.orders.reports import CampaignProgress, LabelProgress, Tally
from firsthandapi._core.rows.manifest import origin_of
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._downloads import Downloads
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._ledger import LedgerFolder, OrderBook
from firsthandapi.datasets._manifest import Source
from firsthandapi.errors import (
    ConfigurationError,
    ConflictError,
    FirstHandApiError,
    FirstHandError,
    IncompleteJobError,
    InvalidArgumentError,
    PermissionDeniedError,
    SpendLimitError,
    WaitTimeoutError,
)
from firsthandapi.types.job import Job

E = TypeVar("E", bound=BaseException)

if TYPE_CHECKING:
    from datetime import datetime

    from firsthandapi._async.transport import Transport
    from firsthandapi._core.rows.manifest import Record
    from firsthandapi.campaigns import Campaign
    from firsthandapi.types.file import File
    from firsthandapi.types.options import RequestOptions

# Seconds after a look at the jobs until the run looks for orders of other machines: until then, the service still knows
# their idempotency keys.
_LOOK_AGAIN = 3600.0


class Followed:
    """One job of the campaign whose files the run downloads.

    Attributes:
        number: the index of its order in the ledger.
        over_at: the time since which every look has shown it finished; None while it is not.
        most: the highest number of approved files that the job has counted or listed since `over_at`.
        is_read: whether the run has read its whole list since then.
        due, counted: when its list is read again if its files are late, unless it counts another number than this.
        is_stale: whether only the response to an earlier POST has shown the job, which may have finished since.
        retried: whether the run has tried its failed files again.
    """

    def __init__(self, transport: Transport, number: int, waiting: Waiting, source: Source) -> None:
        self.number = number
        self.waiting = waiting
        self.source = source
        self.following = Following(transport, waiting)
        self.reader = SharedReader(transport, waiting)
        self.over_at: float | None = None
        self.most = 0
        self.is_read = self.retried = False
        self.due = 0.0
        self.counted: int | None = -1
        job = waiting.job
        self.is_stale = job is not None and not job.is_terminal and job.response.idempotent_replay

    async def read(self) -> None:
        """Read the job by itself, once."""
        self.is_stale = False
        await self.reader.read()

    @property
    def is_late(self) -> bool:
        """Whether the job has finished, and its files have not all come yet."""
        return self.over_at is not None and not self.is_read

    @property
    def is_new_end(self) -> bool:
        """Whether the job has finished, and its list was not read since."""
        return self.over_at is None and self.waiting.job is not None and self.waiting.job.is_terminal


class Campaigning(Collecting):
    """One run of a campaign."""

    def __init__(
        self,
        transport: Transport,
        campaign: Campaign,
        *,
        key_since: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        super().__init__(transport, **options)
        self._key_since = key_since
        self._campaign = campaign
        self._spec = campaign._spec  # pyright: ignore[reportPrivateUsage] # of one house
        self._file = LedgerFolder(campaign.dest)
        self._planner = Planner(self._spec)
        self._charges = Charges(transport, self._file.path, **self._options)
        self._pauses = Pauses()
        self._followed: dict[int, Followed] = {}
        # Every job that this run has followed, including those that are done.
        self._all: list[Followed] = []
        self._done: set[int] = set()
        # The keys of orders that the latest look at the account has not found, and that were not sent since.
        self._missing: set[str] = set()
        # The number of unfinished jobs at which the service refused another one.
        self._room = inf
        # By job, the SHA-256 of each file, by file id.
        self._hashes: dict[str, dict[str, str]] = {}
        # By label, the files of jobs that need not be followed.
        self._before: dict[str | None, Tally] = {}
        self._bytes_before = 0
        self._reported: CampaignProgress | None = None
        self._reports_at = 0.0

    async def plan(self) -> CampaignPlan:
        """The orders that `run` would make now."""
        looking = Looking(self._transport, self._file, key_since=self._key_since, **self._options)
        ledger = await self._look(looking, Folder(self._campaign.dest))
        return replace(make_plan(self._spec, ledger), campaign=self._campaign)

    async def run(
        self,
        *,
        plan: CampaignPlan | None,
        timeout: float | None,
        concurrency: int,
        on_progress: Callback[CampaignProgress] | None,
    ) -> Dataset:
        """Order, watch, and download, until there is nothing left to do."""
        self._until = self._ends(timeout)
        self._on_progress = on_progress
        self._in = folder = self._folder(self._campaign.dest, concurrency, on_progress, None)
        self._looking = looking = Looking(
            self._transport, self._file, key_since=self._key_since, **self._options
        )
        try:
            async with ending_with(folder.close):
                # Find problems that would prevent downloads before money moves.
                Downloads.check_network(self._transport.config, self._transport.shared.http_client)
                await self._enter(folder, self._until)
                self._looked_at = self._transport.clock.time()
                ledger = await self._look(looking, folder)
                self._may_read = looking.may_read
                self._missing = _without_job(ledger)
                self._charges.is_due = bool(self._missing or ledger.job_ids - self._file.ledger.job_ids)
                self._check_orders(ledger, plan)
                await finish_blocking(self._file.write, ledger)
                for old, new in self._spec.moved.items():
                    await finish_blocking(folder.move_label, old, new)
                await run_blocking(self._note_rows, folder)
                downloads = await self._follow_all(folder, concurrency)
                await self._note_fees()
        except WaitTimeoutError as error:
            raise self._noted(self._timed_out(error)) from error.__cause__
        except BaseException as error:
            self._noted(error)
            if isinstance(error, FirstHandError):
                error.job = error.job or self._last_job()
            raise
        return await self._result(folder, downloads)

    async def cancel(self, label: str) -> tuple[Job, ...]:
        """Cancel the unfinished jobs of a label, and record the refunds."""
        folder = Folder(self._campaign.dest)
        looking = Looking(self._transport, self._file, **self._options)
        async with ending_with(folder.close):
            # A run that has locked the folder sees the jobs end, and records it.
            is_ours = await run_blocking(folder.lock)
            ledger = await looking.ledger(self._spec, self._campaign.name, lambda ledger: ledger)
            check_known(label, {*self._spec.jobs, *(order.label for order in ledger.orders)})
            jobs: list[Job] = []
            for order in ledger.of(label):
                if order.job is None or order.is_over:
                    continue
                jobs.append(job := await self._cancelled(order.job["id"]))
                ledger = ledger.with_jobs([dump(job)])
                if is_ours:
                    await finish_blocking(self._file.write, ledger)
        return tuple(jobs)

    async def _cancelled(self, job_id: str) -> Job:
        path = f"/v1/jobs/{job_id}"
        try:
            return await self._write(Job, "POST", f"{path}/cancel", **self._options)
        except ConflictError:  # the job has ended meanwhile
            return await self._get(Job, path, **self._options)

    # ── Before anything is ordered ───────────────────────────────────────────────────────────────────────

    async def _look(self, looking: Looking, folder: Folder) -> CampaignLedger:
        """The ledger, after checking that `run` can run the campaign in this folder. Writes nothing."""
        spec, now = self._spec, self._transport.clock.time()
        await run_blocking(self._check_folder, folder)
        labels = await run_blocking(folder.labels)
        files, decided = await run_blocking(folder.files_decided)
        if not await run_blocking(self._file.read):
            check_deadlines(spec, spec.jobs, now)

        def counting(ledger: CampaignLedger) -> CampaignLedger:
            if not decided.decisions:
                return ledger
            return ledger.with_files(files, decided.with_moved(spec.moved), unique=spec.unique)

        ledger = await looking.ledger(spec, self._campaign.name, counting)
        moved = {spec.moved.get(label, label) for label in labels}
        check_labels(spec, moved.union(order.label for order in ledger.orders))
        if problem := check_kinds(spec, ledger):
            raise ConfigurationError(
                f"{problem}: loaders could not read them together; use a different folder"
            )
        for used, twin in ledger.twins:
            board_of(self._transport).note_twins(used, [twin])
        plan = make_plan(spec, ledger)
        check_deadlines(spec, (order.label for order in plan.orders), now)
        if plan.orders:
            coming = Counter({entry.label: entry.coming for entry in plan.labels if entry.label in spec.jobs})
            coming.update({order.label: order.files for order in plan.orders})
            formats = [(spec.jobs[label]["accepted_formats"], files) for label, files in coming.items()]
            await run_blocking(folder.check_room, formats)
        return ledger

    def _check_folder(self, folder: Folder) -> None:
        if self._file.is_of_one_job():
            raise InvalidArgumentError(
                f"dest is the folder of a job without a label: {folder.path}; use a different folder",
                field="dest",
            )
        folder.refuse_links()
        for label, request in self._spec.jobs.items():
            folder.check(request["accepted_formats"], findable=True, label=label)

    def _check_orders(self, ledger: CampaignLedger, plan: CampaignPlan | None) -> None:
        """Before the first order, refuse orders that exceed a limit or differ from `plan`."""
        spec, now = self._spec, make_plan(self._spec, ledger)
        if plan is not None and (error := outdated(plan, now)):
            raise error
        check_unconfirmed(spec, ledger, self._transport.config.max_spend_cents)
        for order in now.orders:
            if not order.unconfirmed:
                check_spend(order.files, order.price_per_file_cents, self._transport.config.max_spend_cents)
        next_orders(spec, ledger)

    def _note_rows(self, folder: Folder) -> None:
        """Note which rows the folder has of each order. A closed order with all of its files need not be followed."""
        rows: dict[str | None, list[Record]] = {}
        for record in folder.rows_in_place():
            rows.setdefault(record.job_id, []).append(record)
        self._hashes = {
            str(job_id): {row.file_id: row.sha256 for row in records} for job_id, records in rows.items()
        }
        for number, order in enumerate(self._file.ledger.orders):
            order_rows = rows.get((order.job or {}).get("id"), [])
            if order.closed and len(order_rows) >= order.approved - order.repeated:
                self._done.add(number)
                for row in order_rows:
                    if row.file_id in folder.decided.excluded:
                        continue
                    label = row.label or order.label
                    self._bytes_before += row.size_bytes
                    self._before[label] = self._before.get(label, Tally()).plus(row.ai_star_rating)

    # ── Until the folder has all files ───────────────────────────────────────────────────────────────────

    async def _follow_all(self, folder: Folder, concurrency: int) -> Downloads:
        async with calls_from_threads() as call:
            self._downloads = downloads = Downloads(
                folder,
                self._transport.config,
                ordered=0,
                concurrency=concurrency,
                refresh=lambda file_id: call(self._fresh_url, file_id),
                clock=self._transport.clock,
            )
            try:
                while True:
                    await self._report(at_once=True)
                    await self._order()
                    if not self._followed:
                        break
                    await self._beat()
                await self._report(at_once=True)
            except FirstHandError as error:
                error.failures = downloads.failures(self._unusable())
                raise
            finally:
                for task in self._followed.values():
                    task.reader.leave()
                await finish_blocking(downloads.stop)
                await self._write_last_seen_of_all()
        return downloads

    async def _order(self) -> None:
        """Follow the orders that are not followed yet, and make all orders that are possible now."""
        self._follow_known()
        if len(self._followed) >= self._room:
            return
        try:
            await self._buy_all()
            self._room = inf
        except PermissionDeniedError as error:
            if error.type != "free_tier_job_limit":
                raise
            if not self._followed:
                error.message = (
                    f"{error.message.rstrip('.')}; no job of this campaign is unfinished, so another one of the "
                    "account is: wait until it is finished, or cancel it, then run the same call again"
                )
                raise
            # Order the next job when one of these has ended.
            self._room = len(self._followed)

    def _follow_known(self) -> None:
        for number, order in enumerate(self._file.ledger.orders):
            if order.job is not None and number not in self._followed and number not in self._done:
                # What is finished was just looked at.
                is_known = order.is_over and not order.closed
                self._follow(number, load(order.job) if is_known else None)

    async def _buy_all(self) -> None:
        self._charges.begin(self._file.ledger.spent_cents)
        lost = to_send(self._spec, self._file.ledger)
        for number, order in enumerate(self._file.ledger.orders):
            if order.key in lost:
                await self._buy(number, order.label, order.request)
        while orders := await self._next_orders():
            for planned in orders:
                if await self._look_again():
                    self._follow_known()
                    break
                if not await self._buy_planned(planned) or await self._note_fees():
                    break

    async def _next_orders(self) -> list[PlannedOrder]:
        await self._note_fees()
        try:
            return next_orders(self._spec, self._file.ledger)
        except SpendLimitError:
            # A fee has taken what was planned for them: what was ordered is downloaded first.
            return []

    async def _buy_planned(self, planned: PlannedOrder) -> bool:
        """Make an order. Returns whether the rest of the plan holds: another machine may have made a different one, and
        the service may charge more."""
        ledger = self._file.ledger
        request = request_of(self._spec, planned)
        request["metadata"] = metadata_of(request, ledger.campaign, ledger.first_label(planned.label))
        number = ledger.keys.get(ledger.next_key(planned.label), len(ledger.orders))
        await self._buy(number, planned.label, request)
        order = self._file.ledger.orders[number]
        self._charges.note(order.record)
        return order.files == planned.files and order.spent_cents <= planned.cost_cents

    async def _note_fees(self) -> bool:
        """Count what the account was charged beyond the orders. Returns whether that is more than before."""
        ledger = self._file.ledger
        charged = await self._charges.look(ledger.spent_cents, (order.record for order in ledger.orders))
        fees = {record.job_id: record.fee_cents for record in charged}
        for number, order in enumerate(ledger.orders if fees else ()):
            if order.record.job_id in fees:
                dearer = order.with_(fee_cents=fees[order.record.job_id])
                await finish_blocking(self._file.put, number, dearer)
        return bool(fees)

    async def _look_again(self) -> bool:
        """If the last look was long ago, look for orders of other machines. Returns whether it found new ones."""
        now, file = self._transport.clock.time(), self._file
        if 0 <= now - self._looked_at < _LOOK_AGAIN:
            return False
        self._looked_at, ledger = now, await self._looking.whole(self._spec, file.ledger)
        self._missing = _without_job(ledger)
        news = ledger != file.ledger
        if news:
            await finish_blocking(self._in.write_rows)
            await finish_blocking(file.write, ledger)
        return news

    async def _buy(self, number: int, label: str, request: dict[str, Any]) -> None:
        clock, pauses, ledger = self._transport.clock, Pauses(), self._file.ledger
        ends = min(clock.monotonic() + LIST_LAGS, inf if self._until is None else self._until)
        is_known = number < len(ledger.orders)
        refused: FirstHandError | None = None
        key = ledger.orders[number].key if is_known else ledger.next_key(label)
        walk = None if is_known and key not in self._missing else self._looking.walk
        self._missing.discard(key)
        while True:
            try:
                _, job = await order_once(
                    self._transport,
                    OrderBook(self._file, number, label),
                    request,
                    None,
                    ends=self._until,
                    may_read=self._may_read,
                    label=label,
                    derived=key,
                    key_since=self._key_since,
                    walk=walk,
                    **self._options,
                )
                break
            except FirstHandError as error:
                refused = refused or error
                if clock.monotonic() >= ends or not _may_be_used(error):
                    raise refused from refused.__cause__
            walk = None
            # Another machine may have posted this order, and the list of jobs does not show its job yet.
            await clock.sleep(min(pauses.longer(), ends - clock.monotonic()))
        self._may_read = True
        self._follow(number, job)
        await self._report()

    def _follow(self, number: int, job: Job | None) -> None:
        order = self._file.ledger.orders[number]
        waiting = Waiting(
            self._transport, (order.job or {})["id"], ends=self._until, job=job, is_new=True, **self._options
        )
        waiting.most_approved = max(waiting.most_approved, approved_of(order.record))
        is_in_kinds = is_mixed(order.request["accepted_formats"])
        source = Source(waiting.job_id, is_in_kinds, origin_of(self._transport.config), order.label)
        task = Followed(self._transport, number, waiting, source)
        task.following.again = self._downloads.failed
        task.reader.join()
        self._followed[number] = task
        self._all.append(task)

    async def _beat(self) -> None:
        """Read the list of jobs when it is due, unless a job is known to be finished; then the new files of each job
        that has more files."""
        pacer = next(iter(self._followed.values()))
        await self._wait_for_downloads(0, lambda: pacer.reader.due)
        if await self._finish():
            return
        followed = self._followed.values()
        queue = [task for task in followed if task.is_new_end]
        if not queue:
            await self._rest(pacer)
            await pacer.reader.next_read(self._until_next())
            if (failure := pacer.reader.failure) is not None:
                await pacer.waiting.bear(failure, self._pauses)
                return
            self._pauses.reset()
            await self._take_twins(pacer.reader.twins)
            stale = [task for task in followed if task.is_stale and not task.reader.is_listed]
            await at_once([task.read for task in stale])
            queue = [task for task in followed if task.reader.has_turn]
            for task in queue:
                await task.reader.take()
            queue += stale
        for start in range(0, len(queue), AT_ONCE):
            some = queue[start : start + AT_ONCE]
            await at_once([task.following.read_ahead for task in some if task.is_new_end])
            for task in some:
                await self._read_files(task)

    async def _take_twins(self, twins: list[ShownJob]) -> None:
        """Record jobs that the service has posted twice: the budget pays for their files, which come as well."""
        ledger = self._file.ledger
        unknown = [twin for twin in twins if twin["id"] not in ledger.job_ids]
        if (more := ledger.with_jobs(unknown)) != ledger:
            await finish_blocking(self._file.write, more)

    async def _read_files(self, task: Followed) -> None:
        job, following = task.waiting.job, task.following
        if job is None:
            return  # the read failed; the next beat tries again
        if not job.is_terminal:
            # Closes nothing: no job restarts, so a replica is behind, or reported the end too early.
            task.over_at, task.most, task.is_read, task.due = None, 0, False, 0.0
            if following.unlisted or int_or_none(job.files_approved) is None:
                await self._download_from(task, following.walk(to_known=True))
            return
        now, order = self._transport.clock.monotonic(), self._file.ledger.orders[task.number]
        task.over_at = now if task.over_at is None else task.over_at
        waited, count = now - task.over_at, int_or_none(job.files_approved)
        is_due = waited < LIST_LAGS or now >= task.due or count != task.counted
        if not task.is_read and is_due:
            task.counted = count
            is_new, is_whole = not following.listed, task.retried or waited >= LIST_LAGS
            await self._download_from(task, following.walk(to_known=not is_whole))
            if not (is_new or is_whole or following.has_all(order.files)):
                await self._download_from(task, following.walk(to_known=False))
            task.most = max(task.most, count or 0, following.listed)
            # With a count that lags, the ledger would note too large a refund of a cancelled job, and the campaign
            # would order files again that have arrived.
            lags = following.unlisted or (task.most < order.files and not order.closed)
            seconds_left = max(
                LIST_LAGS - waited if lags else 0.0, 0.0 if order.closed else following.count_lags(waited)
            )
            task.is_read = seconds_left <= 0
            task.due = now + min(max(count_pause(waited), HEAD_EVERY), seconds_left)
            if waited < LIST_LAGS:
                task.due = task.over_at + LIST_LAGS

    def _until_next(self) -> float:
        """Seconds until the next read of the list, at most: until a finished job whose files are late is due."""
        now = self._transport.clock.monotonic()
        waits = [task.due - now for task in self._followed.values() if task.is_late]
        return min([HEAD_EVERY, *(max(wait, 1.0) for wait in waits)])

    async def _rest(self, pacer: Followed) -> None:
        """Pause as long as nothing but counts that are very late is waited for, and no list is due."""
        now, followed = self._transport.clock.monotonic(), self._followed.values()
        is_rare = all(task.is_late and now - (task.over_at or now) >= LIST_LAGS for task in followed)
        if is_rare and await run_blocking(self._downloads.wait, 0, 0.0):
            await pacer.waiting.pause(max(min(task.due for task in followed) - now, 0.0))

    async def _download_from(self, task: Followed, batches: AsyncIterator[list[File]]) -> None:
        async with ended(batches) as pages:
            async for files in pages:
                await run_blocking(self._downloads.add, files, task.source)
                await self._wait_for_downloads(MOST_PENDING, None)

    async def _wait_for_downloads(self, most: int, until: Callable[[], float] | None) -> None:
        """Wait until at most `most` downloads are pending, or until the time `until`."""
        clock = self._transport.clock
        while True:
            done = await run_blocking(self._downloads.wait, most, REPORT_EVERY)
            await self._report()
            if done:
                return
            now = clock.monotonic()
            if self._until is not None and self._until <= now:
                raise WaitTimeoutError("timed out")
            if until is not None and until() <= now:
                return

    async def _finish(self) -> bool:
        """Record the result of each job whose files have all arrived or failed. Returns whether a job is finished."""
        failed = self._downloads.failed()
        over = [
            task
            for task in self._followed.values()
            if task.is_read and not self._downloads.pending_of(task.source.job_id)
        ]
        for task in over:
            if not task.retried and task.following.has_met(failed):
                # Try each file twice.
                task.retried, task.is_read, task.due = True, False, 0.0
        closing = [task for task in over if task.is_read]
        if closing:
            await note_workers(self._transport, [task.waiting for task in closing], self._in)
            await self._close(closing)
        return bool(closing)

    async def _close(self, closing: list[Followed]) -> None:
        ledger, jobs_of = self._file.ledger, dict[str, str | None]()
        for task in closing:
            self._hashes[task.source.job_id] = {}
        for row in await run_blocking(self._in.rows_written):
            jobs_of[row.file_id] = row.job_id
            if row.job_id in self._hashes:
                self._hashes[row.job_id][row.file_id] = row.sha256
        for task in closing:
            job = dump(await task.waiting.first())
            shared_ids = {
                file_id for file_id in task.following.ids if jobs_of.get(file_id, job["id"]) != job["id"]
            }
            shared_ids |= task.following.ids & self._downloads.pending_of_others(job["id"])
            order = ledger.orders[task.number].seen(job, task.most)
            order = order.with_(repeated=task.following.repeats + len(shared_ids), closed=True)
            ledger = ledger.with_order(task.number, order)
        decided = (await run_blocking(self._in.decided_now)).with_moved(self._spec.moved)
        self._file.ledger = ledger = ledger.with_files(self._hashes, decided, unique=self._spec.unique)
        # An order is closed on the disk once its rows are there.
        if await finish_blocking(self._in.write_many_rows):
            await finish_blocking(self._file.write, ledger)
        for task in closing:
            task.reader.leave()
            del self._followed[task.number]
            self._done.add(task.number)

    async def _write_last_seen_of_all(self) -> None:
        seen = [dump(task.waiting.job) for task in self._followed.values() if task.waiting.job is not None]
        # On a full disk the records stay unchanged; the error that follows explains it.
        with contextlib.suppress(FirstHandError):
            await finish_blocking(self._in.write_rows)
            await finish_blocking(self._file.write, self._file.ledger.with_jobs(seen))

    async def _fresh_url(self, file_id: str) -> tuple[str, datetime | None]:
        task = next(task for task in self._all if task.following.has_met({file_id}))
        return await task.following.fresh_url(file_id)

    def _unusable(self) -> dict[str, FirstHandError]:
        """The files that the service described with unusable data, and the error of each."""
        return {file_id: error for task in self._all for file_id, error in task.following.failures.items()}

    # ── Progress, result, and errors ─────────────────────────────────────────────────────────────────────

    async def _report(self, *, at_once: bool = False) -> None:
        """Report the progress, but not for each file: it counts all labels."""
        now = self._transport.clock.monotonic()
        if now < self._reports_at and not at_once:
            return
        self._reports_at = now + REPORT_EVERY * max(1.0, len(self._spec.jobs) / 200)
        progress = self._progress()
        if progress != self._reported:
            self._reported = progress
            await call_back(self._on_progress, progress)

    def _progress(self) -> CampaignProgress:
        now, ledger = self._downloads.progress(), self._file.ledger
        plans = self._planner.labels(ledger)
        tallies = self._downloads.tallies()
        counted = {
            entry.label: Tally.of(filter(None, (self._before.get(entry.label), tallies.get(entry.label))))
            for entry in plans
        }
        labels = [
            LabelProgress(
                entry.label,
                counted[entry.label].files,
                max(entry.wanted, counted[entry.label].files),
                counted[entry.label].average_stars,
                entry.spent_cents,
            )
            for entry in plans
        ]
        return CampaignProgress(
            files_done=now.files_done + sum(tally.files for tally in self._before.values()),
            files_total=sum(label.files_total for label in labels),
            bytes_done=now.bytes_done + self._bytes_before,
            bytes_total=now.bytes_total + self._bytes_before,
            average_stars=Tally.of(counted.values()).average_stars,
            files_failed=now.files_failed,
            labels=tuple(labels),
            spent_cents=ledger.spent_cents,
            budget_cents=self._spec.budget_cents,
        )

    def _last_job(self) -> Job | None:
        """The latest job that this run has seen."""
        return next((task.waiting.job for task in reversed(self._all) if task.waiting.job is not None), None)

    def _noted(self, error: E) -> E:
        """Add a note to `error` that names the jobs that continue."""
        orders = self._file.ledger.orders
        if isinstance(error, FirstHandError):
            name_twins(self._transport, error, self._file.ledger.job_ids)
        going_on = [str(entry.job["id"]) for entry in orders if entry.job is not None and not entry.is_over]
        if going_on:
            error.add_note(continues(several(going_on), "run the same call again; it posts no job twice"))
        return error

    def _timed_out(self, error: WaitTimeoutError) -> WaitTimeoutError:
        plan = make_plan(self._spec, self._file.ledger)
        approved = sum(entry.approved for entry in plan.labels)
        target = sum(entry.wanted for entry in plan.labels)
        late = (task for task in self._followed.values() if task.is_late)
        job = next((task.waiting.job for task in late if task.following.count_lags(0.0)), None)
        short = "" if job is None else f"; {job.id} is {job.status}, but {short_count(job)}"
        return WaitTimeoutError(
            f"the campaign did not finish before timeout= passed: {approved:,} of {count_of(target)} approved{short}; "
            "its jobs continue; run the same call again",
            job=error.job or self._last_job(),
            failures=error.failures,
        )

    async def _result(self, folder: Folder, downloads: Downloads) -> Dataset:
        """The dataset of a run that has ended, or its error."""
        job = self._last_job()
        try:
            dataset = await run_blocking(Dataset._of, folder)  # pyright: ignore[reportPrivateUsage] # of one house
            downloads.check(self._unusable())
            plan = make_plan(self._spec, self._file.ledger)
            unlisted = [task for task in self._all if task.following.unlisted > task.following.repeats]
            why = in_vain(plan)
            if unlisted and why is None:
                count = sum(task.following.unlisted - task.following.repeats for task in unlisted)
                why = (
                    f"the service counts {count_of(count, 'approved file')} more than its lists show, of "
                    f"{', '.join(task.source.job_id for task in unlisted[:3])}: run the same call again later"
                )
            if why is not None:
                job = job or load(
                    next(order.job for order in reversed(self._file.ledger.orders) if order.job)
                )
                raise IncompleteJobError(f"the campaign is incomplete: {why}", job=job, dataset=dataset)
            if plan.orders:
                raise over_budget(plan, begun=True)
        except FirstHandError as error:
            name_twins(self._transport, error, self._file.ledger.job_ids)
            error.job = error.job or job
            raise
        return dataset


def _without_job(ledger: CampaignLedger) -> set[str]:
    return {order.key for order in ledger.orders if order.job is None}


def _may_be_used(error: FirstHandError) -> bool:
    """Whether the service may have refused a key because another machine has sent it."""
    return isinstance(error, FirstHandApiError) and error.status in (409, 422)
