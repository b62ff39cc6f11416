"""What `firsthandapi doctor` makes of what it found: facts in, findings out, nothing read or asked here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["ok", "warn", "fail"]

# A signature with a timestamp counts for 300 seconds; half a minute is more than a kept clock is ever off.
_SKEW_WARN = 30.0
_SKEW_FAIL = 300.0
_DISK_WARN = 1_000_000_000
_DISK_FAIL = 100_000_000
# What the main job needs.
_NEEDED_SCOPES = ("jobs:read", "jobs:write")


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` is what to do unless it is ok."""

    topic: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Answer:
    """How the service answered. All None: it was not asked, or did not answer.

    Attributes:
        status: the HTTP status.
        problem: what went wrong, in words that hold no secret.
        untrusted: whether its certificate is what failed.
        seconds: how long it took.
        date: the service's clock.
        received: this machine's clock at that time.
        environment, scopes: what it said of the key.
        remaining, limit: the rate limit.
        credits_cents: what there is to spend, in US cents.
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
    """What was found.

    Attributes:
        python, system: Python's version and the platform.
        version: of firsthandapi.
        dependencies: name → version, None where one is missing.
        misfits: what is installed of them in a version that will not do, and which would.
        extras: name → what of it is not installed, or not in a version that will do.
        key: the API key, masked; None if there is none.
        key_problem: why there is no usable one.
        base_url: where requests go; None if the variable is bad.
        base_url_problem: why.
        proxy: the proxy for API calls, without credentials; None for none.
        proxy_problem: why the variable is bad.
        proxy_variables: those set, whether they apply or not.
        trust: where certificates come from.
        trust_problem: why they cannot be read.
        folder: where files would go.
        free_bytes: what the disk has left; None if unknown.
        folder_problem: why nothing can be written there.
        answer: what the service said.
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
    """The report, in the order in which things depend on one another."""
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
        # No fault: nobody needs them all.
        Finding("Extras", "ok", extras),
    ]


def _disk(facts: Facts) -> Finding:
    where = f"in {facts.folder}"
    if facts.folder_problem is not None:
        return Finding(
            "Disk",
            "fail",
            f"files cannot be written {where}: {facts.folder_problem}",
            "use another folder, or change who may write there",
        )
    if facts.free_bytes is None:
        return Finding("Disk", "ok", f"files can be written {where}; how much fits is not known")
    text = f"{facts.free_bytes / 1e9:,.1f} GB free {where}"
    state: State = (
        "fail" if facts.free_bytes < _DISK_FAIL else "warn" if facts.free_bytes < _DISK_WARN else "ok"
    )
    return Finding("Disk", state, text, None if state == "ok" else "make room, or use another folder")


def _proxy(facts: Facts) -> Finding:
    if facts.proxy_problem is not None:
        return Finding("Proxy", "fail", facts.proxy_problem, "set it to a proxy's URL, or unset it")
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
        "point SSL_CERT_FILE at a file of PEM certificates, or unset it",
    )


def _service(facts: Facts) -> Finding:
    answer = facts.answer
    if facts.base_url is None:
        return Finding(
            "Service",
            "fail",
            facts.base_url_problem or "no address",
            "set FIRSTHAND_BASE_URL right, or unset it for the public service",
        )
    if answer.status is None and answer.problem is None:
        return Finding(
            "Service", "warn", f"{facts.base_url} was not asked", "mend what failed above, and run this again"
        )
    if answer.status is None:
        way = " through the proxy" if facts.proxy else ""
        return Finding(
            "Service",
            "fail",
            # What the error advises comes after it; the fix here knows more.
            f"{facts.base_url} cannot be reached{way}: {(answer.problem or '').partition(';')[0]}",
            "if a proxy opens TLS, point SSL_CERT_FILE at its certificate"
            if answer.untrusted
            else "check the network, the proxy and FIRSTHAND_BASE_URL",
        )
    took = "" if answer.seconds is None else f" in {answer.seconds * 1000:,.0f} ms"
    if answer.problem is not None:
        return Finding(
            "Service",
            "fail",
            f"{facts.base_url} answered{took}, but: {answer.problem}",
            "check FIRSTHAND_BASE_URL; if it is right, try again later",
        )
    return Finding("Service", "ok", f"{facts.base_url} answered{took}")


def _clock(answer: Answer) -> Finding:
    if answer.date is None or answer.received is None:
        return Finding("Clock", "warn", "not compared: the service told no time", "set it by NTP if in doubt")
    # A Date has whole seconds, and the answer was on its way for a while.
    slack = 1.0 + (answer.seconds or 0.0)
    skew = (answer.received - answer.date).total_seconds()
    if abs(skew) <= max(_SKEW_WARN, slack):
        return Finding("Clock", "ok", f"within {max(1, round(abs(skew)))} s of the service's")
    text = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
    late = abs(skew) >= _SKEW_FAIL
    if late:
        text += ": signed webhooks and download URLs will seem too old or too new"
    return Finding("Clock", "fail" if late else "warn", text, "set this machine's clock, best by NTP")


def _key(facts: Facts) -> Finding:
    answer = facts.answer
    if facts.key is None:
        return Finding(
            "API key",
            "fail",
            facts.key_problem or "none is set",
            "set FIRSTHAND_API_KEY; the dashboard and `firsthandapi signup` give one",
        )
    kind = {"fh_live_": "live", "fh_test_": "test (sandbox)"}.get(facts.key.rstrip("…"), "of unknown kind")
    text = f"{facts.key} from FIRSTHAND_API_KEY, {kind}"
    if answer.status == 401:
        return Finding(
            "API key",
            "fail",
            f"{text}: refused",
            "it is mistyped, revoked or of another service: set FIRSTHAND_API_KEY to a key that is listed as active",
        )
    if answer.status is None or answer.problem is not None:
        return Finding("API key", "warn", f"{text}, not checked", "make the service reachable first")
    return Finding("API key", "ok", f"{text}, accepted")


def _account(answer: Answer) -> list[Finding]:
    found: list[Finding] = []
    if answer.scopes is not None:
        lacking = [scope for scope in _NEEDED_SCOPES if scope not in answer.scopes]
        found.append(
            Finding(
                "Scopes",
                "warn" if lacking else "ok",
                (", ".join(answer.scopes) or "none") + (f"; not {' and '.join(lacking)}" if lacking else ""),
                "posting and collecting jobs needs them: use a key that has them" if lacking else None,
            )
        )
    if answer.remaining is not None:
        spent = answer.remaining <= 0
        found.append(
            Finding(
                "Rate limit",
                "warn" if spent else "ok",
                f"{answer.remaining} of {answer.limit} requests left in this window",
                "wait a minute; the client does so by itself" if spent else None,
            )
        )
    if answer.credits_cents is not None:
        # The sandbox charges nothing.
        broke = answer.credits_cents <= 0 and answer.environment != "test"
        found.append(
            Finding(
                "Credits",
                "warn" if broke else "ok",
                f"${answer.credits_cents / 100:,.2f} to spend",
                "firsthandapi purchase 2500" if broke else None,
            )
        )
    return found


def without_credentials(url: str) -> str:
    """A URL's scheme and host: no user, no password, no path, nor whatever else may be secret in it."""
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
