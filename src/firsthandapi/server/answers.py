"""The models of responses and webhook events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .words import (
    Environment,
    EventType,
    Format,
    JobStatus,
    JobType,
    Scope,
    SubmissionStatus,
    Time,
    TransactionType,
)


class Answer(BaseModel):
    """A response. Readers must expect more fields than these."""

    model_config = ConfigDict(extra="allow", defer_build=True)


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
    worker_region: str | None
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
