"""The requests and responses of the contract as pydantic models.

The request models check what comes in; from these and from the response models the OpenAPI document is made.
"""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from ._text import parse_iso

JobType = TypeAliasType("JobType", Literal["data_collection", "feedback"])
JobStatus = TypeAliasType("JobStatus", Literal["open", "filled", "in_progress", "completed", "cancelled"])
SubmissionStatus = TypeAliasType(
    "SubmissionStatus", Literal["pending_score", "approved", "rejected", "retry_pending"]
)
Environment = TypeAliasType("Environment", Literal["live", "test"])
Format = TypeAliasType(
    "Format",
    Literal[
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/gif",
        "audio/mpeg",
        "audio/wav",
        "audio/mp4",
        "video/mp4",
        "video/quicktime",
    ],
)
Scope = TypeAliasType(
    "Scope",
    Literal[
        "jobs:read",
        "jobs:write",
        "webhooks:read",
        "webhooks:write",
        "keys:manage",
        "audit:read",
        "usage:read",
        "billing:write",
    ],
)
EventType = TypeAliasType(
    "EventType",
    Literal[
        "submission.approved",
        "submission.rejected",
        "submission.scored",
        "job.completed",
        "job.cancelled",
        "job.flagged",
        "credits.low_balance",
        "credits.purchased",
        "credits.auto_topped_up",
        "credits.expired",
        "credits.expiring_soon",
    ],
)
TransactionType = TypeAliasType(
    "TransactionType", Literal["purchase", "deduction", "free_tier", "bonus", "expiration", "refund"]
)


def _digits(value: object) -> object:
    """A query parameter is text; only plain digits are a number."""
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value)):
        raise ValueError("must be a whole number")
    return int(value)


def _whole(value: object) -> object:
    """In JSON 3.0 is a whole number too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _time(value: str) -> str:
    parse_iso(value)
    return value


def _plain(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Free-form JSON is answered back, so it must be text that every reader takes."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except (RecursionError, UnicodeEncodeError):
        raise ValueError("must be plain JSON, without lone surrogates") from None
    depth = deepest = 0
    for character in text:  # brackets in strings count too: a bound, not a measure
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > 100:
        raise ValueError("must not be nested deeper than 100 levels")
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError("must be an email address")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def webhook_url_fault(url: str) -> str | None:
    """Why an endpoint may not have this URL, or None."""
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        return "must not contain spaces or control characters"
    try:
        parts = urlsplit(url)
        port_is_good = parts.port != 0
    except ValueError:
        return "is not a URL"
    host = parts.hostname
    if not host or not port_is_good:
        return "is not an absolute URL"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "must be an https:// URL (http:// is allowed for this machine alone)"


Time = Annotated[str, AfterValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
Email = Annotated[str, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email"})]
# Stand behind the bounds: a validator before them would hide them from the document.
Whole = BeforeValidator(_whole)
Digits = BeforeValidator(_digits)
Tier = Annotated[Literal[1000, 2500, 5000, 10000, 25000], Whole]
Stars = Annotated[int, Field(ge=1, le=5), Whole]
Id = Annotated[str, Field(max_length=100)]


class Body(BaseModel):
    """A request body: exact types, and no field that the contract does not know."""

    model_config = ConfigDict(strict=True, extra="forbid")


class EmptyBody(Body):
    """A POST without fields takes an empty body or `{}`."""


class SignupBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    email: Email


class JobBody(Body):
    type: JobType
    description: Annotated[
        str, Field(min_length=10, max_length=5000, description="What workers should capture.")
    ]
    files_needed: Annotated[
        int, Field(ge=1, le=10_000, description="How many approved files complete the job."), Whole
    ]
    accepted_formats: Annotated[list[Format], Field(min_length=1)]
    # Its bounds are in the document but not checked here: outside them the error is a `pricing_violation`.
    price_per_file_cents: Annotated[
        int,
        Field(
            json_schema_extra={"minimum": 10, "maximum": 50_000},
            description="US cents per approved file. The job sets aside this times `files_needed`.",
        ),
        Whole,
    ]
    title: Annotated[str | None, Field(max_length=100)] = None
    min_star_rating: Annotated[Stars, Field(description="The lowest rating to approve. Default: 3.")] = 3
    files_per_submission: Annotated[
        Stars, Field(description="The most files of one submission. Default: 1.")
    ] = 1
    scoring_criteria: Annotated[str | None, Field(max_length=1000)] = None
    min_width: Annotated[int | None, Field(ge=1, le=100_000, description="Pixels."), Whole] = None
    min_height: Annotated[int | None, Field(ge=1, le=100_000, description="Pixels."), Whole] = None
    worker_guidelines: str | None = None
    location: Annotated[dict[str, Any] | None, AfterValidator(_plain)] = None
    deadline: Time | None = None
    max_workers: Annotated[int | None, Field(ge=1, le=1_000_000), Whole] = None
    metadata: Annotated[dict[str, Any] | None, Field(max_length=20), AfterValidator(_plain)] = None


class RateBody(Body):
    rating: Stars
    feedback: str | None = None


class ApiKeyBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope] | None, Field(min_length=1)] = None
    environment: Environment | None = None


class WebhookBody(Body):
    url: str
    events: Annotated[list[EventType] | None, Field(min_length=1)] = None
    description: str | None = None


class WebhookPatch(Body):
    url: str = ""
    events: Annotated[list[EventType], Field(min_length=1)] = []
    description: str | None = None
    enabled: bool = True


class PurchaseBody(Body):
    amount_cents: Tier


class SettingsPatch(Body):
    auto_top_up_enabled: bool = False
    auto_top_up_threshold_cents: Annotated[int, Field(ge=0, le=100_000_000), Whole] = 500
    auto_top_up_amount_cents: Tier = 2500
    default_type: JobType | None = None
    default_price_per_file_cents: Annotated[int | None, Field(ge=10, le=50_000), Whole] = None


class Query(BaseModel):
    """A query string: nothing in it that the contract does not know."""

    model_config = ConfigDict(extra="forbid")


class NoQuery(Query):
    """No parameters."""


class PageQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100), Digits] = 20
    cursor: Annotated[str | None, Field(max_length=500)] = None


class JobsQuery(PageQuery):
    status: JobStatus | None = None
    type: JobType | None = None
    created_after: Time | None = None


class FilesQuery(PageQuery):
    min_score: Annotated[int, Field(ge=1, le=5), Digits] = 3


class JobSubmissionsQuery(PageQuery):
    status: SubmissionStatus | None = None


class SummaryQuery(Query):
    job_id: Id | None = None
    start_date: Time | None = None
    end_date: Time | None = None


class SubmissionsQuery(PageQuery, SummaryQuery):
    status: SubmissionStatus | None = None
    min_score: Annotated[int | None, Field(ge=1, le=5), Digits] = None


class TransactionsQuery(PageQuery):
    type: TransactionType | None = None


class EventsQuery(PageQuery):
    type: EventType | None = None


class AuditQuery(PageQuery):
    job_id: Id | None = None
    event_type: Annotated[str | None, Field(max_length=100)] = None


class Answer(BaseModel):
    """A response. Readers must expect more fields than these."""

    model_config = ConfigDict(extra="allow")


class Resource(Answer):
    id: str


class Job(Resource):
    object: Literal["job"]
    status: JobStatus
    type: JobType
    title: str | None
    description: str
    files_needed: int
    files_approved: int
    price_per_file_cents: int
    total_cost_cents: int
    min_star_rating: int
    accepted_formats: list[Format]
    files_per_submission: int
    scoring_criteria: str | None
    min_width: int | None
    min_height: int | None
    worker_guidelines: str | None
    location: dict[str, Any] | None
    deadline: Time | None
    max_workers: int | None
    metadata: dict[str, Any] | None
    buyer_rating: int | None
    buyer_feedback: str | None
    created_at: Time
    updated_at: Time
    completed_at: Time | None
    cancelled_at: Time | None


class LabeledObject(Answer):
    label: str
    confidence: float | None = None


class Scene(Answer):
    setting: str | None = None
    indoor: bool | None = None


class DominantObject(Answer):
    label: str | None = None
    position: str | None = None
    approximate_coverage: str | None = None


class TranscriptSegment(Answer):
    start: float | None = None
    end: float | None = None
    text: str | None = None
    speaker: str | None = None


class VideoScene(Answer):
    start: float | None = None
    end: float | None = None
    description: str | None = None


class TrackedObject(Answer):
    label: str | None = None
    scenes: list[int] | None = None


class Keyframe(Answer):
    timestamp: float | None = None
    description: str | None = None


class ImageAnnotations(Answer):
    type: Literal["image"]
    objects: list[str | LabeledObject] | None = None
    scene: Scene | None = None
    text_extraction: str | None = None
    color_palette: list[str] | None = None
    dominant_objects: list[DominantObject] | None = None
    composition: str | None = None
    annotation_model: str | None = None


class AudioAnnotations(Answer):
    type: Literal["audio"]
    speaker_count: int | None = None
    language: str | None = None
    topics: list[str] | None = None
    keywords: list[str] | None = None
    noise_level: str | None = None
    transcript_segments: list[TranscriptSegment] | None = None
    annotation_model: str | None = None


class VideoAnnotations(Answer):
    type: Literal["video"]
    scenes: list[VideoScene] | None = None
    actions: list[str] | None = None
    tracked_objects: list[TrackedObject] | None = None
    keyframes: list[Keyframe] | None = None
    transcript_segments: list[TranscriptSegment] | None = None
    annotation_model: str | None = None


Annotations = Annotated[ImageAnnotations | AudioAnnotations | VideoAnnotations, Field(discriminator="type")]


class DeviceInfo(Answer):
    device_model: str
    device_os: str
    app_version: str


class File(Resource):
    object: Literal["file"]
    job_id: str
    submission_id: str
    content_type: str
    size_bytes: int
    duration_seconds: float | None
    width: int | None
    height: int | None
    content_hash: str
    original_filename: str | None
    captured_at: Time
    ai_star_rating: int
    device_info: DeviceInfo
    worker_region: str
    download_url: str
    download_url_expires_at: Time
    annotations: Annotations | None
    keyframes: list[Keyframe] | None
    created_at: Time


class Dimensions(Answer):
    relevance: int
    quality: int
    completeness: int


class Submission(Resource):
    object: Literal["submission"]
    status: SubmissionStatus
    job_id: str
    worker_id: str
    ai_star_rating: int | None
    ai_reasoning: str | None
    dimensions: Dimensions | None
    file_url: str | None
    content_type: str
    size_bytes: int
    submitted_at: Time
    scored_at: Time | None
    submission_latitude: float | None
    submission_longitude: float | None
    location_verified: bool | None


class SubmissionSummary(Answer):
    object: Literal["submission_summary"]
    total: int
    by_status: dict[str, int]
    average_star_rating: float | None
    approval_rate: float | None


class DownloadUrl(Answer):
    download_url: str
    download_url_expires_at: Time


class CreditBalance(Answer):
    object: Literal["credit_balance"]
    balance_cents: int
    available_cents: int
    held_cents: int
    total_cents: int
    currency: str
    updated_at: Time


class CreditTransaction(Resource):
    object: Literal["credit_transaction"]
    type: TransactionType
    amount_cents: int
    description: str
    expires_at: Time | None
    created_at: Time


class Checkout(Answer):
    checkout_url: str


class WebhookEndpoint(Resource):
    object: Literal["webhook_endpoint"]
    url: str
    events: list[EventType]
    description: str | None
    enabled: bool
    created_at: Time


class WebhookDelivery(Answer):
    webhook_endpoint_id: str
    status: Literal["pending", "delivered", "failed", "dropped"]
    attempts: int


class NewWebhookEndpoint(WebhookEndpoint):
    secret: str


class WebhookEvent(Resource):
    object: Literal["event"]
    type: Annotated[str, Field(description="One of `EventType`, or a type that came later.")]
    api_version: str
    created_at: Time
    data: dict[str, Any]
    deliveries: list[WebhookDelivery]


class ApiKey(Resource):
    object: Literal["api_key"]
    name: str
    scopes: list[Scope]
    environment: Environment
    masked_key: str
    created_at: Time
    last_used_at: Time | None
    expires_at: Time | None
    revoked_at: Time | None


class NewApiKey(ApiKey):
    secret: str


class OrganizationSettings(Resource):
    object: Literal["organization_settings"]
    auto_top_up_enabled: bool
    auto_top_up_threshold_cents: int
    auto_top_up_amount_cents: int
    default_type: JobType | None
    default_price_per_file_cents: int | None


class AuditEvent(Resource):
    object: Literal["audit_event"]
    event_type: str
    job_id: str | None
    actor: str
    data: dict[str, Any]
    created_at: Time


class Identity(Answer):
    object: Literal["identity"]
    organization_id: str
    environment: Environment
    scopes: list[Scope]


class Signup(Answer):
    organization_id: str
    api_key: str
    credits_cents: int


class ErrorDetail(Answer):
    field: str
    message: str


class ErrorObject(Answer):
    type: str
    message: str
    request_id: str
    details: list[ErrorDetail] | None = None


class Error(Answer):
    error: ErrorObject


class InsufficientCreditsObject(ErrorObject):
    current_balance_cents: int
    required_cents: int
    shortfall_cents: int
    purchase_url: Annotated[str, Field(description="A page where a person buys credits.")]


class InsufficientCreditsError(Answer):
    error: InsufficientCreditsObject


# --- what webhooks deliver ------------------------------------------------------------------------------


class SubmissionEventData(Answer):
    object: Literal["submission"]
    id: str
    submission_id: Annotated[str, Field(description="The same as `id`.")]
    job_id: str
    worker_id: str
    status: SubmissionStatus
    ai_star_rating: int | None
    ai_reasoning: str | None
    dimensions: Dimensions | None
    content_type: str
    file_ids: list[str]
    submitted_at: Time
    scored_at: Time | None


class JobEventData(Job):
    job_id: Annotated[str, Field(description="The same as `id`.")]


class JobCancelledData(JobEventData):
    refunded_cents: int


class JobFlaggedData(JobEventData):
    reason: str


class LowBalanceData(Answer):
    balance_cents: int
    threshold_cents: int


class CreditsData(Answer):
    amount_cents: int
    balance_cents: int


class CreditsExpiringData(Answer):
    amount_cents: int
    expires_at: Time


EVENT_DATA: dict[str, type[Answer]] = {
    "submission.approved": SubmissionEventData,
    "submission.rejected": SubmissionEventData,
    "submission.scored": SubmissionEventData,
    "job.completed": JobEventData,
    "job.cancelled": JobCancelledData,
    "job.flagged": JobFlaggedData,
    "credits.low_balance": LowBalanceData,
    "credits.purchased": CreditsData,
    "credits.auto_topped_up": CreditsData,
    "credits.expired": CreditsData,
    "credits.expiring_soon": CreditsExpiringData,
}
