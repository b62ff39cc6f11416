"""Building a request: everything is checked and serialized before the first attempt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from firsthandapi._base.headers import check_header
from firsthandapi._base.ids import check_text
from firsthandapi._base.masking import Secret
from firsthandapi.errors import InvalidArgumentError

from .idempotency import check_key
from .integers import as_int

_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
_METHODS = frozenset({*_IDEMPOTENT, "POST"})
# The class of the objects whose id a field takes, and the first letters of such an id; any other field takes a job's.
_KINDS = {
    "job_id": ("Job", "job"),
    "file_id": ("File", "file"),
    "file.id": (None, "file"),
    "submission_id": ("Submission", "sub"),
    "endpoint_id": ("WebhookEndpoint", "we"),
    "event_id": ("WebhookEvent", "evt"),
    "api_key_id": ("ApiKey", "key"),
    "consent_id": ("Consent", "cns"),
}
_ANY_KIND = (None, "job")
# In a path, every id contains digits or capitals, and no collection's name does, except `v1`.
_ID_SEGMENT = re.compile(r"/(?!v[0-9]+(?:/|$))[^/]*[A-Z0-9][^/]*")
# A path of the contract: segments of unreserved characters only.
_PATH = re.compile(r"(?:/[A-Za-z0-9_\-~.:@]+)+")

KEY_HEADER = "Idempotency-Key"
# The SDK sets these from other arguments; a second value would be a contradiction.
_OWN_HEADERS = frozenset(
    {
        "authorization",
        "idempotency-key",
        "content-type",
        "content-length",
        "transfer-encoding",
        "host",
        "connection",
        "accept-encoding",
    }
)


@dataclass(frozen=True, repr=False)
class Request:
    """One complete request, the same for every attempt."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    idempotency_key: str | None = None
    # Unix seconds since when this key may have been sent, if another call may have sent it.
    key_sent_at: float | None = None
    # Seconds for one attempt; None means the client's own.
    timeout: float | None = None
    # Seconds that the service may hold the response; they are added to the timeout.
    wait: int | None = None
    # Seconds for the whole call, besides the client's deadline: what a wait for a job has left.
    time_limit: float | None = None
    # False for polls, which a wait repeats by its own rules.
    retry: bool = True
    # Whether the same call finds the key again, in a folder or a ledger.
    recorded: bool = False
    # Unix seconds before which nobody has used the key, as the caller says.
    key_since: float | None = None

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice has the same effect as sending it once."""
        return self.method in _IDEMPOTENT or self.idempotency_key is not None

    @property
    def endpoint(self) -> str:
        """Method and path without ids, such as `GET /v1/jobs/:id`."""
        return f"{self.method} {_ID_SEGMENT.sub('/:id', self.path)}"

    @property
    def job_id(self) -> str | None:
        """The id of the job in the path, or None."""
        match self.path.split("/"):
            case ["", "v1", "jobs", job_id, *_]:
                return job_id
            case _:
                return None

    def __repr__(self) -> str:
        # Without query, headers, and body: they may contain anything.
        return f"<Request {self.method} {self.path}>"


def id_of(value: Any, field: str) -> Any:
    """The id of an object of the kind that `field` takes; anything that is no object of the service, unchanged.
    Raises InvalidArgumentError: it is an object of another kind.
    """
    name, _ = _KINDS.get(field, _ANY_KIND)
    if name is None or not hasattr(value, "id"):
        return value
    from firsthandapi import types  # when one is given: it loads pydantic

    if not isinstance(value, getattr(types, name)):
        article = "an" if name[0] == "A" else "a"
        raise InvalidArgumentError(
            f"{field} must be {article} {name} or its id, not a value of type {type(value).__name__}",
            field=field,
        )
    return value.id


def check_id(value: object, field: str) -> str:
    """`value`, or its id if it is an object of the kind that `field` takes, if it is fit to be a path segment.
    Raises InvalidArgumentError: it is an object of another kind, is not a str, is empty, has characters that no id has,
    such as `/`, or is a key, which must not stand in a URL.
    """
    example = f"{_KINDS.get(field, _ANY_KIND)[1]}_01JP…"
    return check_text(id_of(value, field), field, example)


def build_request(
    method: str,
    path: str,
    *,
    query: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    idempotency_key: str | None = None,
    timeout: float | None = None,
    wait: int | None = None,
    time_limit: float | None = None,
    retry: bool = True,
    extra_headers: Mapping[str, str] | None = None,
    extra_query: Mapping[str, Any] | None = None,
    query_field: str = "extra_query",
) -> Request:
    """The request value for a call. A POST without a key is given one before it is sent: `with_key`.

    `query_field` is what the caller's argument for `extra_query` is called.
    Raises InvalidArgumentError: something cannot be sent as given; the field says what.
    """
    if not isinstance(method, str) or method not in _METHODS:
        raise InvalidArgumentError(f"method must be one of {', '.join(sorted(_METHODS))}", field="method")
    if (
        not isinstance(path, str)
        or not _PATH.fullmatch(path)
        or ("." in path and any(set(segment) == {"."} for segment in path.split("/")))
    ):
        raise InvalidArgumentError(
            "path must look like /v1/jobs: no host, no query (use params=), no '..', no empty segment",
            field="path",
        )
    headers: list[tuple[str, str]] = []
    if idempotency_key is not None:
        check_key(idempotency_key)
        if method == "POST":
            headers.append((KEY_HEADER, idempotency_key))
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    if wait is not None:
        headers.append(("Prefer", f"wait={wait}"))
    headers.extend(check_headers(extra_headers, "extra_headers"))
    return Request(
        method=method,
        path=path,
        query=_query(query, check_mapping(extra_query, query_field), query_field),
        headers=tuple(headers),
        body=body,
        idempotency_key=idempotency_key,
        timeout=check_timeout(timeout),
        wait=wait,
        time_limit=time_limit,
        retry=retry,
    )


def with_key(request: Request, key: str) -> Request:
    """`request` with its idempotency key, which is the same for all attempts."""
    return replace(request, idempotency_key=key, headers=((KEY_HEADER, key), *request.headers))


def check_timeout(value: float | None) -> float | None:
    """A `timeout` if it is None or a positive, finite number of seconds. Raises InvalidArgumentError: it is not."""
    if value is None:
        return None
    value = as_int(value)
    # A bool is an int to Python, but nobody means one second by True.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 10**9:
        raise InvalidArgumentError("timeout must be a number of seconds above 0, or None", field="timeout")
    return float(value)


def check_whole_timeout(value: float | None) -> float | None:
    """The `timeout` of a whole wait, if it is None or a number of seconds, 0 or more: 0 looks once.
    Raises InvalidArgumentError: it is not.
    """
    value = as_int(value)
    is_zero = isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0
    try:
        return value if is_zero else check_timeout(value)
    except InvalidArgumentError:
        text = "timeout must be a number of seconds, 0 or more, or None; 0 looks once"
        raise InvalidArgumentError(text, field="timeout") from None


def check_mapping(value: Mapping[str, Any] | None, field: str) -> Mapping[str, Any]:
    """`value`, or nothing for None. Raises InvalidArgumentError: it is not a mapping."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(
            f"{field} must be a mapping of names to values, not a value of type {type(value).__name__}",
            field=field,
        )
    return value


def check_headers(extra: Mapping[str, str] | None, field: str) -> Iterable[tuple[str, str]]:
    """The headers as pairs. Raises InvalidArgumentError: one cannot be sent unchanged, or the SDK sets it itself."""
    for name, value in check_mapping(extra, field).items():
        pair = check_header(name, value, field)
        if name.lower() in _OWN_HEADERS:
            raise InvalidArgumentError(
                f"{field} must not contain {name}: the SDK sets it; "
                "use api_key=, idempotency_key=, and the arguments of the method",
                field=field,
            )
        yield pair


def check_default_headers(
    headers: Secret[Mapping[str, str]] | None,
) -> Secret[tuple[tuple[str, str], ...]] | None:
    """The headers of a client; their values may be tokens. Raises InvalidArgumentError, as `check_headers` does."""
    try:
        return None if headers is None else Secret((*check_headers(headers.reveal(), "default_headers"),))
    except InvalidArgumentError as error:
        raise error.with_traceback(None) from None  # the frames inside have the values as local variables


def _query(pairs: Iterable[tuple[str, str]], extra: Mapping[str, Any], field: str) -> str:
    merged: dict[str, list[str]] = {}
    for name, value in pairs:
        merged.setdefault(name, []).append(value)
    for name, value in extra.items():
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"{field}: names must be non-empty str", field=field)
        if value is not None:
            values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]  # pyright: ignore[reportUnknownArgumentType] # each is checked
            merged[name] = [_query_value(name, item, field) for item in values]
    if not merged:
        return ""
    try:
        return urlencode(
            [(name, value) for name, values in merged.items() for value in values], quote_via=quote
        )
    except UnicodeEncodeError:
        pass
    raise InvalidArgumentError(
        f"{field} contains half of a character (a lone surrogate): decode the text with the right encoding",
        field=field,
    )


def _query_value(name: str, value: Any, field: str) -> str:
    value = as_int(value)
    if isinstance(value, bool):
        return str(value).lower()
    kind = type(value).__name__
    if isinstance(value, (str, int, float)):
        try:
            return str(value)
        except ValueError:
            kind = "an int of thousands of digits"
    raise InvalidArgumentError(f"{field}: {name} must be a str, a number or a bool, not {kind}", field=field)
