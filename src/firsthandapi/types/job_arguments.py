"""What describes a job, and the arguments about jobs (contract §2 "Jobs"). They are loaded when a call has some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypedDict

from pydantic import Field

from ._base import Params, WireTime
from .enums import JobStatus, JobType, MediaFormat
from .options import PostExtras
from .page import ListParams


class _RequiredJobFields(TypedDict):
    description: str
    """what workers are asked for, 10 to 5,000 characters."""
    files_needed: int
    """number of files, 1 to 10,000."""
    accepted_formats: Sequence[MediaFormat]
    """MIME types, at least one, such as `["image/jpeg"]`."""
    price_per_file_cents: int
    """price of one approved file, in US cents, 10 to 50,000."""


class JobOptions(TypedDict, total=False):
    """What may describe a job."""

    type: JobType
    """`data_collection`, or `feedback` on content that the description links to."""
    title: str | None
    """a short label, at most 100 characters."""
    min_star_rating: int | None
    """lowest rating to approve, 1 to 5; the service's default is 3."""
    files_per_submission: int | None
    """number of files that one submission may contain, 1 to 5; the service's default is 1."""
    scoring_criteria: str | None
    """what the scorer looks for besides the description, at most 1,000 characters."""
    min_width: int | None
    """lowest width, in pixels, at least 1; smaller files are rejected before scoring."""
    min_height: int | None
    """lowest height, in pixels, at least 1; smaller files are rejected before scoring."""
    worker_guidelines: str | None
    """further instructions to workers."""
    location: Mapping[str, Any] | None
    """where workers must be: `{"latitude", "longitude", "radius_km"}` or `{"city", "state"}`."""
    deadline: date | str | None
    """when an unfinished job is cancelled and refunded: an aware datetime or an ISO 8601 string."""
    max_workers: int | None
    """number of workers who may take part, at least 1; None means any number."""
    metadata: Mapping[str, Any] | None
    """your own values, at most 20 keys; `jobs.collect` needs one, so 19 there."""


class JobFields(_RequiredJobFields, JobOptions, total=False):
    """What describes a job: pass it by `**` to `jobs.create`, `.estimate`, `.create_and_wait`, or `.collect`."""

    max_spend_cents: int | None
    """most that the job may cost, in US cents; the smaller of this and the client's applies."""


class JobArguments(JobFields, PostExtras, total=False):
    """What `jobs.create_and_wait` and `jobs.collect` take besides their own arguments."""


class JobCreateParams(Params):
    """The arguments of `jobs.create` (contract §2 "Jobs")."""

    type: JobType = Field(default="data_collection", description="'data_collection' or 'feedback'")
    description: str = Field(min_length=10, max_length=5000, description="a str of 10 to 5,000 characters")
    files_needed: int = Field(ge=1, le=10_000, description="an int from 1 to 10,000")
    accepted_formats: list[MediaFormat] = Field(
        min_length=1,
        description="a list of at least one of the MIME types image/jpeg, image/png, image/webp, image/gif, "
        "audio/mpeg, audio/wav, audio/mp4, video/mp4, video/quicktime",
    )
    price_per_file_cents: int = Field(ge=10, le=50_000, description="an int from 10 to 50,000 (US cents)")
    title: str | None = Field(default=None, max_length=100, description="a str of at most 100 characters")
    min_star_rating: int | None = Field(default=None, ge=1, le=5, description="an int from 1 to 5")
    files_per_submission: int | None = Field(default=None, ge=1, le=5, description="an int from 1 to 5")
    scoring_criteria: str | None = Field(
        default=None, max_length=1000, description="a str of at most 1,000 characters"
    )
    min_width: int | None = Field(default=None, ge=1, description="an int of at least 1 (pixels)")
    min_height: int | None = Field(default=None, ge=1, description="an int of at least 1 (pixels)")
    worker_guidelines: str | None = Field(default=None, description="a str")
    location: dict[str, Any] | None = Field(
        default=None,
        description="a dict such as {'city': 'Austin', 'state': 'Texas'} or "
        "{'latitude': 35.68, 'longitude': 139.69, 'radius_km': 20}",
    )
    deadline: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")
    max_workers: int | None = Field(default=None, ge=1, description="an int of at least 1")
    metadata: dict[str, Any] | None = Field(
        default=None, max_length=20, description="a dict of at most 20 str keys with JSON values"
    )


class JobGetParams(Params):
    """The arguments of `jobs.get`: `wait` is sent as `Prefer: wait=N` (contract §1 "Long-poll")."""

    wait: int | None = Field(default=None, ge=1, le=60, description="an int from 1 to 60 (seconds)")


class JobListParams(ListParams):
    """The filters of `jobs.list` (contract §2 "Jobs")."""

    status: JobStatus | None = Field(
        default=None, description="'open', 'filled', 'in_progress', 'completed' or 'cancelled'"
    )
    type: JobType | None = Field(default=None, description="'data_collection' or 'feedback'")
    created_after: WireTime | None = Field(default=None, description="an aware datetime or an ISO 8601 str")


class JobRateParams(Params):
    """The arguments of `jobs.rate` (contract §2 "Jobs")."""

    rating: int = Field(ge=1, le=5, description="an int from 1 to 5")
    feedback: str | None = Field(default=None, description="a str")
