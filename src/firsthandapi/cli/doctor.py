"""`firsthandapi doctor`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from firsthandapi._base.counts import count_of, dollars
from firsthandapi._base.masking import mask_secrets, secret_or_none
from firsthandapi._base.network.proxies import choose_proxy
from firsthandapi._base.version import __version__
from firsthandapi._core.calls.config import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    Config,
    resolve_api_key,
    resolve_base_url,
)
from firsthandapi._core.calls.dates import parse_http_date
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    FirstHandApiError,
    FirstHandError,
    UnexpectedResponseError,
)

from .options import local_folder, option
from .output import Output, command, fitting, print_hanging
from .pages import group

if TYPE_CHECKING:
    from firsthandapi._core.calls.response import ApiResponse
    from firsthandapi.types import Identity

app = group()
T = TypeVar("T")
State = Literal["ok", "warn", "fail"]

# Seconds for one attempt, and for everything, including name lookups, which have no timeout.
_ATTEMPT = 10.0
_PATIENCE = 15.0
# A timestamped signature is valid for 300 seconds; a synchronized clock is never off by half a minute.
_SKEW_WARN = 30.0
_SKEW_FAIL = 300.0
_DISK_WARN = 1_000_000_000
_DISK_FAIL = 100_000_000
# The main job needs these.
_NEEDED_SCOPES = ("jobs:read", "jobs:write")
_FIRST = "fix the failures above, then run doctor again"
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_COLORS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` says what to do if it is not ok."""

    topic: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Probe:
    """What came of `GET /v1/me`. If all are None, it was not sent, or got no response."""

    status: int | None = None
    problem: str | None = None  # without a secret
    untrusted: bool = False  # its certificate failed
    seconds: float | None = None
    received: datetime | None = None  # the clock of this machine
    date: datetime | None = None  # the service's clock at that time
    response: ApiResponse | None = None
    me: Identity | None = None


@command(app)
def doctor(
    dest: Annotated[
        Path, option("DIR", "Folder where you want to collect files.", parser=local_folder)
    ] = Path(),
) -> Output:
    """Check everything that a call depends on, and print a report for a ticket.

    It covers versions, extras, disk, proxy, certificates, service, clock, API
    key, scopes, rate limit, and credits. It works offline and without a key.

    The report contains no secret: it masks keys and proxy passwords, your home
    directory, and your user name. Exits with 1 if a check fails.

    Example: firsthandapi doctor
    """
    findings = [_without_names(finding) for finding in examine(dest)]
    ok = all(finding.state != "fail" for finding in findings)

    def show() -> None:
        width = max(len(finding.topic) for finding in findings)
        for finding in findings:
            start = f"{finding.state:<4}  {finding.topic:<{width}}  "
            print_hanging(start, finding.text, style=_COLORS[finding.state])
            if finding.fix:
                print_hanging(f"{'':<{width + 6}}  → ", finding.fix)

    data = {"ok": ok, "checks": [asdict(finding) for finding in findings]}
    return Output(data, show, code=0 if ok else 1)


def _without_names(finding: Finding) -> Finding:
    try:
        home = str(Path.home())
    except RuntimeError:  # no home at all, as in some containers
        home = ""
    user = os.environ.get("USER") or os.environ.get("USERNAME") or Path(home).name
    text, fix = (part and anonymous(part, home=home, user=user) for part in (finding.text, finding.fix))
    return replace(finding, text=text or "", fix=fix)


def examine(dest: Path) -> list[Finding]:
    """Check everything; raise nothing, and wait at most 15 seconds."""
    key, key_problem = None, None
    if os.environ.get(API_KEY_VARIABLE):
        key, key_problem = _tried(
            lambda: resolve_api_key(None, secret_or_none(os.environ.get(API_KEY_VARIABLE)))
        )
    base_url, base_url_problem = _tried(
        lambda: resolve_base_url(None, secret_or_none(os.environ.get(BASE_URL_VARIABLE)))
    )
    config = Config(api_key=key, base_url=base_url or DEFAULT_BASE_URL, timeout=_ATTEMPT, max_retries=0)
    proxy, proxy_problem = _tried(lambda: choose_proxy(config.origin, None))
    trust, trust_problem = _tried(_trust)
    answer = Probe()
    if base_url is not None and proxy_problem is None and trust_problem is None:
        answer = _ask(config)
    return [
        _ok("Python", f"{platform.python_version()} on {platform.platform()}"),
        *_packages(),
        _disk(dest),
        _proxy(None if proxy is None else without_credentials(proxy.reveal()), proxy_problem),
        _ok("Certificates", trust or "")
        if trust_problem is None
        else _fail(
            "Certificates", trust_problem, "set SSL_CERT_FILE to a file of PEM certificates, or unset it"
        ),
        _fail(
            "Service",
            base_url_problem or "no address",
            "fix FIRSTHAND_BASE_URL, or unset it to use the public service",
        )
        if base_url is None
        else _service(without_credentials(base_url), answer, proxied=proxy is not None),
        _clock(answer),
        _key(None if key is None else repr(key), key_problem, answer),
        *_account(answer),
    ]


def _tried(look: Callable[[], T]) -> tuple[T | None, str | None]:
    """The result, or why there is none."""
    try:
        return look(), None
    except ConfigurationError as error:
        return None, str(error)


def _ok(topic: str, text: str) -> Finding:
    return Finding(topic, "ok", text)


def _warn(topic: str, text: str, fix: str) -> Finding:
    return Finding(topic, "warn", text, fix)


def _fail(topic: str, text: str, fix: str) -> Finding:
    return Finding(topic, "fail", text, fix)


def _packages() -> list[Finding]:
    """What is installed: the dependencies, and what each extra lacks."""
    try:
        requirements = metadata.requires("firsthandapi") or []
    except metadata.PackageNotFoundError:  # run from its sources
        requirements = []
    listed: list[str] = []
    wrong: list[str] = []
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        named, _, marker = requirement.partition(";")
        name = re.split(r"[^\w.\-]", named.strip(), maxsplit=1)[0]
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([\w\-]+)['\"]\s*", marker)
        version = _version(name)
        if not marker:
            if version is None:
                wrong.append(f"{name} missing")
            else:
                listed.append(f"{name} {version}")
                if not _fits(version, named):
                    wrong.append(f"{named.strip()} is required, not {version}")
        elif extra is not None:  # ignore requirements that also depend on the Python version
            lacks = extras.setdefault(extra[1], [])
            if version is None:
                lacks.append(name)
            elif not _fits(version, named):
                lacks.append(named.strip())
    text = f"firsthandapi {__version__}" + (f" with {', '.join(listed)}" if listed else "")
    installed = ", ".join(sorted(name for name, lacks in extras.items() if not lacks))
    lacking = [f"{name} lacks {' and '.join(lacks)}" for name, lacks in sorted(extras.items()) if lacks]
    return [
        _fail("Packages", "; ".join([text, *wrong]), f"pip install firsthandapi=={__version__}")
        if wrong
        else _ok("Packages", text),
        # Nobody needs all of them.
        _ok(
            "Extras",
            "; ".join([f"{installed or 'none'} installed", *([", ".join(lacking)] if lacking else [])]),
        ),
    ]


def _fits(version: str, requirement: str) -> bool:
    """Whether a version is within the bounds of a requirement; ignore its other clauses."""
    bounds = re.findall(r"(>=|<)\s*([\d.]+)", requirement)
    return all((_numbers(version) < _numbers(bound)) == (sign == "<") for sign, bound in bounds)


def _numbers(version: str) -> list[int]:
    release = re.match(r"[\d.]*", version)
    return [int(part) for part in (release[0] if release else "").split(".") if part]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _trust() -> str:
    from firsthandapi._base.network.certificates import ssl_context

    context = ssl_context(True)
    first = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    named = first or [name for name in ("REQUESTS_CA_BUNDLE",) if os.environ.get(name)]
    source = ", ".join(f"{name}: {mask_secrets(os.environ[name])}" for name in named)
    if named == ["SSL_CERT_DIR"]:  # OpenSSL reads it only to look up a certificate
        return source
    source = source or f"certifi {_version('certifi')}"
    return f"{source}, {context.cert_store_stats()['x509_ca']} authorities"


def _disk(dest: Path) -> Finding:
    folder = dest
    try:
        folder = dest.absolute()
        # A missing folder will be created in its nearest existing parent.
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        text = f"could not write files in {folder}: {error.strerror or type(error).__name__}"
        return _fail("Disk", text, "use a different folder, or change its permissions")
    text = f"{free / 1e9:,.1f} GB free in {folder}"
    if free >= _DISK_WARN:
        return _ok("Disk", text)
    judge = _fail if free < _DISK_FAIL else _warn
    return judge("Disk", text, "free disk space, or use a different folder")


def _proxy(used: str | None, problem: str | None) -> Finding:
    if problem is not None:
        return _fail("Proxy", problem, "set the variable to the URL of a proxy, or unset it")
    names = [name for name in _PROXY_VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]
    used = used or ("none for this address" if names else "none")
    return _ok("Proxy", used + (f" (set: {', '.join(names)})" if names else ""))


def _service(url: str, answer: Probe, *, proxied: bool) -> Finding:
    topic = "Service"
    if answer.status is None and answer.problem is None:
        return _warn(topic, f"{url} not checked", _FIRST)
    if answer.status is None:
        route = " through the proxy" if proxied else ""
        return _fail(
            topic,
            # The advice of the error follows the semicolon; the fix below is more specific.
            f"could not reach {url}{route}: {(answer.problem or '').partition(';')[0]}",
            "if a proxy decrypts TLS, set SSL_CERT_FILE to its certificate"
            if answer.untrusted
            else "check the network, the proxy, and FIRSTHAND_BASE_URL",
        )
    took = "" if answer.seconds is None else f" in {answer.seconds * 1000:,.0f} ms"
    if answer.problem is None:
        return _ok(topic, f"{url} responded{took}")
    advice = "check FIRSTHAND_BASE_URL; if it is right, try again later"
    return _fail(topic, f"{url} responded{took}, but: {answer.problem}", advice)


def _clock(answer: Probe) -> Finding:
    if answer.date is None or answer.received is None:
        text = "not checked: the service returned no time"
        return _warn("Clock", text, "synchronize the clock by NTP if in doubt")
    # A Date has whole seconds, and the response took some time to arrive.
    slack = 1.0 + (answer.seconds or 0.0)
    skew = (answer.received - answer.date).total_seconds()
    if abs(skew) <= max(_SKEW_WARN, slack):
        return _ok("Clock", f"within {max(1, round(abs(skew)))} s of the service clock")
    text = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the service clock"
    advice = "set the clock of this machine, preferably by NTP"
    if abs(skew) < _SKEW_FAIL:
        return _warn("Clock", text, advice)
    return _fail("Clock", f"{text}: signed webhooks and download URLs seem too old or too new", advice)


def _key(key: str | None, problem: str | None, answer: Probe) -> Finding:
    topic = "API key"
    if key is None:
        advice = "set FIRSTHAND_API_KEY to a key from the dashboard or `firsthandapi signup`"
        return _fail(topic, problem or "not set", advice)
    kind = {"fh_live_": "live", "fh_test_": "test (sandbox)"}.get(key.rstrip("…"), "unknown kind")
    text = f"{key} from FIRSTHAND_API_KEY, {kind}"
    if answer.status == 401:
        return _fail(
            topic,
            f"{text}: refused",
            "the key is mistyped, revoked, or from another service: set FIRSTHAND_API_KEY to an active key",
        )
    if answer.status is None or answer.problem is not None:
        return _warn(topic, f"{text}, not checked", _FIRST)
    return _ok(topic, f"{text}, accepted")


def _account(answer: Probe) -> list[Finding]:
    findings: list[Finding] = []
    if answer.me is not None and (scopes := answer.me.scopes) is not None:
        text = ", ".join(scopes) or "none"
        lacking = " and ".join(scope for scope in _NEEDED_SCOPES if scope not in scopes)
        advice = "use a key with these scopes to post and collect jobs"
        findings.append(
            _warn("Scopes", f"{text}; missing {lacking}", advice) if lacking else _ok("Scopes", text)
        )
    if answer.response is None:
        return findings
    if (limit := answer.response.rate_limit) is not None:
        text = f"{limit.remaining:,} of {count_of(limit.limit, 'request')} left in this window"
        advice = "wait a minute; the client also waits for you"
        findings.append(_ok("Rate limit", text) if limit else _warn("Rate limit", text, advice))
    if (cents := answer.response.credits_remaining_cents) is not None:
        text = f"{dollars(cents)} available"
        # The sandbox charges nothing.
        fine = cents > 0 or (answer.me is not None and answer.me.environment == "test")
        findings.append(
            _ok("Credits", text) if fine else _warn("Credits", text, "run firsthandapi purchase 2500")
        )
    return findings


def _ask(config: Config) -> Probe:
    """Call `GET /v1/me`; without a key, the 401 shows the same facts about the connection."""
    answers: list[Probe] = []
    asking = threading.Thread(target=lambda: answers.append(_probe(config)), daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return answers[0] if answers else Probe(problem=f"no response within {_PATIENCE:g} s")


def _probe(config: Config) -> Probe:
    from firsthandapi._sync.resources.account import AccountCalls
    from firsthandapi._sync.transport import Shared, Transport

    shared = Shared()
    started = time.monotonic()
    status, problem, response, me = None, None, None, None
    try:
        me = AccountCalls(Transport(config, shared)).me(timeout=None, extra_headers=None, extra_query=None)
        status, response = 200, me.response
    except FirstHandApiError as error:
        status, response = error.status, error.response
        problem = None if isinstance(error, AuthenticationError) else str(error)
    except UnexpectedResponseError as error:
        status, problem = error.status, str(error)
    except FirstHandError as error:
        return Probe(problem=str(error), untrusted=getattr(error, "untrusted", False))
    finally:
        seconds, received = time.monotonic() - started, datetime.now(UTC)
        shared.close()
    return Probe(
        status,
        problem,
        seconds=seconds,
        received=received,
        date=None if response is None else parse_http_date(response.headers.get("date", "")),
        response=response,
        me=None if me is None else fitting(me),
    )


def without_credentials(url: str) -> str:
    """The scheme and host of a URL, without any part that may be secret."""
    match = re.match(r"(?i)([a-z][a-z0-9+.\-]*://)?(?:.*@)?([^/?#@\s]*)", url, re.DOTALL)
    return f"{match[1] or ''}{'…@' if '@' in url else ''}{match[2]}" if match else "…"


def anonymous(text: str, *, home: str, user: str) -> str:
    """`text` with the home directory as `~`, and the user's name in other paths as `<user>`."""
    # A home like `/` would match everywhere.
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?![^\\/\s:;,'\")])", "~", text, flags=re.IGNORECASE)
    if user:
        text = re.sub(r"([\\/])" + re.escape(user) + r"(?![^\\/\s:;,'\")])", r"\1<user>", text)
    return text
