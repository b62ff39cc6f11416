"""The objects that the service remembers: organizations, keys, jobs, submissions, files, webhooks."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

from firsthandapi_server.contract.words import EventType, Scope, SubmissionStatus

from .keeping import Growing
from .ledger import Book, Escrow

SCOPES: tuple[str, ...] = get_args(Scope.__value__)
WEBHOOK_EVENTS: tuple[str, ...] = get_args(EventType.__value__)
SUBMISSION_STATUSES: tuple[str, ...] = get_args(SubmissionStatus.__value__)
TERMINAL = ("completed", "cancelled")


@dataclass(slots=True, eq=False, weakref_slot=True)
class Organization:
    """A customer. Everything else belongs to one of its two accounts."""

    id: str
    name: str
    email: str
    job_limit: int | None  # open jobs a free-tier organization may have
    accounts: Mapping[str, Account] = field(default_factory=dict[str, "Account"])  # by environment
    keys: Growing[Key] = field(default_factory=list["Key"])  # of both environments


@dataclass(slots=True, eq=False, weakref_slot=True)
class Account:
    """An organization in one environment. Only its keys are known to the other one."""

    organization: Organization
    environment: str
    id: str = field(init=False)
    book: Book = field(init=False)
    jobs: Growing[Job] = field(default_factory=list["Job"])
    submissions: Growing[Submission] = field(default_factory=list["Submission"])
    endpoints: Growing[Endpoint] = field(default_factory=list["Endpoint"])
    events: Growing[Event] = field(default_factory=list["Event"])
    audit: Growing[AuditEvent] = field(default_factory=list["AuditEvent"])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.id = f"{self.organization.id} {self.environment}"
        self.book = Book(self.id)

    @property
    def is_sandbox(self) -> bool:
        """Whether nothing is charged and scoring always gives four stars."""
        return self.environment == "test"


@dataclass(slots=True, eq=False, weakref_slot=True)
class Key:
    """An API key. Its secret is kept nowhere: only the response that creates it shows it.

    One round of SHA-256 is enough to hide it: nobody can guess 128 random bits, however fast they try.
    """

    id: str
    account: Account
    digest: str = field(repr=False)
    masked: str  # what lists show
    name: str
    scopes: tuple[str, ...]
    created_at: float
    last_used_at: float | None = None
    expires_at: float | None = None
    revoked_at: float | None = None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Job:
    """A job, its slots and its escrow."""

    id: str
    account: Account
    fields: Mapping[str, Any]  # the validated request, with defaults
    deadline: float | None
    created_at: float
    updated_at: float
    chance: random.Random
    seed: str
    escrow: Escrow
    status: str = "open"
    completed_at: float | None = None
    cancelled_at: float | None = None
    buyer_rating: int | None = None
    buyer_feedback: str | None = None
    pending: int = 0  # files whose submission is not decided yet: each takes a slot
    rejections: int = 0
    withdrawn: int = 0
    submissions: Growing[Submission] = field(default_factory=list["Submission"])
    approved: Growing[File] = field(default_factory=list["File"])
    listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    @property
    def type(self) -> str:
        """What kind of job it is."""
        return str(self.fields["type"])

    @property
    def files_needed(self) -> int:
        """How many approved files complete the job."""
        return int(self.fields["files_needed"])

    @property
    def price(self) -> int:
        """US cents per approved file."""
        return int(self.fields["price_per_file_cents"])

    @property
    def free_slots(self) -> int:
        """How many more files workers may submit now."""
        return self.files_needed - len(self.approved) - self.pending

    @property
    def files_approved(self) -> int:
        """The approved files that were not withdrawn."""
        return len(self.approved) - self.withdrawn

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


@dataclass(slots=True, eq=False, weakref_slot=True)
class Submission:
    """The files of one worker at one time."""

    id: str
    job: Job
    worker_id: str
    submitted_at: float
    files: tuple[File, ...]
    status: str = "pending_score"
    attempt: int = 1
    rating: int | None = None
    reasoning: str | None = None
    dimensions: Mapping[str, int] | None = None
    scored_at: float | None = None
    location: Location | None = None
    rated_by: str | None = None  # `person`, `model:<name>`, or `rules`; None if nobody says
    flags: tuple[str, ...] = ()

    @property
    def account(self) -> Account:
        """Whose job it is for."""
        return self.job.account


@dataclass(frozen=True, slots=True)
class Location:
    """Where a submission was made, and whether that is inside the job's area."""

    latitude: float | None
    longitude: float | None
    verified: bool | None


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that a file's bytes show: pixels and seconds as far as it has them and they are known."""

    size: int
    sha256: str
    width: int | None
    height: int | None
    duration: float | None


@dataclass(frozen=True, slots=True)
class Details:
    """The facts about a file that its bytes do not show."""

    captured_at: float
    device_info: Mapping[str, str]
    worker_region: str | None
    annotations: Mapping[str, Any] | None
    # What only a server of one's own knows, by the name in a File: `content_credentials`, say.
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    # For reviewers, in no response: how a picture looks, as 16 hex digits, and the id of an earlier submission of the
    # same worker to the job with one that looks the same.
    look: str | None = None
    like: str | None = None


class Source(Protocol):
    """The bytes of a file, and their facts. The same on every read."""

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        """The bytes from `start` up to `stop`, in pieces; a tuple if they are in memory."""
        ...

    def facts(self) -> Facts:
        """Size, hash, width, height, and duration."""
        ...

    def details(self) -> Details:
        """Device, region, time, and annotations."""
        ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class File:
    id: str
    content_type: str
    source: Source
    original_filename: str
    created_at: float
    wanted_rating: int = 4  # the stars that scoring will give, where no jury does
    annotations: Mapping[str, Any] | None = None  # of whoever scored it; else those of its source
    rating: int | None = None
    approved: bool = False
    withdrawn: bool = False
    submission: Submission = field(init=False)
    _facts: Facts | None = None

    @property
    def account(self) -> Account:
        """Whose job it is for."""
        return self.submission.account

    def content(self) -> bytes:
        return b"".join(self.source.read(0, self.facts().size))

    def facts(self) -> Facts:
        """Size, hash, and measures, worked out once."""
        if self._facts is None:
            self._facts = self.source.facts()
        return self._facts

    def shown_annotations(self) -> Mapping[str, Any] | None:
        """The annotations: of whoever scored it, else those that it came with."""
        return self.source.details().annotations if self.annotations is None else self.annotations

    @property
    def is_erased(self) -> bool:
        """Whether the bytes, and what described them, are gone for good; the id and what was paid stay."""
        return not self.facts().sha256

    def erase(self, emptied: Source) -> None:
        self.source, self.original_filename, self.annotations, self._facts = emptied, "", None, None

    @property
    def etag(self) -> str:
        """A strong entity tag."""
        return f'"{self.facts().sha256[:32]}"'


@dataclass(slots=True, eq=False, weakref_slot=True)
class Appeal:
    """A worker's word against a rejection. It is answered once, and nothing else of it ever changes."""

    id: str  # that of the submission, with a prefix of its own
    submission: Submission
    words: str
    created_at: float
    answered_at: float | None = None
    actor: str | None = None  # who answered
    accepted: bool = False
    paid: bool = False  # whether the job had slots left
    answer: str = ""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Assignment:
    """A row of a study's tasks that somebody was given."""

    id: str  # the worker, and the task
    task: str
    worker_id: str
    text: str  # as they read it
    files: int = 0  # how many they may send
    until: float = 0.0  # until when it is theirs alone; 0: they gave it back
    submission_id: str | None = None  # what they sent


@dataclass(slots=True, eq=False, weakref_slot=True)
class Endpoint:
    id: str
    account: Account
    url: str
    events: tuple[str, ...] | None  # None: every type, known or not
    description: str | None
    secret: str = field(repr=False)
    created_at: float
    enabled: bool = True
    deleted: bool = False

    @property
    def is_active(self) -> bool:
        return self.enabled and not self.deleted

    def wants(self, event_type: str) -> bool:
        """Whether the endpoint gets events of this type now."""
        return self.is_active and (self.events is None or event_type in self.events)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Event:
    """A webhook event; `body` is what every delivery of it sends, byte for byte."""

    id: str
    account: Account
    type: str
    body: bytes
    deliveries: Growing[Delivery] = field(default_factory=lambda: deque["Delivery"](maxlen=100))


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One HTTP attempt of a delivery.

    Attributes:
        at: when it began, in virtual Unix seconds.
        status: the status of the response, or None if there was none.
        error: why there was no response, or None.
        signature: the `X-FirstHandAPI-Signature` that was sent, or None where nothing was.
    """

    at: float
    status: int | None
    error: str | None
    signature: str | None = None

    @property
    def ok(self) -> bool:
        """Whether a 2xx came in time."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True, eq=False, weakref_slot=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: str
    event: Event
    endpoint: Endpoint
    attempts: tuple[DeliveryAttempt, ...] = ()
    status: str = "pending"  # pending, delivered, failed, dropped (the endpoint is deleted or disabled)


@dataclass(frozen=True, slots=True, eq=False)
class AuditEvent:
    """One line of the audit trail."""

    id: str
    event_type: str
    job_id: str | None
    actor: str
    data: dict[str, Any]
    created_at: float
