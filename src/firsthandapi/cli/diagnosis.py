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
_FIRST = "fix the failures above, then run doctor again"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `fix` says what to do if it is not ok."""

    topic: str
    state: State
    text: str
    fix: str | None = None


@dataclass(frozen=True)
class Answer:
    """The response of the service. If all are None, it was not asked or did not respond."""

    status: int | None = None
    problem: str | None = None  # without a secret
    untrusted: bool = False  # its certificate failed
    seconds: float | None = None
    date: datetime | None = None  # the service's clock
    received: datetime | None = None  # the clock of this machine at that time
    environment: str | None = None  # of the key
    scopes: Sequence[str] | None = None
    remaining: int | None = None  # of the rate limit
    limit: int | None = None
    credits_cents: int | None = None


@dataclass(frozen=True)
class Facts:
    """The facts about this machine and the service; a `…_problem` says why there is no value."""

    python: str
    system: str
    version: str  # of firsthandapi
    base_url: str | None
    dependencies: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])  # to version
    misfits: Sequence[str] = ()  # installed with an unsupported version, with the required one
    extras: Mapping[str, Sequence[str]] = field(
        default_factory=dict[str, "Sequence[str]"]
    )  # to what it lacks
    key: str | None = None  # masked
    key_problem: str | None = None
    base_url_problem: str | None = None
    proxy: str | None = None  # without credentials
    proxy_problem: str | None = None
    proxy_variables: Sequence[str] = ()  # that are set, even if they do not apply
    trust: str = ""  # the source of the certificates
    trust_problem: str | None = None
    folder: str = "."  # for files
    free_bytes: int | None = None
    folder_problem: str | None = None
    answer: Answer = Answer()


def diagnose(facts: Facts) -> list[Finding]:
    """Build the report; each check depends only on earlier ones."""
    answer = facts.answer
    return [
        _ok("Python", f"{facts.python} on {facts.system}"),
        *_packages(facts),
        _disk(facts),
        _proxy(facts),
        _ok("Certificates", facts.trust)
        if facts.trust_problem is None
        else _fail(
            "Certificates",
            facts.trust_problem,
            "set SSL_CERT_FILE to a file of PEM certificates, or unset it",
        ),
        _service(facts),
        _clock(answer),
        _key(facts),
        *_account(answer),
    ]


def _ok(topic: str, text: str) -> Finding:
    return Finding(topic, "ok", text)


def _warn(topic: str, text: str, fix: str) -> Finding:
    return Finding(topic, "warn", text, fix)


def _fail(topic: str, text: str, fix: str) -> Finding:
    return Finding(topic, "fail", text, fix)


def _packages(facts: Facts) -> list[Finding]:
    missing = [name for name, version in facts.dependencies.items() if version is None]
    listed = ", ".join(f"{name} {version}" for name, version in facts.dependencies.items() if version)
    installed = sorted(name for name, lacks in facts.extras.items() if not lacks)
    lacking = {name: lacks for name, lacks in sorted(facts.extras.items()) if lacks}
    extras = f"{', '.join(installed) or 'none'} installed"
    if lacking:
        extras += "; " + ", ".join(f"{name} lacks {' and '.join(lacks)}" for name, lacks in lacking.items())
    text = f"firsthandapi {facts.version}" + (f" with {listed}" if listed else "")
    wrong = [*([f"{', '.join(missing)} missing"] if missing else []), *facts.misfits]
    return [
        _fail("Packages", "; ".join([text, *wrong]), "pip install --force-reinstall firsthandapi")
        if wrong
        else _ok("Packages", text),
        _ok("Extras", extras),  # always: nobody needs all of them
    ]


def _disk(facts: Facts) -> Finding:
    where = f"in {facts.folder}"
    if facts.folder_problem is not None:
        text = f"could not write files {where}: {facts.folder_problem}"
        return _fail("Disk", text, "use a different folder, or change its permissions")
    if facts.free_bytes is None:
        return _ok("Disk", f"files can be written {where}; the free space is unknown")
    text = f"{facts.free_bytes / 1e9:,.1f} GB free {where}"
    if facts.free_bytes >= _DISK_WARN:
        return _ok("Disk", text)
    judge = _fail if facts.free_bytes < _DISK_FAIL else _warn
    return judge("Disk", text, "free disk space, or use a different folder")


def _proxy(facts: Facts) -> Finding:
    if facts.proxy_problem is not None:
        return _fail("Proxy", facts.proxy_problem, "set the variable to the URL of a proxy, or unset it")
    variables = ", ".join(facts.proxy_variables)
    used = facts.proxy or ("none for this address" if variables else "none")
    return _ok("Proxy", used + (f" (set: {variables})" if variables else ""))


def _service(facts: Facts) -> Finding:
    answer, topic = facts.answer, "Service"
    if facts.base_url is None:
        problem = facts.base_url_problem or "no address"
        return _fail(topic, problem, "fix FIRSTHAND_BASE_URL, or unset it to use the public service")
    if answer.status is None and answer.problem is None:
        return _warn(topic, f"{facts.base_url} not checked", _FIRST)
    if answer.status is None:
        way = " through the proxy" if facts.proxy else ""
        return _fail(
            topic,
            # The advice of the error follows the semicolon; the fix below is more specific.
            f"could not reach {facts.base_url}{way}: {(answer.problem or '').partition(';')[0]}",
            "if a proxy decrypts TLS, set SSL_CERT_FILE to its certificate"
            if answer.untrusted
            else "check the network, the proxy, and FIRSTHAND_BASE_URL",
        )
    took = "" if answer.seconds is None else f" in {answer.seconds * 1000:,.0f} ms"
    responded = f"{facts.base_url} responded{took}"
    if answer.problem is None:
        return _ok(topic, responded)
    advice = "check FIRSTHAND_BASE_URL; if it is right, try again later"
    return _fail(topic, f"{responded}, but: {answer.problem}", advice)


def _clock(answer: Answer) -> Finding:
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


def _key(facts: Facts) -> Finding:
    answer, topic = facts.answer, "API key"
    if facts.key is None:
        advice = "set FIRSTHAND_API_KEY to a key from the dashboard or `firsthandapi signup`"
        return _fail(topic, facts.key_problem or "not set", advice)
    kind = {"fh_live_": "live", "fh_test_": "test (sandbox)"}.get(facts.key.rstrip("…"), "unknown kind")
    text = f"{facts.key} from FIRSTHAND_API_KEY, {kind}"
    if answer.status == 401:
        return _fail(
            topic,
            f"{text}: refused",
            "the key is mistyped, revoked, or from another service: set FIRSTHAND_API_KEY to an active key",
        )
    if answer.status is None or answer.problem is not None:
        return _warn(topic, f"{text}, not checked", _FIRST)
    return _ok(topic, f"{text}, accepted")


def _account(answer: Answer) -> list[Finding]:
    found: list[Finding] = []
    if answer.scopes is not None:
        text = ", ".join(answer.scopes) or "none"
        lacking = " and ".join(scope for scope in _NEEDED_SCOPES if scope not in answer.scopes)
        advice = "use a key with these scopes to post and collect jobs"
        found.append(
            _warn("Scopes", f"{text}; missing {lacking}", advice) if lacking else _ok("Scopes", text)
        )
    if answer.remaining is not None:
        text = f"{answer.remaining:,} of {count_of(answer.limit or 0, 'request')} left in this window"
        found.append(
            _ok("Rate limit", text)
            if answer.remaining > 0
            else _warn("Rate limit", text, "wait a minute; the client also waits for you")
        )
    if answer.credits_cents is not None:
        text = f"{dollars(answer.credits_cents)} available"
        # The sandbox charges nothing.
        fine = answer.credits_cents > 0 or answer.environment == "test"
        found.append(
            _ok("Credits", text) if fine else _warn("Credits", text, "run firsthandapi purchase 2500")
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
