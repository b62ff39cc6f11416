"""The closed sets of the contract, and its times and ids, as the models of requests and responses share them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema
from typing_extensions import TypeAliasType

from firsthandapi.types import enums
from firsthandapi.types.enums import Flag as Flag
from firsthandapi.types.enums import PurchaseTier as PurchaseTier
from firsthandapi_server.contract.text import parse_iso

JobType = TypeAliasType("JobType", enums.JobType)
JobStatus = TypeAliasType("JobStatus", enums.JobStatus)
SubmissionStatus = TypeAliasType("SubmissionStatus", enums.SubmissionStatus)
Environment = TypeAliasType("Environment", enums.Environment)
Format = TypeAliasType("Format", enums.MediaFormat)
Scope = TypeAliasType("Scope", enums.Scope)
KeyScope = TypeAliasType("KeyScope", enums.KeyScope)
EventType = TypeAliasType("EventType", enums.EventType)
TransactionType = TypeAliasType("TransactionType", enums.TransactionType)


def _time(value: str) -> str:
    parse_iso(value)
    return value


Time = Annotated[str, AfterValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]


def _moment(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", value):
        raise ValueError("not ISO 8601 in UTC with Z")
    return value


# A time in a response.
Moment = Annotated[str, AfterValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]

_ULID = "[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}"
JobId = Annotated[str, Field(pattern=f"^job_{_ULID}$")]
FileId = Annotated[str, Field(pattern=f"^file_{_ULID}$")]
ConsentId = Annotated[str, Field(pattern=f"^cns_{_ULID}$")]
SubmissionId = Annotated[str, Field(pattern=f"^sub_{_ULID}$")]
WorkerId = Annotated[str, Field(pattern=f"^wkr_{_ULID}$")]
EventId = Annotated[str, Field(pattern=f"^evt_{_ULID}$")]
TransactionId = Annotated[str, Field(pattern=f"^crtx_{_ULID}$")]
OrganizationId = Annotated[str, Field(pattern=f"^org_{_ULID}$")]
RequestId = Annotated[str, Field(pattern=f"^req_{_ULID}$")]
Filled = Annotated[str, Field(min_length=1)]
# The prefix of any other id is this project's reading.
Id = Filled

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Stars = Annotated[int, Field(ge=1, le=5)]
RatedBy = Annotated[
    str, Field(pattern=r"^(person|rules|model:\S.{0,199})$")
]  # rules: a program without a model
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Color = Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")]
