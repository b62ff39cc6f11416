"""The client's options, resolved and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi._base.masking import Secret
from firsthandapi._base.origins import DEFAULT_PORTS, Origin, check_proxy, split
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

API_KEY_VARIABLE = "FIRSTHAND_API_KEY"
BASE_URL_VARIABLE = "FIRSTHAND_BASE_URL"
DEFAULT_BASE_URL = "https://api.firsthandapi.com"
# The prefixes of all keys, and of those of a user's own server, which the public service must never see.
KEY_PREFIXES = ("fh_live_", "fh_test_")
_OWN_KEYS = ("fh_live_own_", "fh_test_own_")
DEFAULT_TIMEOUT = 30.0
DEFAULT_MAX_RETRIES = 3
# Seconds to wait for a job: a day, and nearly every job takes less.
DEFAULT_WAIT = 86_400.0


@dataclass(frozen=True)
class Config:
    """Every option of a client but `http_client`. Raises ConfigurationError: one is invalid; the message names it."""

    api_key: Secret[str] | None
    base_url: str
    timeout: float = DEFAULT_TIMEOUT
    deadline: float | None = None
    max_retries: int = DEFAULT_MAX_RETRIES
    max_spend_cents: int | None = None
    proxy: Secret[str] | None = None
    verify: bool | str | ssl.SSLContext = True
    # A `RateLimiter` or an `AsyncRateLimiter`; None for the client's own.
    rate_limiter: Any = None
    # Called with each `Attempt`.
    on_attempt: Any = None
    # The whole path of the journal.
    journal: str | None = None
    # Whether OpenTelemetry is told.
    tracing: bool = True
    # Pairs of name and value, sent with every API call.
    default_headers: Secret[tuple[tuple[str, str], ...]] | None = None

    def __post_init__(self) -> None:
        _check_seconds("timeout", self.timeout)
        if self.deadline is not None:
            _check_seconds("deadline", self.deadline)
        retries, limit_cents = int_or_none(self.max_retries), int_or_none(self.max_spend_cents)
        if retries is None or not 0 <= retries <= 1000:
            raise ConfigurationError("max_retries must be a whole number, 0 to 1000")
        if self.max_spend_cents is not None and (limit_cents is None or limit_cents < 0):
            raise ConfigurationError("max_spend_cents must be a whole number of US cents, 0 or more, or None")
        vars(self).update(max_retries=retries, max_spend_cents=limit_cents)
        if self.proxy is not None:
            check_proxy(self.proxy, "proxy")
        if not isinstance(self.verify, (bool, str)) and not any(
            base.__name__ == "SSLContext" for base in type(self.verify).__mro__
        ):
            # By name, so that a client without TLS does not import ssl.
            raise ConfigurationError(
                "verify must be True, False, a path to certificates, 'system', or an ssl.SSLContext"
            )
        if self.api_key is not None and self.origin.host.rstrip(".") == urlsplit(DEFAULT_BASE_URL).hostname:
            _check_key_for_the_service(self.api_key)

    @property
    def environment(self) -> str:
        """`live` or `test`, by the prefix of the API key; empty for another."""
        prefix = "" if self.api_key is None else self.api_key.reveal()[:8]
        return {"fh_live_": "live", "fh_test_": "test"}.get(prefix, "")

    @property
    def origin(self) -> Origin:
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return Origin(parts.scheme, host, port, parts.path.rstrip("/"))


def resolve_api_key(argument: Secret[str] | None, variable: Secret[str] | None) -> Secret[str]:
    """The key to use: first the argument, then `FIRSTHAND_API_KEY`.
    Raises ConfigurationError: the key is missing or malformed. The message never shows it.
    """
    source = "api_key" if argument is not None else API_KEY_VARIABLE
    key = argument if argument is not None else variable
    if key is None or key.reveal() == "":
        raise ConfigurationError(
            f"no API key: pass api_key=… in code, or set {API_KEY_VARIABLE}. "
            "Keys start with fh_live_ or, for the sandbox, fh_test_"
        )
    if not _is_one_word(key.reveal()):
        raise ConfigurationError(
            f"{source} is not an API key: it contains spaces, line breaks, or characters that no key has. "
            "Copy only the key itself"
        )
    return key


def _is_one_word(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value


def resolve_base_url(argument: Secret[str] | None, variable: Secret[str] | None) -> str:
    """The service's address: first the argument, then `FIRSTHAND_BASE_URL`, then the public service.
    Raises ConfigurationError: the address is not an https URL (http only for loopback), or it has credentials, a query,
    or a fragment.
    """
    source = "base_url" if argument is not None else BASE_URL_VARIABLE
    url = argument
    if url is None:
        url = variable if variable is not None and variable.reveal() else Secret(DEFAULT_BASE_URL)
    problem = _problem_of_base_url(url.reveal())
    if problem is not None:
        raise ConfigurationError(f"{source} {problem}")
    # urlsplit also reads HTTPS://, but later comparisons need lowercase.
    scheme, colon, rest = url.reveal().partition(":")
    address = (scheme.lower() + colon + rest).rstrip("/")
    if address.lower().endswith("/v1"):  # as in other SDKs
        raise ConfigurationError(
            f"{source} must not end in /v1: the SDK adds it to each path; use {address[:-3].rstrip('/')}"
        )
    return address


def _problem_of_base_url(url: str) -> str | None:
    # Returns the problem instead of raising: the URL may contain a password, and a traceback would show this frame.
    parts = split(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return f"must be a URL such as {DEFAULT_BASE_URL}"
    if "@" in parts.netloc:
        return "must not contain credentials; pass the key as api_key"
    if "?" in url or "#" in url:
        return "must not have a query or a fragment"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return (
            "must be https: over http the API key would travel unencrypted. "
            "http is for loopback only (localhost, 127.0.0.1, [::1])"
        )
    return None


def _check_key_for_the_service(key: Secret[str]) -> None:
    """Refuse to send a key of another server or service to the public service."""
    if key.reveal().startswith(_OWN_KEYS):
        raise ConfigurationError(
            f"the API key belongs to your own server, and base_url is {DEFAULT_BASE_URL}, where it must not go: pass "
            f"base_url=…, or set {BASE_URL_VARIABLE}, to the address of your server"
        )


class NotGiven:
    """The type of `NOT_GIVEN`: an option that was left out, where None means something else."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()


def _check_seconds(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 10**9:
        raise ConfigurationError(f"{name} must be a number of seconds above 0")
