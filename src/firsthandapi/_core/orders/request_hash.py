"""Guards money: the hash that recognizes the job that a request has bought.

A service may change or leave out fields of the request in the job. It returns the metadata unchanged, so they contain
the hash of the whole request, beside the idempotency key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from firsthandapi._base.loose_json import members
from firsthandapi._core.calls.integers import as_int

REQUEST_METADATA = "firsthandapi_request"

_HASH = re.compile(r"[0-9a-f]{64}")
# What this package adds to the caller's metadata.
_OURS = "firsthandapi_"
# The contract allows 20; the idempotency key is one of them, the hash another.
_MOST_METADATA = 19
# A deadline computed from the clock differs at each run.
_NOT_COMPARED = "deadline"
# The service's defaults: leaving one out asks for the same.
_DEFAULTS = {"min_star_rating": 3, "files_per_submission": 1}


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a job's POST in canonical form, the same for all bodies that ask for the same.

    Without `deadline`, what is None, the contract's defaults, and the metadata that this package adds; formats sorted,
    whitespace folded, and numbers by their value.
    """
    fields = {name: plain_value(value) for name, value in body.items() if name != _NOT_COMPARED}
    metadata, formats = fields.get("metadata"), fields.get("accepted_formats")
    if isinstance(metadata, dict):
        entries = cast("dict[str, Any]", metadata)
        fields["metadata"] = {key: entries[key] for key in entries if not key.startswith(_OURS)} or None
    if isinstance(formats, list):
        fields["accepted_formats"] = sorted({*map(str, cast("Any", formats))})
    return {
        name: value for name, value in fields.items() if value is not None and value != _DEFAULTS.get(name)
    }


def plain_value(value: Any) -> Any:
    """A JSON value in one form for all that are equal: `20.0` and `20`, `"a  b\\n"` and `"a b"`."""
    value = as_int(value)
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: plain_value(item) for key, item in entries.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in cast("list[Any]", value)]
    return value


def canonical(value: Any) -> str:
    """A value of `plain` as text that is the same for the same value: JSON, keys sorted, no spaces."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def request_hash(body: Mapping[str, Any]) -> str:
    """The SHA-256, in 64 hex digits, of what `body` asks for, as canonical JSON. The formula will not change."""
    import hashlib  # it loads OpenSSL

    return hashlib.sha256(canonical(plain(body)).encode("utf-8", "surrogatepass")).hexdigest()


def hash_to_send(body: Mapping[str, Any]) -> str | None:
    """The hash of `body`; None where the caller's own metadata leave no room for it."""
    return request_hash(body) if len(body.get("metadata") or ()) < _MOST_METADATA else None


def hash_in(job: Mapping[str, Any]) -> str | None:
    """The hash of the request that bought `job`; None if the job does not show a whole one."""
    digest = (text_in_metadata(job, REQUEST_METADATA) or "").lower()
    return digest if _HASH.fullmatch(digest) else None


def text_in_metadata(job: Mapping[str, Any], name: str) -> str | None:
    """A text in the metadata of a job; None if they have no text of this name."""
    text = members(job.get("metadata")).get(name)
    return text if isinstance(text, str) else None
