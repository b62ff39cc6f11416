"""The models of responses and webhook events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .words import (
    Color,
    ConsentId,
    Count,
    Environment,
    EventId,
    EventType,
    FileId,
    Filled,
    Flag,
    Format,
    Id,
    JobId,
    JobStatus,
    JobType,
    KeyScope,
    Moment,
    OrganizationId,
    RatedBy,
    RequestId,
    Sha256,
    Stars,
    SubmissionId,
    SubmissionStatus,
    TransactionId,
    TransactionType,
    Url,
    WorkerId,
)


class Answer(BaseModel):
    """A response. Readers must expect more fields than these."""

    model_config = ConfigDict(extra="allow", defer_build=True)


class Resource(Answer):
    id: Id


class Job(Answer):
    object: Literal["job"]
    id: JobId
    status: JobStatus
    type: JobType
    title: str | None
    description: str
    files_needed: Count
    files_approved: Count
    price_per_file_cents: Count
    total_cost_cents: Count
    min_star_rating: Stars
    accepted_formats: list[Format]
    files_per_submission: Count
    scoring_criteria: str | None
    min_width: Count | None
    min_height: Count | None
    worker_guidelines: str | None
    location: dict[str, Any] | None
    deadline: Moment | None
    max_workers: Count | None
    metadata: dict[str, Any] | None
    buyer_rating: Stars | None
    buyer_feedback: str | None
    created_at: Moment
    updated_at: Moment
    completed_at: Moment | None
    cancelled_at: Moment | None
    # Of a server of one's own: the currency of the prices, unless it is US dollars; and whether nobody is paid.
    currency: str | None = None
    pay: Literal["none"] | None = None


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
    color_palette: list[Color] | None = None
    dominant_objects: list[DominantObject] | None = None
    composition: str | None = None
    annotation_model: str | None = None


class AudioAnnotations(Answer):
    type: Literal["audio"]
    speaker_count: Count | None = None
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


class OtherAnnotations(Answer):
    type: str


Annotations = Annotated[ImageAnnotations | AudioAnnotations | VideoAnnotations, Field(discriminator="type")]


class DeviceInfo(Answer):
    device_model: str
    device_os: str
    app_version: str


class ContentCredentials(Answer):
    state: Literal["none", "invalid", "valid", "trusted"]
    signer: str | None
    digital_source_type: str | None
    original_sha256: Sha256 | None


class File(Answer):
    object: Literal["file"]
    id: FileId
    job_id: JobId
    submission_id: SubmissionId
    content_type: Format
    size_bytes: Count
    duration_seconds: float | None
    width: Count | None
    height: Count | None
    content_hash: Sha256
    original_filename: str | None
    captured_at: Moment
    ai_star_rating: Stars
    device_info: DeviceInfo
    worker_region: str | None
    download_url: Url
    download_url_expires_at: Moment
    annotations: Annotations | None
    keyframes: list[Keyframe] | None
    created_at: Moment
    # Of a server of one's own, or of the bundled one.
    consent_id: str | None = None
    license: str | None = None
    content_credentials: ContentCredentials | None = None
    rated_by: RatedBy | None = None
    flags: list[Flag] = []
    simulated: bool = False
    task_id: str | None = None
    task_text: str | None = None


class Consent(Answer):
    object: Literal["consent"]
    id: ConsentId
    version: Count
    purposes: list[str]
    license: str
    assurances: list[str]
    text: str
    language: str
    agreed_at: Moment
    withdrawn_at: Moment | None


class Dimensions(Answer):
    relevance: Stars
    quality: Stars
    completeness: Stars


class _Submitted(Answer):
    object: Literal["submission"]
    id: SubmissionId
    status: SubmissionStatus
    job_id: JobId
    worker_id: WorkerId
    ai_star_rating: Stars | None
    ai_reasoning: str | None
    dimensions: Dimensions | None
    content_type: Format
    submitted_at: Moment
    scored_at: Moment | None


class Submission(_Submitted):
    file_url: Url | None
    size_bytes: Count
    submission_latitude: float | None
    submission_longitude: float | None
    location_verified: bool | None
    rated_by: RatedBy | None = None
    flags: list[Flag] = []
    task_id: str | None = None
    task_text: str | None = None


class SubmissionSummary(Answer):
    object: Literal["submission_summary"]
    total: Count
    by_status: dict[str, int]
    average_star_rating: float | None
    approval_rate: float | None


class DownloadUrl(Answer):
    download_url: Url
    download_url_expires_at: Moment


class CreditBalance(Answer):
    object: Literal["credit_balance"]
    balance_cents: int
    available_cents: int
    held_cents: int
    total_cents: int
    currency: Literal["usd"]
    updated_at: Moment


class CreditTransaction(Answer):
    object: Literal["credit_transaction"]
    id: TransactionId
    type: TransactionType
    amount_cents: int
    description: str
    job_id: JobId | None
    expires_at: Moment | None
    created_at: Moment


class Checkout(Answer):
    checkout_url: Url


class WebhookEndpoint(Resource):
    object: Literal["webhook_endpoint"]
    url: Url
    events: list[EventType]
    description: str | None
    enabled: bool
    created_at: Moment


class WebhookDelivery(Answer):
    webhook_endpoint_id: str
    status: Literal["pending", "delivered", "failed", "dropped"]
    attempts: int


class NewWebhookEndpoint(WebhookEndpoint):
    secret: Annotated[str, Field(pattern="^whsec_.")]


class Event(Answer):
    object: Literal["event"]
    id: Annotated[EventId, Field(description="The deduplication key.")]
    type: Annotated[str, Field(min_length=1, description="One of `EventType`, or a type that came later.")]
    api_version: str
    created_at: Moment
    data: dict[str, Any]


class WebhookEvent(Event):
    deliveries: list[WebhookDelivery]


class ApiKey(Resource):
    object: Literal["api_key"]
    name: str
    scopes: list[KeyScope]
    environment: Environment
    masked_key: str
    created_at: Moment
    last_used_at: Moment | None
    expires_at: Moment | None
    revoked_at: Moment | None


class NewApiKey(ApiKey):
    secret: Annotated[str, Field(pattern="^fh_.")]


class OrganizationSettings(Resource):
    object: Literal["organization_settings"]
    auto_top_up_enabled: bool
    auto_top_up_threshold_cents: Count
    auto_top_up_amount_cents: Count
    default_type: JobType | None
    default_price_per_file_cents: Count | None


class AuditEvent(Resource):
    object: Literal["audit_event"]
    event_type: str
    job_id: JobId | None
    actor: str
    data: dict[str, Any]
    created_at: Moment


class Identity(Answer):
    object: Literal["identity"]
    organization_id: OrganizationId
    environment: Environment
    scopes: list[KeyScope]


class Signup(Answer):
    organization_id: OrganizationId
    api_key: Annotated[str, Field(pattern="^fh_live_.")]
    credits_cents: Count


class ErrorDetail(Answer):
    field: str
    message: Filled


class ErrorObject(Answer):
    type: Filled
    message: Filled
    request_id: RequestId
    details: list[ErrorDetail] | None = None


class Error(Answer):
    error: ErrorObject


class InsufficientCreditsObject(ErrorObject):
    current_balance_cents: int
    required_cents: int
    shortfall_cents: int
    purchase_url: Annotated[Url, Field(description="A page where a person buys credits.")]


class InsufficientCreditsError(Answer):
    error: InsufficientCreditsObject


# --- what webhooks deliver ------------------------------------------------------------------------------


class SubmissionEventData(_Submitted):
    submission_id: Annotated[SubmissionId, Field(description="The same as `id`.")]
    file_ids: list[str]


class JobEventData(Job):
    job_id: Annotated[JobId, Field(description="The same as `id`.")]


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
    expires_at: Moment


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
