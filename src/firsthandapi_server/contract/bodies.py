"""The models of bodies and queries, strict."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from .words import (
    Environment,
    EventType,
    Format,
    JobStatus,
    JobType,
    KeyScope,
    PurchaseTier,
    SubmissionStatus,
    Time,
    TransactionType,
)


def _digits(value: object) -> object:
    """A query parameter is text; only plain digits are a number."""
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value)):
        raise ValueError("must be a whole number")
    return int(value)


def _whole(value: object) -> object:
    """In JSON, 3.0 is a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """Responses repeat free-form JSON, so every reader must be able to parse it."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except (RecursionError, UnicodeEncodeError):
        raise ValueError("must be plain JSON, without lone surrogates") from None
    depth = deepest = 0
    for character in text:  # counting brackets in strings as well: a bound, not a measure
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > 100:
        raise ValueError("must not be nested deeper than 100 levels")
    return value


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        raise ValueError("must be an email address")
    return value


Email = Annotated[str, AfterValidator(_email), WithJsonSchema({"type": "string", "format": "email"})]
# The handlers report what is wrong with them; the document describes as much as it can.
WebhookUrl = Annotated[
    str, WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?://[^\\s]"})
]
Cursor = Annotated[
    str,
    Field(max_length=500),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,500}$",
            "description": "`next_cursor` of the page before; any other text is refused.",
        }
    ),
]
# Stand behind the bounds: a validator before them would hide them from the document.
Whole = BeforeValidator(_whole)
Digits = BeforeValidator(_digits)
Tier = Annotated[PurchaseTier, Whole]
Stars = Annotated[int, Field(ge=1, le=5), Whole]
Id = Annotated[str, Field(max_length=100)]
MIN_PRICE, MAX_PRICE = 10, 50_000  # US cents per file


class Body(BaseModel):
    """A request body: exact types, and no field that the contract does not know."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)

    @classmethod
    def example(cls, number: int = 0) -> dict[str, Any]:
        """A right body, of the first examples of its fields; with 1, another one, of the second ones."""
        examples = {name: field.examples for name, field in cls.model_fields.items() if field.examples}
        return {name: values[min(number, len(values) - 1)] for name, values in examples.items()}


class EmptyBody(Body):
    """A POST without fields takes an empty body or `{}`."""


class SignupBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=200, examples=["Ada", "Grace"])]
    email: Annotated[Email, Field(examples=["ada@example.com"])]


class JobBody(Body):
    type: Annotated[JobType, Field(examples=["data_collection"])]
    description: Annotated[
        str,
        Field(
            min_length=10,
            max_length=5000,
            description="What workers should capture.",
            examples=["Photos of street signs in daylight"],
        ),
    ]
    files_needed: Annotated[
        int,
        Field(ge=1, le=10_000, description="How many approved files complete the job.", examples=[2, 1]),
        Whole,
    ]
    accepted_formats: Annotated[list[Format], Field(min_length=1, examples=[["image/jpeg"]])]
    # Its bounds are in the document; the rules check them: outside them the error is a `pricing_violation`.
    price_per_file_cents: Annotated[
        int,
        Field(
            json_schema_extra={"minimum": MIN_PRICE, "maximum": MAX_PRICE},
            description="US cents per approved file. The job sets aside this times `files_needed`.",
            examples=[50],
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
    deadline: Annotated[Time | None, Field(description="In the future.")] = None
    max_workers: Annotated[int | None, Field(ge=1, le=1_000_000), Whole] = None
    metadata: Annotated[dict[str, Any] | None, Field(max_length=20), AfterValidator(_plain)] = None


class RateBody(Body):
    rating: Annotated[Stars, Field(examples=[4, 5])]
    feedback: str | None = None


class ApiKeyBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=200, examples=["CI", "Another"])]
    scopes: Annotated[list[KeyScope] | None, Field(min_length=1)] = None
    environment: Environment | None = None


class WebhookBody(Body):
    url: Annotated[WebhookUrl, Field(examples=["https://hooks.example/", "https://hooks.example/2"])]
    events: Annotated[list[EventType] | None, Field(min_length=1)] = None
    description: str | None = None


class WebhookPatch(Body):
    url: WebhookUrl = ""
    events: Annotated[list[EventType], Field(min_length=1)] = []
    description: Annotated[str | None, Field(examples=["Billing"])] = None
    enabled: bool = True


class PurchaseBody(Body):
    amount_cents: Annotated[Tier, Field(examples=[1000, 2500])]


# A new organization has the defaults.
class SettingsPatch(Body):
    auto_top_up_enabled: bool = False
    auto_top_up_threshold_cents: Annotated[int, Field(ge=0, le=100_000_000), Whole] = 500
    auto_top_up_amount_cents: Tier = 2500
    default_type: JobType | None = None
    default_price_per_file_cents: Annotated[
        int | None, Field(ge=MIN_PRICE, le=MAX_PRICE, examples=[50]), Whole
    ] = None


class Query(BaseModel):
    """A query string: nothing in it that the contract does not know."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class NoQuery(Query):
    """No parameters."""


class PageQuery(Query):
    limit: Annotated[int, Field(ge=1, le=100), Digits] = 20
    cursor: Cursor | None = None


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
