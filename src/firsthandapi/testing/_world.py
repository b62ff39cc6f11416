"""The rules of the service, apart from HTTP. Whoever calls in holds `lock`."""

from __future__ import annotations

import json
import random
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import _show
from ._clock import Clock
from ._errors import ApiError, conflict, invalid
from ._ledger import Escrow, Lot
from ._model import (
    SCOPES,
    Account,
    Attempt,
    AuditEvent,
    Delivery,
    Endpoint,
    Event,
    File,
    Job,
    Key,
    Organization,
    Place,
    Submission,
)
from ._text import iso, new_id, new_secret

PURCHASE_TIERS = (1000, 2500, 5000, 10000, 25000)
PRICE_BOUNDS = (10, 50_000)
FREE_TIER_JOBS = 1
FREE_TIER_CENTS = 250
OWN_CENTS = 100_000
YEAR = 365 * 86400.0
DAY = 86400.0
RETRY_DELAYS = (60.0, 300.0, 1800.0, 7200.0, 28800.0)
# How much is kept of what requests alone can pile up.
MAX_DELIVERIES = 10_000
MAX_CHECKOUTS = 10_000
# A job is flagged, once, when this many of its submissions were rejected.
FLAGGED_AT = 10
# Of a job's simulated files, every third has objects with a confidence, every twentieth no annotations.
_WITH_CONFIDENCE, _WITHOUT_ANNOTATIONS = 3, 20
API_VERSION = "v1"
_SETTINGS: dict[str, Any] = {
    "auto_top_up_enabled": False,
    "auto_top_up_threshold_cents": 500,
    "auto_top_up_amount_cents": 2500,
    "default_type": None,
    "default_price_per_file_cents": None,
}
_REASONS = {
    1: "Off-topic or corrupted: the file does not show what the job asks for.",
    2: "Below threshold: major deficiencies against the job description.",
    3: "Acceptable: meets the basic requirements, with some gaps.",
    4: "Good: minor issues only, well executed.",
    5: "Excellent: fully addresses the job description.",
}


@dataclass(slots=True)
class Checkout:
    """A purchase that waits for its page to be opened."""

    account: Account
    cents: int
    is_paid: bool = False


class World:
    """The whole state of one server."""

    def __init__(self, clock: Clock, *, seed: int, workers: bool) -> None:
        self.clock = clock
        self.seed = seed
        self.simulate = workers
        self.lock = threading.RLock()
        self.send: Callable[[Delivery, float], None] = lambda _delivery, _at: None
        self.organizations: list[Organization] = []
        self.keys: dict[str, Key] = {}
        self.jobs: dict[str, Job] = {}
        self.submissions: dict[str, Submission] = {}
        self.files: dict[str, File] = {}
        self.events: dict[str, Event] = {}
        self.checkouts: OrderedDict[str, Checkout] = OrderedDict()
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_DELIVERIES)

    def later(self, when: float, action: Callable[[float], object]) -> None:
        """Do `action` at a virtual time, under the lock."""

        def run(at: float) -> None:
            with self.lock:
                action(at)

        self.clock.at(when, run)

    # --- organizations and keys -------------------------------------------------------------------------

    def create_organization(
        self, name: str, email: str, *, free_tier: bool, at: float, cents: int | None = None
    ) -> Key:
        """A new organization; returns its live key. Its sandbox account gets as much play money."""
        organization = Organization(new_id("org_", at), name, email, FREE_TIER_JOBS if free_tier else None)
        self.organizations.append(organization)
        for environment in ("live", "test"):
            account = Account(organization, environment, settings=dict(_SETTINGS))
            organization.accounts[environment] = account
            if free_tier:
                self.grant(account, FREE_TIER_CENTS if cents is None else cents, at, "free_tier")
            elif cents is None or cents:
                amount = OWN_CENTS if cents is None else cents
                account.book.credit("purchase", amount, at, "Credit purchase", None)
        return self.create_key(organization.accounts["live"], "Default key", SCOPES, "system", at)

    def create_key(self, account: Account, name: str, scopes: tuple[str, ...], actor: str, at: float) -> Key:
        """A new API key."""
        key = Key(new_id("key_", at), account, new_secret(f"fh_{account.environment}_"), name, scopes, at)
        account.organization.keys.append(key)
        self.keys[key.secret] = key
        self._audit_key("api_key.created", key, actor, at, {"name": name})
        return key

    def authenticate(self, secret: str, at: float) -> Key | None:
        """The key behind a bearer token, if it is good now."""
        key = self.keys.get(secret)
        if key is None or not self.is_good(key, at):
            return None
        key.last_used_at = at
        return key

    def is_good(self, key: Key, at: float) -> bool:
        """Neither revoked nor past the overlap of a rotation."""
        return key.revoked_at is None and (key.expires_at is None or at < key.expires_at)

    def rotate_key(self, key: Key, actor: str, at: float) -> Key:
        """A new key in place of `key`, which works for a day more."""
        if key.expires_at is not None or not self.is_good(key, at):
            raise conflict("This key is revoked, or has been rotated already.")
        key.expires_at = at + DAY
        fresh = self.create_key(key.account, key.name, key.scopes, actor, at)
        self._audit_key("api_key.rotated", fresh, actor, at, {"rotated_from": key.id})
        return fresh

    def revoke_key(self, key: Key, actor: str, at: float) -> None:
        """Make a key useless; doing it again changes nothing."""
        if key.revoked_at is None:
            key.revoked_at = at
            self._audit_key("api_key.revoked", key, actor, at, {})

    def _audit_key(self, type: str, key: Key, actor: str, at: float, data: dict[str, Any]) -> None:
        # A live key manages the sandbox's keys too: both trails show it.
        acting = next((each for each in key.account.organization.keys if each.id == actor), key)
        for account in dict.fromkeys((key.account, acting.account)):
            self.audit(account, type, at, actor, {"api_key_id": key.id, **data})

    # --- money ------------------------------------------------------------------------------------------

    def grant(self, account: Account, cents: int, at: float, kind: str = "bonus") -> None:
        """Give credit that expires a year on."""
        lot = account.book.credit(kind, cents, at, f"{kind.replace('_', ' ').capitalize()} credit", at + YEAR)
        self.later(at + YEAR - 30 * DAY, lambda when: self._expiring_soon(account, lot, when))
        self.later(at + YEAR, lambda when: self._expire(account, lot, when))

    def start_purchase(self, account: Account, cents: int, at: float) -> str:
        """An unpaid checkout."""
        checkout = new_id("cs_", at)
        self.checkouts[checkout] = Checkout(account, cents)
        if len(self.checkouts) > MAX_CHECKOUTS:
            self.checkouts.popitem(last=False)
        return checkout

    def pay_checkout(self, checkout: str, at: float) -> int | None:
        """Book a purchase, once however often its page is opened; the amount, or None for an unknown one."""
        found = self.checkouts.get(checkout)
        if found is None:
            return None
        if not found.is_paid:
            found.is_paid = True
            self._purchase(found.account, found.cents, at, "Credit purchase", "credits.purchased")
        return found.cents

    def auto_top_up(self, account: Account, at: float) -> None:
        """Buy credit if the settings say so and the balance asks for it."""
        settings = account.settings
        if (
            settings["auto_top_up_enabled"]
            and account.book.available < settings["auto_top_up_threshold_cents"]
        ):
            amount = settings["auto_top_up_amount_cents"]
            self._purchase(account, amount, at, "Automatic top-up", "credits.auto_topped_up")

    def _purchase(self, account: Account, cents: int, at: float, description: str, event: str) -> None:
        account.book.credit("purchase", cents, at, description, None)
        if not account.is_sandbox:
            account.organization.job_limit = None  # who has paid is not on the free tier
        data = {"amount_cents": cents, "balance_cents": account.book.available}
        self.audit(account, event, at, "system", data)
        self.emit(account, event, data, at)

    def _expiring_soon(self, account: Account, lot: Lot, at: float) -> None:
        if lot.remaining:
            data = {"amount_cents": lot.remaining, "expires_at": iso(lot.expires_at or at)}
            self.emit(account, "credits.expiring_soon", data, at)

    def _expire(self, account: Account, lot: Lot, at: float) -> None:
        before = account.book.available
        if amount := account.book.expire(lot, at):
            self._expired(account, amount, at)
            self._spent_down(account, before, at)

    def _expired(self, account: Account, amount: int, at: float) -> None:
        data = {"amount_cents": amount, "balance_cents": account.book.available}
        self.emit(account, "credits.expired", data, at)

    def _spent_down(self, account: Account, before: int, at: float) -> None:
        threshold = account.settings["auto_top_up_threshold_cents"]
        if before >= threshold > account.book.available:
            data = {"balance_cents": account.book.available, "threshold_cents": threshold}
            self.emit(account, "credits.low_balance", data, at)
        self.auto_top_up(account, at)

    # --- jobs -------------------------------------------------------------------------------------------

    def create_job(
        self,
        account: Account,
        fields: dict[str, Any],
        deadline: float | None,
        actor: str,
        at: float,
        url: str,
    ) -> Job:
        """A new job with its escrow set aside."""
        low, high = PRICE_BOUNDS
        price = fields["price_per_file_cents"]
        if not low <= price <= high:
            message = f"must be {low} to {high} cents"
            details = [{"field": "price_per_file_cents", "message": message}]
            raise ApiError(400, "pricing_violation", f"price_per_file_cents {message}", details=details)
        if deadline is not None and deadline <= at:
            raise invalid("deadline", "must be in the future")
        limit = account.organization.job_limit
        if (
            limit is not None
            and not account.is_sandbox
            and sum(not job.is_terminal for job in account.jobs) >= limit
        ):
            message = f"The free tier allows {limit} open job at a time. Buy credits, or wait for it to end."
            raise ApiError(403, "free_tier_job_limit", message)
        job_id = new_id("job_", at)
        seed = f"{self.seed}:{len(self.jobs)}"
        chance = random.Random(seed)  # noqa: S311 - a seed is the point
        escrow = self._escrow(account, fields["files_needed"] * price, job_id, at, url)
        job = Job(job_id, account, fields, deadline, at, at, chance, seed, escrow)
        self.jobs[job_id] = job
        account.jobs.append(job)
        self.audit(account, "job.created", at, actor, {"total_cost_cents": job.files_needed * price}, job)
        if deadline is not None:
            self.later(deadline, lambda when: self._deadline(job, when))
        if self.simulate:
            self.later(at + 15, lambda when: self._stream(job, 0, at + 15, when))
        return job

    def cancel_job(self, job: Job, actor: str, at: float) -> None:
        """End a job: what was in escrow goes back at once."""
        if job.is_terminal:
            raise conflict(
                f"The job is {job.status}; only open, filled and in_progress jobs can be cancelled."
            )
        for submission in job.submissions:
            if submission.status in ("pending_score", "retry_pending"):
                self._reject(submission, "The job was cancelled.", at)
        job.pending = 0
        job.cancelled_at = at
        refunded, expired = job.account.book.refund(job.escrow, at, f"Refund of {job.id}")
        self.audit(job.account, "job.cancelled", at, actor, {"refunded_cents": refunded}, job)
        self._set_status(job, "cancelled", at)
        data = {**_show.job(job), "job_id": job.id, "refunded_cents": refunded}
        self.emit(job.account, "job.cancelled", data, at)
        if expired:
            self._expired(job.account, expired, at)

    def rate_job(self, job: Job, rating: int, feedback: str | None, at: float) -> None:
        """The buyer's opinion of a completed job; a later one replaces it."""
        if job.status != "completed":
            raise conflict(f"The job is {job.status}; only completed jobs can be rated.")
        job.buyer_rating, job.buyer_feedback, job.updated_at = rating, feedback, at

    def _escrow(self, account: Account, total: int, job_id: str, at: float, url: str) -> Escrow:
        if account.is_sandbox:
            return Escrow(0, [])  # no charges
        before = account.book.available
        if before < total:
            raise ApiError(
                402,
                "insufficient_credits",
                f"The job costs {total} cents and the balance is {before}.",
                extra={
                    "current_balance_cents": before,
                    "required_cents": total,
                    "shortfall_cents": total - before,
                    "purchase_url": url,
                },
            )
        escrow = account.book.hold(total, at, f"Escrow for {job_id}")
        self._spent_down(account, before, at)
        return escrow

    def _deadline(self, job: Job, at: float) -> None:
        if not job.is_terminal:
            self.cancel_job(job, "system", at)

    def _set_status(self, job: Job, status: str, at: float) -> None:
        job.updated_at = at
        if job.status != status:
            job.status = status
            for listener in [*job.listeners]:
                listener()

    def _refresh_status(self, job: Job, at: float) -> None:
        if len(job.approved) == job.files_needed:
            job.completed_at = at
            self._set_status(job, "completed", at)
            self.audit(job.account, "job.completed", at, "system", {"files_approved": len(job.approved)}, job)
            self.emit(job.account, "job.completed", {**_show.job(job), "job_id": job.id}, at)
        elif job.approved:
            self._set_status(job, "in_progress", at)
        else:
            self._set_status(job, "open" if job.free_slots else "filled", at)

    # --- submissions ------------------------------------------------------------------------------------

    def submit(
        self,
        job: Job,
        files: list[File],
        at: float,
        *,
        by_hand: bool,
        worker: str | None = None,
        place: Place | None = None,
    ) -> Submission:
        """A worker brings files: they take their slots until they are scored."""
        if job.is_terminal:
            raise ValueError(f"{job.id} is {job.status}: it takes no more files")
        if len(files) > job.free_slots:
            raise ValueError(f"{job.id} has {job.free_slots} free slots, not {len(files)}")
        if not 1 <= len(files) <= job.fields["files_per_submission"]:
            raise ValueError(f"{job.id} takes 1 to {job.fields['files_per_submission']} files a submission")
        worker = self._worker(job, worker, at)
        submission = Submission(new_id("sub_", at), job, worker, at, files, by_hand, place=place)
        job.submissions.append(submission)
        job.account.submissions.append(submission)
        self.submissions[submission.id] = submission
        job.pending += len(files)
        self._take_in(submission, at)
        return submission

    def resubmit(
        self, submission: Submission, files: list[File], at: float, place: Place | None = None
    ) -> None:
        """The one retry after two stars, with better files."""
        if submission.status != "retry_pending":
            raise ValueError(f"{submission.id} is {submission.status}: there is nothing to retry")
        job = submission.job
        job.pending += len(files) - len(submission.files)
        if job.free_slots < 0:
            job.pending -= len(files) - len(submission.files)
            raise ValueError(f"{job.id} has no slots for {len(files)} files")
        submission.files = files
        submission.place = place
        submission.attempt = 2
        submission.status = "pending_score"
        submission.submitted_at = at
        submission.rating = submission.reasoning = submission.dimensions = submission.scored_at = None
        self._take_in(submission, at)

    def arrive(self, job: Job, at: float) -> None:
        """A simulated worker comes, if there is something left to do."""
        count = min(job.fields["files_per_submission"], job.free_slots)
        if job.is_terminal or count < 1:
            return
        job.arrivals += 1
        files = [self._simulated_file(job, at, self._simulated_rating(job)) for _ in range(count)]
        self.submit(job, files, at, by_hand=False)

    def new_file(self, job: Job, content_type: str, at: float, rating: int, name: str | None) -> File:
        """A file that workers made for a job, its bytes drawn from a seed unless they are given later."""
        fields = job.fields
        seed = f"{job.seed}:{job.chance.getrandbits(64):016x}"
        if name is None:
            extension = content_type.partition("/")[2].replace("jpeg", "jpg").replace("quicktime", "mov")
            name = f"capture_{job.chance.randrange(10000):04d}.{extension}"
        return File(
            new_id("file_", at),
            content_type,
            seed,
            name,
            at,
            fields.get("min_width") or 0,
            fields.get("min_height") or 0,
            wanted_rating=rating,
        )

    def score(self, submission: Submission, at: float) -> None:
        """The verdict: approved files are paid and delivered, the slots of the others are free again."""
        if submission.status != "pending_score":
            return
        job, account = submission.job, submission.job.account
        bar = job.fields["min_star_rating"]
        for file in submission.files:
            file.rating = 4 if account.is_sandbox else file.wanted_rating
        good = [file for file in submission.files if (file.rating or 0) >= bar]
        submission.rating = max(file.rating or 0 for file in submission.files)
        submission.reasoning = _REASONS[submission.rating]
        submission.dimensions = {
            name: min(5, max(1, submission.rating + job.chance.choice((-1, 0, 0, 1))))
            for name in ("relevance", "quality", "completeness")
        }
        submission.scored_at = at
        if not good and submission.rating == 2 and submission.attempt == 1:
            submission.status = "retry_pending"
            self.emit(account, "submission.scored", _show.submission_event(submission), at)
            if self.simulate:
                self.later(at + job.chance.uniform(5, 15), lambda when: self._retry(submission, when))
            return
        job.pending -= len(submission.files)
        if good:
            for file in good:
                self._deliver(file, at)
            submission.status = "approved"
            self.audit(account, "submission.approved", at, "system", _verdict(submission), job)
            data = _show.submission_event(submission)
            self.emit(account, "submission.scored", data, at)
            self.emit(account, "submission.approved", data, at)
        else:
            self._reject(submission, submission.reasoning, at, scored=True)
            self._flag(job, at)
        self._refresh_status(job, at)
        self._replace(job, len(submission.files) - len(good), at)

    def _deliver(self, file: File, at: float) -> None:
        job = file.submission.job
        job.approved.append(file)
        self.files[file.id] = file
        job.updated_at = at
        if not job.account.is_sandbox:
            job.account.book.pay(job.escrow, job.price, at)

    def withdraw(self, file: File, at: float) -> None:
        """Take an approved file away from its buyer; what was paid for it stays paid."""
        job = file.submission.job
        del self.files[file.id]
        file.withdrawn = True
        job.withdrawn += 1
        job.updated_at = at
        data = {"file_id": file.id, "submission_id": file.submission.id}
        self.audit(job.account, "file.withdrawn", at, "system", data, job)

    def _flag(self, job: Job, at: float) -> None:
        job.rejections += 1
        if job.rejections == FLAGGED_AT:
            reason = f"{FLAGGED_AT} submissions were rejected: the description may be unclear."
            self.emit(job.account, "job.flagged", {**_show.job(job), "job_id": job.id, "reason": reason}, at)

    def _take_in(self, submission: Submission, at: float) -> None:
        job = submission.job
        for file in submission.files:
            file.submission = submission
        small = next((file for file in submission.files if _is_small(file, job)), None)
        if small is not None:
            facts = small.facts()
            job.pending -= len(submission.files)
            self._reject(
                submission, f"Rejected before scoring: {facts.width}x{facts.height} is too small.", at
            )
            self._refresh_status(job, at)
            self._replace(job, len(submission.files), at)
            return
        self._refresh_status(job, at)
        self.later(at + job.chance.uniform(5, 15), lambda when: self.score(submission, when))

    def _reject(self, submission: Submission, reason: str, at: float, *, scored: bool = False) -> None:
        submission.status = "rejected"
        submission.reasoning = reason
        account = submission.job.account
        self.audit(account, "submission.rejected", at, "system", _verdict(submission), submission.job)
        data = _show.submission_event(submission)
        if scored:
            self.emit(account, "submission.scored", data, at)
        self.emit(account, "submission.rejected", data, at)

    def _worker(self, job: Job, worker: str | None, at: float) -> str:
        limit: int | None = job.fields.get("max_workers")
        if worker is None:
            if limit is not None and len(job.workers) >= limit:
                return [*job.workers][len(job.submissions) % limit]
            worker = new_id("wkr_", at)
        if worker not in job.workers:
            if limit is not None and len(job.workers) >= limit:
                raise ValueError(f"{job.id} takes {limit} workers, and has them")
            job.workers[worker] = None
        return worker

    # --- simulated workers ------------------------------------------------------------------------------

    def _stream(self, job: Job, number: int, start: float, at: float) -> None:
        """One arrival and the next: a chain, so that a large job does not fill the clock's heap."""
        if job.is_terminal:
            return
        self.arrive(job, at)
        if number + 1 < job.files_needed:
            when = start + (number + 1) * min(1.0, 30 / job.files_needed)
            self.later(when, lambda due: self._stream(job, number + 1, start, due))

    def _replace(self, job: Job, count: int, at: float) -> None:
        """Others come for the slots that were freed. In the sandbox none would do better, so none comes."""
        if not self.simulate or job.account.is_sandbox or job.arrivals > 100 * job.files_needed + 100:
            return
        for _ in range(count):
            self.later(at + job.chance.uniform(5, 15), lambda when: self.arrive(job, when))

    def _retry(self, submission: Submission, at: float) -> None:
        if submission.status == "retry_pending":
            job = submission.job
            files = [
                self._simulated_file(job, at, job.chance.randint(3, 5), file.content_type)
                for file in submission.files
            ]
            self.resubmit(submission, files, at)

    def _simulated_rating(self, job: Job) -> int:
        return job.chance.choices((5, 4, 3, 2, 1), (30, 40, 20, 7, 3))[0]

    def _simulated_file(self, job: Job, at: float, rating: int, content_type: str | None = None) -> File:
        formats = job.fields["accepted_formats"]
        file = self.new_file(job, content_type or job.chance.choice(formats), at, rating, None)
        job.simulated_files += 1
        if job.simulated_files % _WITHOUT_ANNOTATIONS == 0:
            file.annotations = None
        elif job.simulated_files % _WITH_CONFIDENCE == 0:
            file.annotations = "made up, with confidence"
        return file

    # --- audit trail and webhooks -----------------------------------------------------------------------

    def audit(
        self, account: Account, type: str, at: float, actor: str, data: dict[str, Any], job: Job | None = None
    ) -> None:
        """Add a line to the audit trail."""
        job_id = None if job is None else job.id
        account.audit.append(AuditEvent(new_id("aud_", at), type, job_id, actor, data, at))

    def create_endpoint(
        self, account: Account, url: str, events: tuple[str, ...] | None, description: str | None, at: float
    ) -> Endpoint:
        """A new webhook endpoint; without `events` it gets them all, unknown types as well."""
        endpoint = Endpoint(new_id("we_", at), account, url, events, description, new_secret("whsec_"), at)
        account.endpoints.append(endpoint)
        return endpoint

    def emit(self, account: Account, type: str, data: dict[str, Any], at: float) -> Event:
        """Something happened: keep the event, and send it to every endpoint that subscribed to it."""
        event_id = new_id("evt_", at)
        envelope = {
            "id": event_id,
            "object": "event",
            "type": type,
            "api_version": API_VERSION,
            "created_at": iso(at),
            "data": data,
        }
        body = json.dumps(envelope, separators=(",", ":")).encode()
        event = Event(event_id, account, type, body)
        account.events.append(event)
        self.events[event.id] = event
        self.dispatch(event, at)
        return event

    def dispatch(self, event: Event, at: float) -> None:
        """Start a delivery of the event to each of its subscribers: the first attempt is at once."""
        for endpoint in event.account.endpoints:
            if endpoint.wants(event.type):
                delivery = Delivery(event, endpoint)
                event.deliveries.append(delivery)
                self.deliveries.append(delivery)
                self.later(at, partial(self._attempt, delivery))

    def delivered(self, delivery: Delivery, attempt: Attempt) -> None:
        """An attempt is over: done, or again later, or given up."""
        delivery.attempts.append(attempt)
        if attempt.ok:
            delivery.status = "delivered"
        elif len(delivery.attempts) > len(RETRY_DELAYS):
            delivery.status = "failed"
        else:
            when = attempt.at + RETRY_DELAYS[len(delivery.attempts) - 1]
            self.later(when, partial(self._attempt, delivery))

    def _attempt(self, delivery: Delivery, at: float) -> None:
        if delivery.endpoint.is_active:
            self.send(delivery, at)
        else:
            delivery.status = "dropped"

    # --- checks -----------------------------------------------------------------------------------------

    def check_books(self) -> None:
        """Assert that every ledger adds up, and every job's escrow and slots with it."""
        for organization in self.organizations:
            for account in organization.accounts.values():
                account.book.check([job.escrow for job in account.jobs])
                for job in account.jobs:
                    self._check_job(job)

    def _check_job(self, job: Job) -> None:
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
        wrong = [f"{name} {left}, not {right}" for name, (left, right) in rules.items() if left != right]
        if wrong:
            raise AssertionError(f"{job.id} does not add up: {'; '.join(wrong)}")


def _verdict(submission: Submission) -> dict[str, Any]:
    return {"submission_id": submission.id, "ai_star_rating": submission.rating}


def _is_small(file: File, job: Job) -> bool:
    wanted = (job.fields.get("min_width") or 0, job.fields.get("min_height") or 0)
    if wanted == (0, 0):
        return False
    facts = file.facts()
    return (facts.width or wanted[0]) < wanted[0] or (facts.height or wanted[1]) < wanted[1]
