"""Every exception that firsthandapi raises.

    FirstHandError
    ├── ConfigurationError            the client, the environment, or the folder cannot be used as asked
    ├── InvalidArgumentError          an invalid argument; also a ValueError
    ├── FirstHandConnectionError      the network failed
    │   └── FirstHandTimeoutError     one attempt took longer than `timeout`
    ├── DeadlineExceededError         the whole call took longer than the client's `deadline`
    ├── FirstHandApiError             the service returned an error
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
    ├── UnexpectedResponseError       a successful response without the documented JSON
    ├── PaginationError               the service repeated a cursor
    ├── WaitTimeoutError              the `timeout` of a wait ran out
    ├── IncompleteJobError            the job finished with fewer files than requested
    ├── SpendLimitError               the job would cost more than allowed
    ├── DownloadError                 files could not be downloaded
    │   └── IntegrityError            the size or SHA-256 of a file is wrong
    ├── AnnotationError               a model gave no opinion about a file
    └── WebhookSignatureError         a delivery is not from FirstHandAPI, or is too old

All of them can be pickled, and none contains a key, a secret, or a signed URL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._base.habits import Led

if TYPE_CHECKING:
    from ._core.calls.ratelimit import RateLimit
    from ._core.calls.response import ApiResponse
    from .types.job import Job


def _rebuild(cls: type[FirstHandError], message: str, state: dict[str, Any]) -> FirstHandError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class FirstHandError(Exception, Led):
    """The root of every error of this package.

    Attributes:
        job: the job as last seen, if the error ended `jobs.collect` after the job was posted; None otherwise.
        failures: the id of each file that could not be downloaded so far, and why, if the error ended a download;
            empty otherwise.
        idempotency_key: the idempotency key of the call, if it sent a POST; None otherwise. The same call with this
            `idempotency_key=` does nothing twice within 23 hours, whatever the error says: the service may have
            executed what it refused.
        request_sent: whether the service may have received the request; False if no attempt established a
            connection; None if that is unknown, or if no request failed.
    """

    job: Job | None = None
    failures: tuple[tuple[str, Exception], ...] = ()
    idempotency_key: str | None = None
    request_sent: bool | None = None

    def __init__(self, message: str) -> None:
        # One printable line: text from the service must not forge a log line or control a terminal.
        from ._base.visible import visible

        super().__init__(visible(message))
        self.message: str = self.args[0]

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows: the caller's frames, without the package's own."""
        from ._base.tracebacks import rendered

        return rendered(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle rebuilds an exception from its positional arguments, which fails for every class below.
        # Ray, Airflow, and multiprocessing would then hide the true failure.
        return _rebuild, (type(self), self.args[0], self.__dict__.copy())


class ConfigurationError(FirstHandError):
    """The client, the environment, or the folder cannot be used as asked; the message says what to fix.

    Raised when a client is created (a missing key, an invalid option or variable), when it is used after `close`, when
    an extra is not installed, and when a folder or bucket cannot be read or written, is full, or does not contain what
    it must. A folder can fail during a run; then `job` names the job that was posted.
    """


class InvalidArgumentError(FirstHandError, ValueError):
    """An argument is outside the allowed values. Raised before the client sends anything.

    Attributes:
        field: the argument's name, with a dotted path for what is nested (`location.radius_km`).
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class FirstHandConnectionError(FirstHandError):
    """The service could not be reached, or the connection broke.

    Attributes:
        attempts: number of attempts.
        request_sent: whether the service may have received the request, in any attempt; False if no connection was
            established; None if your own `http_client` may have sent it before.
        untrusted: whether a certificate was not trusted; never retried.
        proxy_refused: whether a proxy refused to connect, for example because of a wrong password; never retried.
        no_tls: whether the server does not speak TLS; a wait for a job does not retry that.
        errno: the system's error number, such as `errno.ECONNREFUSED`, or None.
        method, path: those of the request, or None.
        seconds: duration of the call, including retries and pauses, or None.
    """

    untrusted: bool = False
    proxy_refused: bool = False
    no_tls: bool = False
    errno: int | None = None
    method: str | None = None
    path: str | None = None
    seconds: float | None = None

    def __init__(self, message: str, *, attempts: int = 1, request_sent: bool = True) -> None:
        super().__init__(message)
        self.attempts = attempts
        self.request_sent: bool | None = request_sent

    def __str__(self) -> str:
        if self.method is None or self.seconds is None:
            return self.message
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"{self.message} ({self.method} {self.path}, {self.seconds:.1f} s, {attempts})"


class FirstHandTimeoutError(FirstHandConnectionError):
    """One attempt took longer than the client's `timeout`."""


class DeadlineExceededError(FirstHandError):
    """The whole call, including retries and pauses, took or would take longer than the client's `deadline`.

    Attributes:
        deadline: the client's `deadline` in seconds.
        attempts: number of attempts before that.
    """

    def __init__(self, message: str, *, deadline: float, attempts: int = 0) -> None:
        super().__init__(message)
        self.deadline = deadline
        self.attempts = attempts


class FirstHandApiError(FirstHandError):
    """The service returned an error.

    Attributes:
        status: the HTTP status.
        type: the type of the error, such as `validation_error`; `unknown` if the service sent none.
        request_id: the id to send to support, or None.
        details: a mapping with `field` and `message` for each invalid field; empty if the service sent none.
        response: the response: status, headers, and attempts.
        attempts: number of attempts.
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
        self.details: list[dict[str, Any]] = list(details)
        self.response = response
        self.attempts = attempts

    @property
    def retryable(self) -> bool:
        return self.status in RETRYABLE_STATUSES

    def __str__(self) -> str:
        from ._base.visible import visible

        where = f"HTTP {self.status} {self.type}"
        if self.request_id is not None:
            where += f", {self.request_id}"
        if self.attempts > 1:
            where += f", after {self.attempts} attempts"
        return f"{self.message} ({visible(where)})"


RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class InvalidRequestError(FirstHandApiError):
    """400 or 422: the service refuses the request; `details` names the fields."""


class AuthenticationError(FirstHandApiError):
    """401: the API key is missing, unknown, or revoked."""


class InsufficientCreditsError(FirstHandApiError):
    """402: the balance does not cover the job.

    Attributes:
        current_balance_cents: the balance in US cents, or None if the service did not send it.
        required_cents: the cost of the job.
        shortfall_cents: the missing amount.
        purchase_url: the page where you purchase credits.
    """

    current_balance_cents: int | None = None
    required_cents: int | None = None
    shortfall_cents: int | None = None
    purchase_url: str | None = None


class PermissionDeniedError(FirstHandApiError):
    """403: the key lacks the scope, or the organization is not allowed to do this. If `type` is `unknown`, a gateway
    refused the request."""


class NotFoundError(FirstHandApiError):
    """404: the organization and environment of this key have no such object."""


class ConflictError(FirstHandApiError):
    """409: the state of the object does not allow this."""


class IdempotencyError(ConflictError):
    """409: this idempotency key was used with another request body."""


class GoneError(FirstHandApiError):
    """410: the endpoint has been switched off; upgrade firsthandapi."""


class RateLimitError(FirstHandApiError):
    """429: too many requests. Also raised without a request if a known limit allows none for more than a minute.

    Attributes:
        retry_after: seconds until the service accepts requests again, or None if the service did not say.
        rate_limit: the limit, or None.
        believed_for: seconds during which no call asks the service again, at least, and at most `retry_after`.
    """

    retry_after: float | None = None
    believed_for: float | None = None
    rate_limit: RateLimit | None = None


class ServerError(FirstHandApiError):
    """5xx: the service failed."""


class UnexpectedResponseError(FirstHandError):
    """A successful response without the documented JSON, or a body over 32 MiB or four million values.

    Attributes:
        status: the HTTP status; 0 for a webhook delivery.
        content_type: the content type of the body, or None.
        length: the number of bytes read.
        fields: paths of the invalid fields, without their values.
        request_id: the id to send to support, or None.
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
        self.fields: tuple[str, ...] = tuple(fields)
        self.request_id = request_id


class PaginationError(FirstHandError):
    """The list would never end because the service repeated a cursor, or a search for a job ended after 1,000 pages."""


class WaitTimeoutError(FirstHandError):
    """The `timeout` of a wait ran out. A posted job continues; run the same call again.

    `timeout` can run out before the job is finished, and in `collect` also before all files are downloaded, before
    another process releases the folder, or before the service confirms the job.

    Attributes:
        job: the job as last seen, or None if it was never seen.
        failures: for each file that could not be downloaded so far, its id and why.
    """

    def __init__(
        self, message: str, *, job: Job | None = None, failures: Sequence[tuple[str, Exception]] = ()
    ) -> None:
        super().__init__(message)
        self.job = job
        self.failures: tuple[tuple[str, Exception], ...] = tuple(failures)


class IncompleteJobError(FirstHandError):
    """The job finished with fewer files than requested.

    Attributes:
        job: the finished job.
        dataset: the downloaded files.
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
        # This error always has a job.
        self.job: Job = job  # pyright: ignore[reportIncompatibleVariableOverride] # always a job
        self.dataset = dataset
        self.failures: tuple[tuple[str, Exception], ...] = tuple(failures)


class SpendLimitError(FirstHandError):
    """The job would cost more than the limit. Raised before the client sends anything.

    Attributes:
        cost_cents: the cost of the job, in US cents.
        limit_cents: the limit, in US cents.
    """

    def __init__(self, message: str, *, cost_cents: int, limit_cents: int) -> None:
        super().__init__(message)
        self.cost_cents = cost_cents
        self.limit_cents = limit_cents


class DownloadError(FirstHandError):
    """Files could not be downloaded. All other files are on disk.

    Attributes:
        failures: the id of each missing file, and why.
    """

    def __init__(self, message: str, *, failures: Sequence[tuple[str, Exception]] = ()) -> None:
        super().__init__(message)
        self.failures: tuple[tuple[str, Exception], ...] = tuple(failures)


class IntegrityError(DownloadError):
    """The size or SHA-256 of a file was wrong in two downloads."""


class AnnotationError(FirstHandError):
    """A model or another annotator gave no opinion about a file, or none that fits.

    Attributes:
        cents: the cost of the question, in cents; None if unknown.
        is_temporary: whether the service could not be reached, or was busy or broken, so that it may answer later.
    """

    def __init__(self, message: str, *, cents: float | None = None, is_temporary: bool = False) -> None:
        super().__init__(message)
        self.cents = cents
        self.is_temporary = is_temporary


class WebhookSignatureError(FirstHandError):
    """The delivery's signature is missing, malformed, wrong, or too old: do not trust its body."""


def __getattr__(name: str) -> Any:
    from ._base.habits import missing

    raise missing(__name__, name)


if not TYPE_CHECKING:  # pragma: no branch - to checkers every name above is public
    __all__ = [name for name in dir() if name.endswith("Error")]
