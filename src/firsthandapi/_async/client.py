"""The client."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from firsthandapi._async.bridge import check_rate_limiter
from firsthandapi._async.transport import Shared, Transport
from firsthandapi._base.forks import importing
from firsthandapi._base.habits import missing_attribute
from firsthandapi._base.masking import Secret, secret_or_none
from firsthandapi._base.methods import public
from firsthandapi._base.watching import LOG_VARIABLE, log_to_stderr
from firsthandapi._core.calls.config import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT,
    NOT_GIVEN,
    Config,
    NotGiven,
    resolve_api_key,
    resolve_base_url,
)
from firsthandapi._core.calls.ratelimit import AsyncRateLimiter as RateLimiter
from firsthandapi._core.calls.ratelimit import RateLimit
from firsthandapi._core.calls.request import check_default_headers
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.errors import ConfigurationError
from firsthandapi.types.options import PostOptions, RequestOptions

if TYPE_CHECKING:
    import ssl

    import httpx
    import httpx2

    from firsthandapi._async.journal import Journal
    from firsthandapi._async.resources.account import AccountCalls
    from firsthandapi._async.resources.api_keys import ApiKeys
    from firsthandapi._async.resources.audit_events import AuditEvents
    from firsthandapi._async.resources.billing import Billing
    from firsthandapi._async.resources.campaigns import Campaigns
    from firsthandapi._async.resources.consents import Consents
    from firsthandapi._async.resources.files import Files
    from firsthandapi._async.resources.jobs import Jobs
    from firsthandapi._async.resources.orders import Orders
    from firsthandapi._async.resources.organization import Organization
    from firsthandapi._async.resources.submissions import Submissions
    from firsthandapi._async.resources.webhooks import Webhooks
    from firsthandapi._core.calls.attempt import Attempt
    from firsthandapi.types.identity import Identity
    from firsthandapi.types.signup import Signup

    # For a cached_property, editors on Jedi would offer its own attributes as well as those of its value.
    cached_property = property
else:
    from functools import cached_property

T = TypeVar("T")


class AsyncFirstHandClient:
    """The FirstHandAPI service.

        async with AsyncFirstHandClient() as client:
            job = await client.jobs.get("job_…")

    Every option is looked up in this order, and the first match wins: the argument, the environment variable, the
    default.

    Every method also takes `timeout`, `extra_headers`, and `extra_query`; with a body, `extra_body`; with a POST,
    `idempotency_key`. `jobs.create` explains them. Every method raises `DeadlineExceededError` when
    the client's `deadline` has passed.

    Args:
        api_key: else `FIRSTHAND_API_KEY`.
        base_url: else `FIRSTHAND_BASE_URL`, else https://api.firsthandapi.com. http only for loopback.
        timeout: seconds for one attempt, above 0; at most 5 of them for connecting. A long-poll's wait is
            added.
        deadline: seconds for a whole call with its attempts and pauses, above 0; None for no limit.
        max_retries: attempts after the first, 0 to 1000. A 429 with a `Retry-After` of up to 60 s does not count.
        max_spend_cents: the most one job may cost, in US cents; checked before anything is sent.
        proxy: the URL of an HTTP or SOCKS 5 proxy, for API calls and downloads; else `HTTP_PROXY`,
            `HTTPS_PROXY`, `ALL_PROXY`, and `NO_PROXY` decide.
        verify: True, a path to certificates, `"system"` for those of the operating system (extra `truststore`), an
            `ssl.SSLContext`, or False to trust any server. True obeys `SSL_CERT_FILE` and `SSL_CERT_DIR`, else
            `REQUESTS_CA_BUNDLE`.
        http_client: your own client of httpx or httpx2 for API calls; the SDK never closes it. Downloads take its
            certificates and its proxy, unless you pass `verify` or `proxy`. Its transport limits the time for headers
            by itself: in the sync client a server that sends them byte by byte can exceed `timeout`.
        on_attempt: a function called with an `Attempt` after each attempt, including retries and downloads, on the
            thread that made it. Its exceptions are logged and otherwise ignored.
        rate_limiter: a request budget shared with other processes, an `AsyncRateLimiter`; None counts the
            requests of this client and its copies.
        journal: the path of a folder, created if missing, that records each POST until its outcome is known. Run the
            same call again after a crash: it does nothing twice. Processes and threads may share the folder. `collect`
            and campaigns do not need it; it does not record `files.refresh_url`.
        default_headers: headers to add to every API call, such as a gateway's token, and never to a download; a
            call's `extra_headers` come first. Not Authorization, Idempotency-Key, Content-Type, or Host.
        tracing: whether to make OpenTelemetry spans and send `traceparent`, if the program has loaded OpenTelemetry.

    Raises:
        ConfigurationError: the API key is missing, or an option is invalid; the message names it.
        InvalidArgumentError: a header of `default_headers` is not allowed.
    """

    @public
    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        deadline: float | None = None,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_spend_cents: int | None = None,
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        on_attempt: Callable[[Attempt], object] | None = None,
        rate_limiter: RateLimiter | None = None,
        journal: str | os.PathLike[str] | None = None,
        default_headers: Mapping[str, str] | None = None,
        tracing: bool = True,
    ) -> None:
        # Remove possible secrets from this frame before anything can fail: tracebacks show local variables.
        key, url, proxy_url = secret_or_none(api_key), secret_or_none(base_url), secret_or_none(proxy)
        headers = secret_or_none(default_headers)
        del api_key, base_url, proxy, default_headers
        config = _checked(
            Config(
                api_key=_resolve_api_key(key),
                base_url=_resolve_base_url(url),
                timeout=timeout,
                deadline=deadline,
                max_retries=max_retries,
                max_spend_cents=max_spend_cents,
                proxy=proxy_url,
                verify=verify,
                rate_limiter=rate_limiter,
                on_attempt=on_attempt,
                journal=journal,  # type: ignore[arg-type] # any path, of which `_checked` makes a str
                default_headers=check_default_headers(headers),
                tracing=tracing,
            )
        )
        log_to_stderr(os.environ.get(LOG_VARIABLE))
        if http_client is not None:
            _check_http_client(http_client)
            from firsthandapi._base.network.lending import lend  # few clients need it

            config = lend(config, http_client)
        self._start(config, Shared(http_client), owner=True)

    def _start(self, config: Config, shared: Shared, *, owner: bool) -> None:
        self._config = config
        self._shared = shared
        self._owner = owner
        self._transport = Transport(config, shared)

    @public
    def with_options(
        self,
        api_key: str | NotGiven = NOT_GIVEN,
        base_url: str | NotGiven = NOT_GIVEN,
        *,
        timeout: float | NotGiven = NOT_GIVEN,
        deadline: float | NotGiven | None = NOT_GIVEN,
        max_retries: int | NotGiven = NOT_GIVEN,
        max_spend_cents: int | NotGiven | None = NOT_GIVEN,
        proxy: str | NotGiven | None = NOT_GIVEN,
        verify: bool | str | ssl.SSLContext | NotGiven = NOT_GIVEN,
        on_attempt: Callable[[Attempt], object] | NotGiven | None = NOT_GIVEN,
        rate_limiter: RateLimiter | NotGiven | None = NOT_GIVEN,
        journal: str | os.PathLike[str] | NotGiven | None = NOT_GIVEN,
        default_headers: Mapping[str, str] | NotGiven | None = NOT_GIVEN,
        tracing: bool | NotGiven = NOT_GIVEN,
    ) -> Self:
        """A copy with other options, over the same connections. Closing a copy does nothing.

        Args:
            api_key, base_url, timeout, deadline, max_retries, max_spend_cents, proxy, verify, on_attempt,
                rate_limiter, journal, default_headers, tracing: as for the client; omitted ones stay unchanged.

        Returns:
            The copy.

        Raises:
            ConfigurationError: an option is invalid; the message names it.
            InvalidArgumentError: a header of `default_headers` is not allowed.
        """
        key, url, proxy_url = _secret_if_given(api_key), _secret_if_given(base_url), _secret_if_given(proxy)
        headers = _secret_if_given(default_headers)
        del api_key, base_url, proxy, default_headers
        options: dict[str, Any] = {
            "api_key": key if isinstance(key, NotGiven) else _resolve_api_key(key),
            "base_url": url if isinstance(url, NotGiven) else _resolve_base_url(url),
            "timeout": timeout,
            "deadline": deadline,
            "max_retries": max_retries,
            "max_spend_cents": max_spend_cents,
            "proxy": proxy_url,
            "verify": verify,
            "on_attempt": on_attempt,
            "rate_limiter": rate_limiter,
            "journal": journal,
            "default_headers": headers if isinstance(headers, NotGiven) else check_default_headers(headers),
            "tracing": tracing,
        }
        changes = {name: value for name, value in options.items() if not isinstance(value, NotGiven)}
        config = _checked(replace(self._config, **changes))
        copy = object.__new__(type(self))
        copy._start(config, self._shared, owner=False)
        return copy

    async def close(self) -> None:
        """Close the connections. On a copy made by `with_options`, do nothing: they belong to its parent."""
        if self._owner:
            await self._shared.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def rate_limit(self) -> RateLimit | None:
        """The rate limit as the service last reported it; None before that. Truthy while a call may be made."""
        return self._transport.key_state.rate_limit

    @property
    def credits_remaining_cents(self) -> int | None:
        """The credits left, in US cents, as the service last reported them; None before that."""
        return self._transport.key_state.credits_remaining_cents

    @property
    def journal(self) -> Journal:
        """The POSTs whose outcome is unknown. Without `journal=`, its methods raise `ConfigurationError`."""
        with importing():
            from firsthandapi._async.journal import Journal
        return Journal(self._transport)

    @cached_property
    def jobs(self) -> Jobs:
        """Post jobs, read them, wait for them."""
        with importing():
            from firsthandapi._async.resources.jobs import Jobs
        return Jobs(self._transport)

    @cached_property
    def files(self) -> Files:
        """Approved files."""
        with importing():
            from firsthandapi._async.resources.files import Files
        return Files(self._transport)

    @cached_property
    def campaigns(self) -> Campaigns:
        """Many jobs, one dataset, one budget."""
        with importing():
            from firsthandapi._async.resources.campaigns import Campaigns
        return Campaigns(self._transport)

    @cached_property
    def consents(self) -> Consents:
        """What workers agreed to, on a server of one's own."""
        with importing():
            from firsthandapi._async.resources.consents import Consents
        return Consents(self._transport)

    @cached_property
    def submissions(self) -> Submissions:
        """Everything that workers submitted."""
        with importing():
            from firsthandapi._async.resources.submissions import Submissions
        return Submissions(self._transport)

    @cached_property
    def billing(self) -> Billing:
        """Credits."""
        with importing():
            from firsthandapi._async.resources.billing import Billing
        return Billing(self._transport)

    @cached_property
    def orders(self) -> Orders:
        """What was ordered, by the records of folders and journals, and what the account was charged for it."""
        with importing():
            from firsthandapi._async.resources.orders import Orders
        return Orders(self._transport)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Webhook endpoints and events. Deliveries are verified by `firsthandapi.webhooks`."""
        with importing():
            from firsthandapi._async.resources.webhooks import Webhooks
        return Webhooks(self._transport)

    @cached_property
    def api_keys(self) -> ApiKeys:
        """API keys."""
        with importing():
            from firsthandapi._async.resources.api_keys import ApiKeys
        return ApiKeys(self._transport)

    @cached_property
    def organization(self) -> Organization:
        """Settings."""
        with importing():
            from firsthandapi._async.resources.organization import Organization
        return Organization(self._transport)

    @cached_property
    def audit_events(self) -> AuditEvents:
        """Who did what."""
        with importing():
            from firsthandapi._async.resources.audit_events import AuditEvents
        return AuditEvents(self._transport)

    @cached_property
    def _account(self) -> AccountCalls:
        with importing():
            from firsthandapi._async.resources.account import AccountCalls
        return AccountCalls(self._transport)

    @public
    async def me(self, **options: Unpack[RequestOptions]) -> Identity:
        """Show whose API key this is, and its permissions.

        Args:
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            Organization, environment and scopes.

        Raises:
            AuthenticationError: the key is unknown or revoked.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Account", §3 "Identity".
        """
        return await self._account.me(**options)

    @public
    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """Call an endpoint that this version does not know, with the same retries, keys, and errors.

        Args:
            method: `GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD`, or `OPTIONS`.
            path: such as `/v1/jobs`, below `base_url`, without a query.
            json: the body, any JSON value; None sends none.
            params: the query; None values are omitted.
            idempotency_key: of a POST, 1 to 255 printable ASCII characters; None creates a key for this call and
                its retries.
            timeout: seconds for one attempt, above 0; None uses the client's.
            extra_headers: headers to add; not Authorization, Idempotency-Key, or Content-Type.

        Returns:
            The response; `.json()` parses its body.

        Raises:
            InvalidArgumentError: an argument cannot be sent; `.field` names it.
            FirstHandApiError: the service responded with an error.
            FirstHandConnectionError: the service could not be reached.
        """
        return await self._account.request(
            method,
            path,
            json=json,
            params=params,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
        )

    @classmethod
    @public
    async def signup(
        cls,
        *,
        name: str,
        email: str,
        base_url: str | None = None,
        **options: Unpack[PostOptions],
    ) -> Signup:
        """Create an organization. Needs no API key and returns one.

        Args:
            name: the organization's name.
            email: contact email address.
            base_url: as for the client.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The organization's id, its first API key, shown only once, and its first credits.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            UnexpectedResponseError: the response has no `api_key`; the message names the organization.
            FirstHandApiError: the service responded with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Account".
        """
        with importing():
            from firsthandapi._async.resources.account import AccountCalls
        config = Config(api_key=None, base_url=_resolve_base_url(secret_or_none(base_url)))
        shared = Shared()
        try:
            return await AccountCalls(Transport(config, shared)).signup(name=name, email=email, **options)
        finally:
            await shared.aclose()

    def __getattr__(self, name: str) -> Any:
        # Python calls this only for names that it does not find otherwise.
        raise missing_attribute(type(self), name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._transport!r}>"

    def __reduce__(self) -> Any:
        raise ConfigurationError(
            f"{type(self).__name__} cannot be pickled: it holds connections and an API key; "
            "create a client in each process, with the key in FIRSTHAND_API_KEY"
        )


# No `os.environ` in a local variable: a traceback would show its repr, with every secret of the process.
def _resolve_api_key(argument: Secret[str] | None) -> Secret[str]:
    return resolve_api_key(argument, secret_or_none(os.environ.get(API_KEY_VARIABLE)))


def _resolve_base_url(argument: Secret[str] | None) -> str:
    return resolve_base_url(argument, secret_or_none(os.environ.get(BASE_URL_VARIABLE)))


def _secret_if_given(value: T | NotGiven | None) -> Secret[T] | NotGiven | None:
    return value if isinstance(value, NotGiven) else secret_or_none(value)


def _checked(config: Config) -> Config:
    """`config`, also with what needs the disk, and the whole path of its journal."""
    check_rate_limiter(config.rate_limiter)
    on_attempt: Any = config.on_attempt
    if on_attempt is not None and (
        not callable(on_attempt)
        or iscoroutinefunction(on_attempt)
        or iscoroutinefunction(type(on_attempt).__call__)  # a callable object
    ):
        raise ConfigurationError("on_attempt must be a function, not a coroutine function")
    if isinstance(config.verify, str):
        from firsthandapi._base.network.certificates import check_verify  # few clients need it

        check_verify(config.verify)
    if config.journal is None:
        return config
    with importing():
        from firsthandapi.datasets._journal import check_journal
    return replace(config, journal=check_journal(config.journal))


def _check_http_client(http_client: object) -> None:
    # By name, because httpx and httpx2 share no class. A client of the wrong kind would fail only at the first call,
    # with an unclear error.
    kinds = [(base.__module__.partition(".")[0], base.__name__) for base in http_client.__class__.__mro__]
    if not any(package in ("httpx", "httpx2") and name == "AsyncClient" for package, name in kinds):
        raise ConfigurationError("http_client must be an httpx.AsyncClient or httpx2.AsyncClient")
