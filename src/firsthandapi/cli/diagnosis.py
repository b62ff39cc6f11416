"""The rules of `firsthandapi doctor`: facts in, findings out, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from firsthandapi._core.calls.counts import count_of, dollars

State = Literal["ok", "warn", "fail"]

# A timestamped signature is valid for 300 seconds; a synchronized clock is never off by half a minute.
_SKEW_WARN = 30.0
_SKEW_FAIL = 300.0
_DISK_WARN = 1_000_000_000
_DISK_FAIL = 100_000_000
# The main job needs these.
_NEEDED_SCOPES = ("jobs:read", "jobs:write")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` says what to do if it is not ok."""

    topic: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Answer:
    """The response of the service. If all are None, it was not asked or did not respond.

    Attributes:
        status: the HTTP status.
        problem: what went wrong, without a secret.
        untrusted: whether its certificate failed.
        seconds: how long the response took.
        date: the service's clock.
        received: the clock of this machine at that time.
        environment, scopes: those of the key.
        remaining, limit: the rate limit.
        credits_cents: the available credits, in US cents.
    """

    status: int | None = None
    problem: str | None = None
    untrusted: bool = False
    seconds: float | None = None
    date: datetime | None = None
    received: datetime | None = None
    environment: str | None = None
    scopes: Sequence[str] | None = None
    remaining: int | None = None
    limit: int | None = None
    credits_cents: int | None = None


@dataclass(frozen=True)
class Facts:
    """The facts about this machine and the service.

    Attributes:
        python, system: Python's version and the platform.
        version: of firsthandapi.
        dependencies: name → version, None if missing.
        misfits: installed dependencies with an unsupported version, and the required version.
        extras: name → its packages that are missing or have an unsupported version.
        key: the masked API key; None without one.
        key_problem: why no key is usable.
        base_url: the address of the service; None if the variable is invalid.
        base_url_problem: why the variable is invalid.
        proxy: the proxy for API calls, without credentials; None without a proxy.
        proxy_problem: why the variable is invalid.
        proxy_variables: the variables that are set, even if they do not apply.
        trust: the source of the certificates.
        trust_problem: why the certificates cannot be read.
        folder: the folder for files.
        free_bytes: free space on its disk; None if unknown.
        folder_problem: why the folder cannot be written.
        answer: the response of the service.
    """

    python: str
    system: str
    version: str
    base_url: str | None
    dependencies: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    misfits: Sequence[str] = ()
    extras: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    key: str | None = None
    key_problem: str | None = None
    base_url_problem: str | None = None
    proxy: str | None = None
    proxy_problem: str | None = None
    proxy_variables: Sequence[str] = ()
    trust: str = ""
    trust_problem: str | None = None
    folder: str = "."
    free_bytes: int | None = None
    folder_problem: str | None = None
    answer: Answer = Answer()


def diagnose(facts: Facts) -> list[Finding]:
    """Build the report; each check depends only on earlier ones."""
    return [
        Finding("Python", "ok", f"{facts.python} on {facts.system}"),
        *_packages(facts),
        _disk(facts),
        _proxy(facts),
        _trust(facts),
        _service(facts),
        _clock(facts.answer),
        _key(facts),
        *_account(facts.answer),
    ]


def _packages(facts: Facts) -> list[Finding]:
    missing = [name for name, version in facts.dependencies.items() if version is None]
    listed = ", ".join(f"{name} {version}" for name, version in facts.dependencies.items() if version)
    installed = sorted(name for name, lacks in facts.extras.items() if not lacks)
    lacking = {name: lacks for name, lacks in sorted(facts.extras.items()) if lacks}
    extras = f"{', '.join(installed) or 'none'} installed"
    if lacking:
        extras += "; " + ", ".join(f"{name} lacks {' and '.join(lacks)}" for name, lacks in lacking.items())
    return [
        Finding(
            "Packages",
            "fail" if missing or facts.misfits else "ok",
            f"firsthandapi {facts.version}"
            + (f" with {listed}" if listed else "")
            + (f"; {', '.join(missing)} missing" if missing else "")
            + "".join(f"; {misfit}" for misfit in facts.misfits),
            "pip install --force-reinstall firsthandapi" if missing or facts.misfits else None,
        ),
        # Always ok: nobody needs all extras.
        Finding("Extras", "ok", extras),
    ]


def _disk(facts: Facts) -> Finding:
    where = f"in {facts.folder}"
    if facts.folder_problem is not None:
        return Finding(
            "Disk",
            "fail",
            f"could not write files {where}: {facts.folder_problem}",
            "use a different folder, or change its permissions",
        )
    if facts.free_bytes is None:
        return Finding("Disk", "ok", f"files can be written {where}; the free space is unknown")
    text = f"{facts.free_bytes / 1e9:,.1f} GB free {where}"
    state: State = (
        "fail" if facts.free_bytes < _DISK_FAIL else "warn" if facts.free_bytes < _DISK_WARN else "ok"
    )
    return Finding(
        "Disk", state, text, None if state == "ok" else "free disk space, or use a different folder"
    )


def _proxy(facts: Facts) -> Finding:
    if facts.proxy_problem is not None:
        return Finding(
            "Proxy", "fail", facts.proxy_problem, "set the variable to the URL of a proxy, or unset it"
        )
    variables = ", ".join(facts.proxy_variables)
    if facts.proxy is not None:
        return Finding("Proxy", "ok", facts.proxy + (f" (set: {variables})" if variables else ""))
    return Finding("Proxy", "ok", "none" + (f" for this address (set: {variables})" if variables else ""))


def _trust(facts: Facts) -> Finding:
    if facts.trust_problem is None:
        return Finding("Certificates", "ok", facts.trust)
    return Finding(
        "Certificates",
        "fail",
        facts.trust_problem,
        "set SSL_CERT_FILE to a file of PEM certificates, or unset it",
    )


def _service(facts: Facts) -> Finding:
    answer = facts.answer
    if facts.base_url is None:
        return Finding(
            "Service",
            "fail",
            facts.base_url_problem or "no address",
            "fix FIRSTHAND_BASE_URL, or unset it to use the public service",
        )
    if answer.status is None and answer.problem is None:
        return Finding(
            "Service",
            "warn",
            f"{facts.base_url} not checked",
            "fix the failures above, then run doctor again",
        )
    if answer.status is None:
        way = " through the proxy" if facts.proxy else ""
        return Finding(
            "Service",
            "fail",
            # The advice of the error follows the semicolon; the fix below is more specific.
            f"could not reach {facts.base_url}{way}: {(answer.problem or '').partition(';')[0]}",
            "if a proxy decrypts TLS, set SSL_CERT_FILE to its certificate"
            if answer.untrusted
            else "check the network, the proxy, and FIRSTHAND_BASE_URL",
        )
    took = "" if answer.seconds is None else f" in {answer.seconds * 1000:,.0f} ms"
    if answer.problem is not None:
        return Finding(
            "Service",
            "fail",
            f"{facts.base_url} responded{took}, but: {answer.problem}",
            "check FIRSTHAND_BASE_URL; if it is right, try again later",
        )
    return Finding("Service", "ok", f"{facts.base_url} responded{took}")


def _clock(answer: Answer) -> Finding:
    if answer.date is None or answer.received is None:
        return Finding(
            "Clock",
            "warn",
            "not checked: the service returned no time",
            "synchronize the clock by NTP if in doubt",
        )
    # A Date has whole seconds, and the response took some time to arrive.
    slack = 1.0 + (answer.seconds or 0.0)
    skew = (answer.received - answer.date).total_seconds()
    if abs(skew) <= max(_SKEW_WARN, slack):
        return Finding("Clock", "ok", f"within {max(1, round(abs(skew)))} s of the service clock")
    text = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the service clock"
    late = abs(skew) >= _SKEW_FAIL
    if late:
        text += ": signed webhooks and download URLs seem too old or too new"
    return Finding(
        "Clock", "fail" if late else "warn", text, "set the clock of this machine, preferably by NTP"
    )


def _key(facts: Facts) -> Finding:
    answer = facts.answer
    if facts.key is None:
        return Finding(
            "API key",
            "fail",
            facts.key_problem or "not set",
            "set FIRSTHAND_API_KEY to a key from the dashboard or `firsthandapi signup`",
        )
    kind = {"fh_live_": "live", "fh_test_": "test (sandbox)"}.get(facts.key.rstrip("…"), "unknown kind")
    text = f"{facts.key} from FIRSTHAND_API_KEY, {kind}"
    if answer.status == 401:
        return Finding(
            "API key",
            "fail",
            f"{text}: refused",
            "the key is mistyped, revoked, or from another service: set FIRSTHAND_API_KEY to an active key",
        )
    if answer.status is None or answer.problem is not None:
        return Finding(
            "API key", "warn", f"{text}, not checked", "fix the failures above, then run doctor again"
        )
    return Finding("API key", "ok", f"{text}, accepted")


def _account(answer: Answer) -> list[Finding]:
    found: list[Finding] = []
    if answer.scopes is not None:
        lacking = [scope for scope in _NEEDED_SCOPES if scope not in answer.scopes]
        found.append(
            Finding(
                "Scopes",
                "warn" if lacking else "ok",
                (", ".join(answer.scopes) or "none")
                + (f"; missing {' and '.join(lacking)}" if lacking else ""),
                "use a key with these scopes to post and collect jobs" if lacking else None,
            )
        )
    if answer.remaining is not None:
        spent = answer.remaining <= 0
        found.append(
            Finding(
                "Rate limit",
                "warn" if spent else "ok",
                f"{answer.remaining:,} of {count_of(answer.limit or 0, 'request')} left in this window",
                "wait a minute; the client also waits for you" if spent else None,
            )
        )
    if answer.credits_cents is not None:
        # The sandbox charges nothing.
        broke = answer.credits_cents <= 0 and answer.environment != "test"
        found.append(
            Finding(
                "Credits",
                "warn" if broke else "ok",
                f"{dollars(answer.credits_cents)} available",
                "run firsthandapi purchase 2500" if broke else None,
            )
        )
    return found


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
