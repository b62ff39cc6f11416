"""What is wrong with an object of the contract, in a few words, as the models of the contract see it.

A field is required if the service's own description shows it in a response, or the contract marks it *always*: these
are named here. Every other field may be missing or null; if it is present, its type holds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from firsthandapi_server.contract import answers

# What is wrong with a value, or None.
Kind = Callable[[Any], str | None]

# The service may add words to these lists at any time.
_OPEN = frozenset({"events", "scopes"})
_SECRETS = frozenset({"secret", "api_key"})


def shape(model: Any, *always: str, but: str = "") -> Kind:
    """Whether a value is an object of the contract.

    Args:
        model: how the contract describes it.
        always: the fields that must be present.
        but: a field that is judged by itself.
    """

    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"is no object: {_quoted(value)}"
        fields = cast("dict[str, Any]", value)
        if lacking := next((name for name in always if name not in fields), None):
            return f"without `{lacking}`"
        try:
            _adapter(model).validate_python({**fields, but: None} if but else fields, strict=True)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                field = str(detail["loc"][0])
                if not _forgiven(detail, field in always):
                    quote = "" if field in _SECRETS else f": {_quoted(detail['input'])}"
                    words = detail["msg"].replace("Input should", "should").replace("Value error,", "is")
                    return f"`{'.'.join(map(str, detail['loc']))}` {words}{quote}"
        return None

    return check


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def _forgiven(error: Any, always: bool) -> bool:
    field = error["loc"][0]
    if error["type"] == "literal_error":
        # What this project calls an object is its own reading, unless the contract says so.
        return not always and (field in _OPEN or field == "object") and isinstance(error["input"], str)
    return error["type"] == "missing" or (error["input"] is None and not always)


def _quoted(value: Any) -> str:
    if value is None:
        return "null"
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_KNOWN = {
    get_args(kind.model_fields["type"].annotation)[0]: shape(kind, "type")
    for kind in (answers.ImageAnnotations, answers.AudioAnnotations, answers.VideoAnnotations)
}
_OTHER = shape(answers.OtherAnnotations, "type")


def annotated(value: Any) -> str | None:
    """The annotations of a file; a type that came later passes."""
    kind: Any = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
    return _KNOWN.get(kind if isinstance(kind, str) else "", _OTHER)(value)


OBJECT = shape(answers.Answer)
JOB = shape(answers.Job, "object", "id", "status", "files_needed", "files_approved", "total_cost_cents")
# fmt: off
FILE = shape(
    answers.File, "object", "id", "content_type", "size_bytes", "ai_star_rating", "download_url",
    "download_url_expires_at", but="annotations",
)
# fmt: on
SUBMISSION = shape(answers.Submission, "id", "status")
SUMMARY = shape(answers.SubmissionSummary, "object", "total", "by_status")
DOWNLOAD = shape(answers.DownloadUrl, "download_url", "download_url_expires_at")
CREDITS = shape(answers.CreditBalance, "balance_cents", "currency")
TRANSACTION = shape(answers.CreditTransaction, "id")
CHECKOUT = shape(answers.Checkout, "checkout_url")
ENDPOINT = shape(answers.WebhookEndpoint, "id")
NEW_ENDPOINT = shape(answers.NewWebhookEndpoint, "id", "secret")
EVENT = shape(answers.Event, "id", "object", "type", "created_at", "data")
KEY = shape(answers.ApiKey, "id")
NEW_KEY = shape(answers.NewApiKey, "id", "secret")
SETTINGS = shape(answers.OrganizationSettings)
AUDIT = shape(answers.AuditEvent, "id")
IDENTITY = shape(answers.Identity, "organization_id", "environment", "scopes")
SIGNUP = shape(answers.Signup, "organization_id", "api_key", "credits_cents")
ERROR = shape(answers.ErrorObject, "type", "message", "request_id")
