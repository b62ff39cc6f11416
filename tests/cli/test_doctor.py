"""`firsthandapi doctor`: what it finds, what it makes of it, and that no secret is in the report."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.support import Cli, Ran
from firsthandapi._base.version import __version__
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.cli.doctor import (
    Finding,
    Probe,
    _account,
    _clock,
    _disk,
    _key,
    _service,
    anonymous,
    without_credentials,
)
from firsthandapi.testing import MockServer
from firsthandapi.types import Identity

PASSWORD = "hunter2secret"


def checks(run: Ran) -> dict[str, dict[str, Any]]:
    return {check["topic"]: check for check in json.loads(run.out)["checks"]}


# --- the whole command --------------------------------------------------------------------------------


def test_a_good_key_is_all_ok(shell: Cli, fresh_server: MockServer) -> None:
    """Each line is ok, the exit code 0, and the key is nowhere."""
    shell.at(fresh_server)
    as_text = shell("doctor")
    assert (as_text.code, as_text.err) == (0, "")
    assert {line.split()[0] for line in as_text.out.splitlines()} == {"ok"}
    for topic in ("Python", "Packages", "Extras", "Disk", "Proxy", "Certificates", "Service", "Clock"):
        assert f"ok    {topic}" in as_text.out
    assert "fh_live_… from FIRSTHAND_API_KEY, live, accepted" in as_text.out
    assert "$1,000.00 available" in as_text.out
    as_json = shell("doctor", "--json")
    assert json.loads(as_json.out)["ok"] is True
    assert fresh_server.api_key not in as_text.out + as_json.out


def test_the_sandbox_is_named(shell: Cli, fresh_server: MockServer) -> None:
    """A test key is told from a live one."""
    shell.at(fresh_server, fresh_server.test_api_key)
    assert "fh_test_… from FIRSTHAND_API_KEY, test (sandbox), accepted" in shell("doctor").out


def test_no_key_still_tells_the_way_to_the_service(shell: Cli, fresh_server: MockServer) -> None:
    """The key fails, and the rest is checked all the same."""
    shell.at(fresh_server).set(FIRSTHAND_API_KEY=None)
    run = shell("doctor", "--json")
    results = checks(run)
    assert run.code == 1
    assert results["API key"]["state"] == "fail"
    assert "FIRSTHAND_API_KEY" in results["API key"]["fix"]
    assert results["Service"]["state"] == results["Clock"]["state"] == "ok"


@pytest.mark.parametrize(
    "key", ["fh_live_wrong_0123456789", "fh_live_two syllables", "not-one-of-ours-98765"]
)
def test_a_bad_key_fails_and_is_not_shown(shell: Cli, fresh_server: MockServer, key: str) -> None:
    """Refused or unusable: the report says so without a character of it beyond the prefix."""
    shell.at(fresh_server, key)
    as_text, as_json = shell("doctor"), shell("doctor", "--json")
    assert as_text.code == as_json.code == 1
    assert checks(as_json)["API key"]["state"] == "fail"
    for piece in ("wrong", "0123456789", "syllables", "98765"):
        assert piece not in as_text.out + as_json.out + as_text.err


def test_a_skewed_clock_is_found(shell: Cli, fresh_server: MockServer) -> None:
    """The service's own date, an hour off, is compared with this machine's."""
    shell.at(fresh_server)
    for hours, word in ((1, "behind"), (-1, "ahead of")):
        date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
        fresh_server.faults.add(path="/v1/me", headers={"Date": date})
        run = shell("doctor", "--json")
        clock = checks(run)["Clock"]
        assert (run.code, clock["state"]) == (1, "fail")
        assert word in clock["text"]
        assert "NTP" in clock["fix"]


def test_a_proxy_in_force_is_shown_without_its_password(shell: Cli) -> None:
    """Here one that nobody listens to: it is named, its credentials are not, and nothing hangs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        port = taken.getsockname()[1]
        shell.set(
            HTTPS_PROXY=f"http://someone:{PASSWORD}@127.0.0.1:{port}",
            NO_PROXY="intern.example",
            FIRSTHAND_API_KEY="fh_live_abcdefghijkl",
        )
        as_text, as_json = shell("doctor"), shell("doctor", "--json")
    results = checks(as_json)
    assert results["Proxy"]["text"] == f"http://…@127.0.0.1:{port} (set: HTTPS_PROXY, NO_PROXY)"
    assert results["Service"]["state"] == "fail"
    assert "through the proxy" in results["Service"]["text"]
    assert results["API key"]["state"] == "warn"
    assert results["Clock"]["state"] == "warn"
    for secret in (PASSWORD, "someone", "abcdefghijkl"):
        assert secret not in as_text.out + as_json.out + as_text.err + as_json.err


@pytest.mark.parametrize(
    ("name", "value", "topic", "words"),
    [
        ("FIRSTHAND_BASE_URL", f"https://me:{PASSWORD}@api.example.com", "Service", "FIRSTHAND_BASE_URL"),
        ("HTTPS_PROXY", f"ftp://me:{PASSWORD}@proxy.example", "Proxy", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nowhere/at-all.pem", "Certificates", "SSL_CERT_FILE"),
        (
            "SSL_CERT_FILE",
            f"https://me:{PASSWORD}@c.example/a.pem?sig={PASSWORD}",
            "Certificates",
            "c.example",
        ),
    ],
)
def test_bad_variables_are_named_and_not_quoted(
    shell: Cli, name: str, value: str, topic: str, words: str
) -> None:
    """An address with credentials, a proxy that is none, certificates that are not there; nothing is sent then."""
    shell.set(FIRSTHAND_API_KEY="fh_live_abcdefghijkl", **{name: value})
    run = shell("doctor", "--json")
    results = checks(run)
    assert (run.code, results[topic]["state"]) == (1, "fail")
    assert words in results[topic]["text"] + results[topic]["fix"]
    assert topic == "Service" or "not checked" in results["Service"]["text"]
    assert PASSWORD not in run.out


def test_a_token_in_the_path_of_an_address_is_not_shown(shell: Cli) -> None:
    """As gateways have it."""
    shell.set(FIRSTHAND_BASE_URL=f"http://127.0.0.1:9/{PASSWORD}/", FIRSTHAND_API_KEY="fh_live_abcdefghijkl")
    run = shell("doctor", "--json")
    assert "http://127.0.0.1:9" in checks(run)["Service"]["text"]
    assert PASSWORD not in run.out


def test_an_unreachable_service_is_told(shell: Cli, fresh_server: MockServer) -> None:
    """Nobody listens, or what answers is something else: a line with the fix, never a traceback."""
    shell.at(fresh_server)
    fresh_server.faults.add(path="/v1/me", status=503)
    assert checks(shell("doctor", "--json"))["Service"]["state"] == "fail"
    fresh_server.faults.add(path="/v1/me", garbage=True)
    strange = shell("doctor", "--json")
    assert "JSON" in checks(strange)["Service"]["text"]
    assert checks(strange)["API key"]["state"] == "warn"
    fresh_server.stop()
    gone = shell("doctor")
    assert gone.code == 1
    assert f"could not reach {fresh_server.url}" in gone.out
    fresh_server.start()


def test_a_server_that_never_answers_is_given_up(
    shell: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end, even where the attempt's own timeout has none."""
    monkeypatch.setattr("firsthandapi.cli.doctor._PATIENCE", 0.05)
    shell.at(fresh_server)
    fresh_server.faults.add(path="/v1/me", delay=1)
    assert "no response within" in checks(shell("doctor", "--json"))["Service"]["text"]


def test_missing_extras_are_named(
    shell: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extra says what it lacks; a missing dependency fails."""
    real_version = metadata.version

    def version(name: str) -> str:
        if name in ("pyarrow", "tenacity"):
            raise metadata.PackageNotFoundError(name)
        return real_version(name)

    monkeypatch.setattr(metadata, "version", version)
    shell.at(fresh_server)
    run = shell("doctor", "--json")
    results = checks(run)
    assert "pandas lacks pyarrow" in results["Extras"]["text"]
    assert results["Extras"]["state"] == "ok"
    assert results["Packages"]["state"] == "fail"
    assert "tenacity missing" in results["Packages"]["text"]
    # Of this version: the package index may have only an older one.
    assert results["Packages"]["fix"] == f"pip install firsthandapi=={__version__}"


def test_versions_that_will_not_do_are_named(
    shell: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too old or too new: a dependency fails, an extra says what it lacks."""
    real_version = metadata.version
    odd = {"httpx": "0.9.1", "pydantic": "3.0", "pyarrow": "3.0.0"}
    monkeypatch.setattr(metadata, "version", lambda name: odd.get(name) or real_version(name))
    run = shell.at(fresh_server)("doctor", "--json")
    results = checks(run)
    assert (run.code, results["Packages"]["state"]) == (1, "fail")
    assert re.search(
        r"httpx\S+ is required, not 0\.9\.1; pydantic\S+ is required, not 3\.0$", results["Packages"]["text"]
    )
    assert re.search(r"pandas lacks pyarrow>=\d+", results["Extras"]["text"])


def test_it_runs_from_sources(shell: Cli, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its metadata it still reports the rest."""

    def requires(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert shell.at(fresh_server)("doctor").code == 0


def test_a_folder_that_takes_no_file_fails(shell: Cli, fresh_server: MockServer, tmp_path: Path) -> None:
    """A folder that is not there yet is fine; a file in its place is not."""
    shell.at(fresh_server)
    assert shell("doctor", "--dest", str(tmp_path / "new" / "deeper")).code == 0
    assert not (tmp_path / "new").exists()
    (tmp_path / "taken").write_bytes(b"")
    run = shell("doctor", "--json", "--dest", str(tmp_path / "taken"))
    assert (run.code, checks(run)["Disk"]["state"]) == (1, "fail")


def test_home_and_user_name_are_left_out(
    shell: Cli, fresh_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths in the report begin at `~`."""
    home = tmp_path / "maria-example"
    home.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("USER", "USERNAME"):
        monkeypatch.setenv(name, "maria-example")
    shell.at(fresh_server)
    run = shell("doctor", "--dest", str(home / "signs"))
    assert "maria-example" not in run.out
    assert "~" in run.out


def test_certificates_are_named_by_their_source(
    shell: Cli, fresh_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """certifi by default, else what the variables name."""
    shell.at(fresh_server)
    assert "certifi" in checks(shell("doctor", "--json"))["Certificates"]["text"]
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert "SSL_CERT_DIR" in checks(shell("doctor", "--json"))["Certificates"]["text"]
    monkeypatch.setenv("SSL_CERT_DIR", f"https://me:{PASSWORD}@certs.example")
    run = shell("doctor", "--json")
    assert "certs.example" in checks(run)["Certificates"]["text"]
    assert PASSWORD not in run.out
    certificate = Path(__file__).parents[1] / "localhost.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert "SSL_CERT_FILE" in checks(shell("doctor", "--json"))["Certificates"]["text"]


# --- what it makes of a response ----------------------------------------------------------------------

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOOD = Probe(200, seconds=0.1, date=NOW, received=NOW)


def account(scopes: Sequence[str] | None, environment: str = "live", **headers: int) -> Finding:
    """The first finding about the key, as GET /v1/me shows it."""
    raw = tuple((name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items())
    me = Identity.model_validate({"organization_id": "org_1", "environment": environment, "scopes": scopes})
    return _account(replace(GOOD, response=ApiResponse(200, raw), me=me))[0]


def later(ahead: float, **more: Any) -> Probe:
    return replace(GOOD, received=NOW + timedelta(seconds=ahead), **more)


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (_clock(later(20)), "ok"),
        (_clock(later(60)), "warn"),
        (_clock(later(-60)), "warn"),
        (_clock(later(-300)), "fail"),
        (_clock(later(45, seconds=50.0)), "ok"),
        (_clock(replace(GOOD, date=None)), "warn"),
        (account(["jobs:read"]), "warn"),
        (account([]), "warn"),
        (account(["jobs:read", "jobs:write"]), "ok"),
        (
            account(None, x_ratelimit_limit=100, x_ratelimit_remaining=0, x_ratelimit_reset=1_800_000_000),
            "warn",
        ),
        (account(None, x_firsthandapi_credits_remaining=0), "warn"),
        (account(None, "test", x_firsthandapi_credits_remaining=0), "ok"),
        (_key("…", None, GOOD), "ok"),
        (_key("fh_live_…", None, Probe(problem="refused")), "warn"),
        (_service("https://x", Probe(problem="TLS failed", untrusted=True), proxied=False), "fail"),
        (_service("https://x", replace(GOOD, seconds=None), proxied=False), "ok"),
    ],
)
def test_each_response_has_its_finding(finding: Finding, state: str) -> None:
    """What is not ok says what to do."""
    assert finding.state == state
    assert (finding.fix is None) == (state == "ok")


def test_what_was_not_told_makes_no_line() -> None:
    """No scopes, limit or credits known: no word on them."""
    assert _account(GOOD) == _account(replace(GOOD, response=ApiResponse(200))) == []


@pytest.mark.parametrize(("free", "state"), [(50e9, "ok"), (5e8, "warn"), (5e6, "fail")])
def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, state: str) -> None:
    """Little room is a warning; next to none, a failure."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    assert _disk(tmp_path).state == state


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://me:pass@proxy.example:3128/x?token=1", "http://…@proxy.example:3128"),
        ("socks5://me:p@ss@proxy.example", "socks5://…@proxy.example"),
        ("me:pass@proxy.example:3128", "…@proxy.example:3128"),
    ],
)
def test_a_proxy_is_shown_without_credentials(url: str, expected: str) -> None:
    """Scheme, host and port are what a ticket needs."""
    assert without_credentials(url) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/maria/signs", "~/signs"),
        ("/home/maria", "~"),
        ("/home/mariana/signs", "/home/mariana/signs"),
        ("/mnt/maria/signs", "/mnt/<user>/signs"),
        ("C:\\Users\\maria\\x", "C:\\Users\\<user>\\x"),
        ("maria wrote this", "maria wrote this"),
    ],
)
def test_names_of_people_are_left_out_of_paths(text: str, expected: str) -> None:
    """The home directory is `~`; the name goes where it is a part of a path, and nowhere else."""
    assert anonymous(text, home="/home/maria", user="maria") == expected


def test_no_home_hides_nothing() -> None:
    """A home of `/`, or none, leaves the text as it is."""
    assert anonymous("/srv/x", home="/", user="") == "/srv/x"
