"""`firsthandapi doctor`: gather the facts, and print the findings of `diagnosis`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from firsthandapi._core.calls.config import (
    API_KEY_VARIABLE,
    BASE_URL_VARIABLE,
    DEFAULT_BASE_URL,
    Config,
    resolve_api_key,
    resolve_base_url,
)
from firsthandapi._core.calls.dates import parse_http_date
from firsthandapi._masking import Secret, mask_secrets, secret_or_none
from firsthandapi._network.proxies import choose_proxy
from firsthandapi._version import __version__
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    FirstHandApiError,
    FirstHandError,
    UnexpectedResponseError,
)

from .diagnosis import Answer, Facts, Finding, anonymous, diagnose, without_credentials
from .options import local_folder, option
from .output import Output, command, fitting, print_hanging
from .pages import group

if TYPE_CHECKING:
    from firsthandapi._core.calls.response import ApiResponse

app = group()
T = TypeVar("T")

# Seconds for one attempt, and for everything, including name lookups, which have no timeout.
_ATTEMPT = 10.0
_PATIENCE = 15.0
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_COLORS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


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
    findings = [_without_names(finding) for finding in diagnose(gather(dest))]
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
    fix = None if finding.fix is None else anonymous(finding.fix, home=home, user=user)
    return Finding(finding.topic, finding.state, anonymous(finding.text, home=home, user=user), fix)


def gather(dest: Path) -> Facts:
    """Gather all facts; raise nothing, and wait at most 15 seconds."""
    key, key_problem = None, None
    if os.environ.get(API_KEY_VARIABLE):
        key, key_problem = _tried(
            lambda: resolve_api_key(None, secret_or_none(os.environ.get(API_KEY_VARIABLE)))
        )
    base_url, base_url_problem = _tried(
        lambda: resolve_base_url(None, secret_or_none(os.environ.get(BASE_URL_VARIABLE)))
    )
    config = _config(key, base_url or DEFAULT_BASE_URL)
    proxy, proxy_problem = _tried(lambda: choose_proxy(config.origin, None))
    trust, trust_problem = _tried(_trust)
    folder, free_bytes, folder_problem = _disk(dest)
    answer = Answer()
    if base_url is not None and proxy_problem is None and trust_problem is None:
        answer = _ask(config)
    dependencies, misfits, extras = _packages()
    return Facts(
        python=platform.python_version(),
        system=platform.platform(),
        version=__version__,
        dependencies=dependencies,
        misfits=misfits,
        extras=extras,
        key=None if key is None else repr(key),
        key_problem=key_problem,
        base_url=None if base_url is None else without_credentials(base_url),
        base_url_problem=base_url_problem,
        proxy=None if proxy is None else without_credentials(proxy.reveal()),
        proxy_problem=proxy_problem,
        proxy_variables=[
            name for name in _PROXY_VARIABLES if os.environ.get(name) or os.environ.get(name.lower())
        ],
        trust=trust or "",
        trust_problem=trust_problem,
        folder=folder,
        free_bytes=free_bytes,
        folder_problem=folder_problem,
        answer=answer,
    )


def _tried(look: Callable[[], T]) -> tuple[T | None, str | None]:
    """The result, or why there is none."""
    try:
        return look(), None
    except ConfigurationError as error:
        return None, str(error)


def _config(key: Secret[str] | None, base_url: str) -> Config:
    return Config(api_key=key, base_url=base_url, timeout=_ATTEMPT, max_retries=0)


def _trust() -> str:
    from firsthandapi._network.certificates import ssl_context

    context = ssl_context(True)
    first = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
    named = first or [name for name in ("REQUESTS_CA_BUNDLE",) if os.environ.get(name)]
    source = ", ".join(f"{name}: {mask_secrets(os.environ[name])}" for name in named)
    if named == ["SSL_CERT_DIR"]:  # OpenSSL reads it only to look up a certificate
        return source
    source = source or f"certifi {_version('certifi')}"
    return f"{source}, {context.cert_store_stats()['x509_ca']} authorities"


def _disk(dest: Path) -> tuple[str, int | None, str | None]:
    """The folder for files, its free space, and why it cannot be written."""
    folder = dest
    try:
        folder = dest.absolute()
        # A missing folder will be created in its nearest existing parent.
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with tempfile.TemporaryFile(dir=folder):
            pass
        return str(folder), shutil.disk_usage(folder).free, None
    except OSError as error:
        return str(folder), None, error.strerror or type(error).__name__


def _packages() -> tuple[dict[str, str | None], list[str], dict[str, list[str]]]:
    """The version of each dependency, the unsupported versions, and the packages that each extra lacks."""
    try:
        requirements = metadata.requires("firsthandapi") or []
    except metadata.PackageNotFoundError:  # run from its sources
        requirements = []
    dependencies: dict[str, str | None] = {}
    misfits: list[str] = []
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        named, _, marker = requirement.partition(";")
        name = re.split(r"[^\w.\-]", named.strip(), maxsplit=1)[0]
        extra = re.fullmatch(r"\s*extra\s*==\s*['\"]([\w\-]+)['\"]\s*", marker)
        version = _version(name)
        if not marker:
            dependencies[name] = version
            if version is not None and not _fits(version, named):
                misfits.append(f"{named.strip()} is required, not {version}")
        elif extra is not None:  # ignore requirements that also depend on the Python version
            lacks = extras.setdefault(extra[1], [])
            if version is None:
                lacks.append(name)
            elif not _fits(version, named):
                lacks.append(named.strip())
    return dependencies, misfits, extras


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


def _ask(config: Config) -> Answer:
    """Call `GET /v1/me`; without a key, the 401 shows the same facts about the connection."""
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(_answer(config)), daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return answers[0] if answers else Answer(problem=f"no response within {_PATIENCE:g} s")


def _answer(config: Config) -> Answer:
    from firsthandapi._sync.resources.account import Account
    from firsthandapi._sync.transport import Shared, Transport

    shared = Shared()
    started = time.monotonic()
    try:
        me = Account(Transport(config, shared)).me(timeout=None, extra_headers=None, extra_query=None)
    except FirstHandApiError as error:
        problem = None if isinstance(error, AuthenticationError) else str(error)
        return _read(error.response, time.monotonic() - started, status=error.status, problem=problem)
    except UnexpectedResponseError as error:
        return Answer(status=error.status, problem=str(error), seconds=time.monotonic() - started)
    except FirstHandError as error:
        return Answer(problem=str(error), untrusted=getattr(error, "untrusted", False))
    else:
        answer = _read(me.response, time.monotonic() - started, status=200)
        known = fitting(me)
        return replace(answer, environment=known.environment, scopes=known.scopes)
    finally:
        shared.close()


def _read(response: ApiResponse | None, seconds: float, *, status: int, problem: str | None = None) -> Answer:
    received = datetime.now(UTC)
    if response is None:
        return Answer(status=status, problem=problem, seconds=seconds)
    limit = response.rate_limit
    return Answer(
        status=status,
        problem=problem,
        seconds=seconds,
        date=parse_http_date(response.headers.get("date", "")),
        received=received,
        remaining=None if limit is None else limit.remaining,
        limit=None if limit is None else limit.limit,
        credits_cents=response.credits_remaining_cents,
    )
