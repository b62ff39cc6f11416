"""Every exception that firsthandapi raises.

    FirstHandError
    ├── ConfigurationError            a missing key, a bad option, a missing extra
    ├── InvalidArgumentError          a bad argument; raised before anything is sent; also a ValueError
    ├── FirstHandConnectionError      the network failed
    │   └── FirstHandTimeoutError     one attempt took longer than `timeout`
    ├── DeadlineExceededError         the whole call took longer than the client's `deadline`
    ├── FirstHandApiError             the service answered with an error
    │   ├── InvalidRequestError       400, 422
    │   ├── AuthenticationError       401
    │   ├── InsufficientCreditsError  402
    │   ├── PermissionDeniedError     403
    │   ├── NotFoundError             404
    │   ├── ConflictError             409
    │   │   └── IdempotencyError
    │   ├── GoneError                 410
    │   ├── RateLimitError            429
    │   └── ServerError               5xx
    ├── UnexpectedResponseError       a success that is not the documented JSON
    ├── PaginationError               the service repeats a cursor
    ├── WaitTimeoutError              the job was not done in time
    ├── IncompleteJobError            the job ended with fewer files than asked for
    ├── SpendLimitError               the job would cost more than allowed
    ├── DownloadError                 files could not be fetched
    │   └── IntegrityError            a file is not the one that was promised
    └── WebhookSignatureError         a delivery is not from FirstHandAPI, or too old

All of them survive pickling, and none holds a key, a secret or a signed URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._core.ratelimit import RateLimit
    from ._core.response import ApiResponse
    from .types.job import Job


def _rebuild(cls: type[FirstHandError], message: str, state: dict[str, Any]) -> FirstHandError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class FirstHandError(Exception):
    """The root of every error of this package.

    Attributes:
        job: the job as last seen, where an error ends `jobs.collect` after the job was posted; None elsewhere.
    """

    job: Job | None = None

    def __init__(self, message: str) -> None:
        # One printable line, whatever the service wrote: no text of its can forge a log line or drive a terminal.
        from ._visible import visible

        super().__init__(visible(message))
        self.message: str = self.args[0]

    def __reduce__(self) -> tuple[Any, ...]:
        # The default rebuilds an exception from its positional arguments alone, which fails for every
        # class below: Ray, Airflow and multiprocessing would then hide the true failure.
        return _rebuild, (type(self), self.args[0], self.__dict__.copy())


class ConfigurationError(FirstHandError):
    """The client cannot be built as asked: a key is missing, an option is bad, an extra is not installed."""


class InvalidArgumentError(FirstHandError, ValueError):
    """An argument is outside what the contract allows. Nothing was sent.

    Attributes:
        field: the argument's name, with a dotted path for what is nested (`location.radius_km`).
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class FirstHandConnectionError(FirstHandError):
    """The service could not be reached, or the connection broke.

    Attributes:
        attempts: how often the request was tried.
        request_sent: whether the service may have received the request; False if no connection was made.
        untrusted: whether a certificate was not trusted: waiting for a job does not retry that.
        errno: the system's error number, such as `errno.ECONNREFUSED`, or None.
        method, path: the request's, or None.
        seconds: how long the call took, retries and pauses included, or None.
    """

    untrusted: bool = False
    errno: int | None = None
    method: str | None = None
    path: str | None = None
    seconds: float | None = None

    def __init__(self, message: str, *, attempts: int = 1, request_sent: bool = True) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.request_sent = request_sent

    def __str__(self) -> str:
        if self.method is None or self.seconds is None:
            return self.message
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.message} ({self.method} {self.path}, {self.seconds:.1f} s, {attempts})"


class FirstHandTimeoutError(FirstHandConnectionError):
    """One attempt took longer than the client's `timeout`."""


class DeadlineExceededError(FirstHandError):
    """The whole call, retries and pauses included, would take or took longer than the client's `deadline`.

    Attributes:
        deadline: the client's `deadline` in seconds.
        attempts: how often the request was tried before that.
    """

    def __init__(self, message: str, *, deadline: float, attempts: int = 0) -> None:
        super().__init__(message)
        self.deadline = deadline
        self.attempts = attempts


class FirstHandApiError(FirstHandError):
    """The service answered with an error.

    Attributes:
        status: the HTTP status.
        type: the service's word for the error, such as `validation_error`; `unknown` if it gave none.
        request_id: what to quote to support, or None.
        details: for each bad field a mapping with `field` and `message`; empty if the service gave none.
        response: the response itself: status, headers, attempts.
        attempts: how often the request was tried.
        retryable: whether the same request may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str = "unknown",
        request_id: str | None = None,
        details: Sequence[dict[str, Any]] = (),
        response: ApiResponse | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.request_id = request_id
        self.details = list(details)
        self.response = response
        self.attempts = attempts

    @property
    def retryable(self) -> bool:
        return self.status in RETRYABLE_STATUSES

    def __str__(self) -> str:
        from ._visible import visible

        where = f"HTTP {self.status} {self.type}"
        if self.request_id is not None:
            where += f", {self.request_id}"
        if self.attempts > 1:
            where += f", after {self.attempts} attempts"
        return f"{self.message} ({visible(where)})"


RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class InvalidRequestError(FirstHandApiError):
    """400 or 422: the service refuses the request as it stands; `details` names the fields."""


class AuthenticationError(FirstHandApiError):
    """401: the API key is missing, unknown or revoked."""


class InsufficientCreditsError(FirstHandApiError):
    """402: the balance does not cover the job.

    Attributes:
        current_balance_cents: what there is, in US cents, or None if the service did not say.
        required_cents: what the job costs.
        shortfall_cents: what is missing.
        purchase_url: where to buy credits.
    """

    current_balance_cents: int | None = None
    required_cents: int | None = None
    shortfall_cents: int | None = None
    purchase_url: str | None = None


class PermissionDeniedError(FirstHandApiError):
    """403: the key lacks the scope, or the organization may not do this."""


class NotFoundError(FirstHandApiError):
    """404: there is no such thing in this key's organization and environment."""


class ConflictError(FirstHandApiError):
    """409: the object's state does not allow this."""


class IdempotencyError(ConflictError):
    """409: this idempotency key was used with another request body."""


class GoneError(FirstHandApiError):
    """410: the endpoint has been switched off; upgrade firsthandapi."""


class RateLimitError(FirstHandApiError):
    """429: too many requests.

    Attributes:
        retry_after: seconds until the service accepts requests again, or None if it did not say.
        rate_limit: the limit that was hit, or None.
    """

    retry_after: float | None = None
    rate_limit: RateLimit | None = None


class ServerError(FirstHandApiError):
    """5xx: the service failed."""


class UnexpectedResponseError(FirstHandError):
    """A success that is not the documented JSON, or a body over 32 MiB.

    Attributes:
        status: the HTTP status; 0 for a webhook delivery.
        content_type: what the body claims to be, or None.
        length: the body's length in bytes as far as it was read.
        fields: paths of the fields that do not fit, without their values.
        request_id: what to quote to support, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        content_type: str | None = None,
        length: int = 0,
        fields: Sequence[str] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content_type = content_type
        self.length = length
        self.fields = tuple(fields)
        self.request_id = request_id


class PaginationError(FirstHandError):
    """The service gave a cursor it had given before: following it would never end."""


class WaitTimeoutError(FirstHandError):
    """The job did not finish before the wait's `timeout` passed. The job itself continues.

    Attributes:
        job: its last state seen, or None if it never was.
        failures: for each file that could not be downloaded so far, its id and why.
    """

    def __init__(
        self, message: str, *, job: Job | None = None, failures: Sequence[tuple[str, Exception]] = ()
    ) -> None:
        super().__init__(message)
        self.job = job
        self.failures = tuple(failures)


class IncompleteJobError(FirstHandError):
    """The job ended with fewer files than asked for.

    Attributes:
        job: the job as it ended.
        dataset: the files that came.
        failures: for each approved file that could not be downloaded, its id and why.
    """

    def __init__(
        self,
        message: str,
        *,
        job: Job,
        dataset: Any = None,
        failures: Sequence[tuple[str, Exception]] = (),
    ) -> None:
        super().__init__(message)
        self.job = job
        self.dataset = dataset
        self.failures = tuple(failures)


class SpendLimitError(FirstHandError):
    """The job would cost more than allowed. Nothing was sent.

    Attributes:
        cost_cents: what the job would cost, in US cents.
        limit_cents: the most it may cost.
    """

    def __init__(self, message: str, *, cost_cents: int, limit_cents: int) -> None:
        super().__init__(message)
        self.cost_cents = cost_cents
        self.limit_cents = limit_cents


class DownloadError(FirstHandError):
    """Files could not be fetched. What could be is on disk.

    Attributes:
        failures: for each file that is missing, its id and why.
    """

    def __init__(self, message: str, *, failures: Sequence[tuple[str, Exception]] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class IntegrityError(DownloadError):
    """A file's size or SHA-256 is not what the service promised, also after a second fetch."""


class WebhookSignatureError(FirstHandError):
    """The delivery's signature is missing, malformed, wrong or too old: do not trust its body."""


def __getattr__(name: str) -> Any:
    from ._successors import missing

    raise missing(__name__, name)


__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "DownloadError",
    "FirstHandApiError",
    "FirstHandConnectionError",
    "FirstHandError",
    "FirstHandTimeoutError",
    "GoneError",
    "IdempotencyError",
    "IncompleteJobError",
    "InsufficientCreditsError",
    "IntegrityError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "NotFoundError",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "SpendLimitError",
    "UnexpectedResponseError",
    "WaitTimeoutError",
    "WebhookSignatureError",
]
