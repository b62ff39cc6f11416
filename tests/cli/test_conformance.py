"""`firsthandapi conformance`: what it prints, and how it exits."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from cli.support import Cli, on_terminal, start
from conformance.support import Deviating, Deviation
from firsthandapi.testing import MockServer
from processes import stopped


@pytest.fixture(scope="module")
def odd() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


@pytest.fixture
def cli(shell: Cli, odd: Deviating) -> Cli:
    odd.deviation = Deviation()
    return shell.at(odd, odd.test_api_key)


def test_all_that_was_tried_holds(cli: Cli, odd: Deviating) -> None:
    """A table by endpoint, what was not tried and why, and exit code 0."""
    ran = cli("conformance", odd.url, "--only", "credits", "--only", "sandbox.*")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.splitlines() == [
        "   Holds  Differs  Not tried  Endpoint",
        "✓  1                          GET /v1/billing/credits",
        "–                  1          POST /v1/jobs",
        "",
        "– not tried  sandbox.completes: time stands still on this server",
        "",
        "1 promise held, 0 differed, 1 not tried.",
    ]


def test_a_difference_says_what_was_promised_what_came_and_how_to_repeat_it(cli: Cli, odd: Deviating) -> None:
    """And the exit code is 1."""
    odd.deviation = Deviation(tell=lambda it: it.reply.pop("x-ratelimit-limit", None))
    ran = cli("conformance", odd.url, "--only", "headers.r*")
    assert ran.code == 1
    assert ran.out.splitlines()[3:] == [
        "✗ headers.rate  every endpoint",
        "  promised  Every authenticated response says how many requests are left, and until when. (§1)",
        "  came      no header x-ratelimit-limit: 200",
        f'  repeat    curl -i {odd.url}/v1/me -H "Authorization: Bearer $FIRSTHAND_API_KEY"',
        "",
        "1 promise held, 1 differed, 0 not tried.",
    ]


def test_one_fault_is_told_once(cli: Cli, odd: Deviating) -> None:
    """Whatever number of promises it breaks: one of them in full, and the names of the first others."""
    odd.deviation = Deviation(tell=lambda it: it.status == 404 and it.say({"error": "not here"}, 501))
    ran = cli("conformance", odd.url, "--only", "*.unknown")
    assert ran.code == 1
    assert re.findall(r"\d+ promises at .*", ran.out) == [
        "15 promises at 15 endpoints differ for one reason: 501 without an error type instead of another response"
    ]
    assert ran.out.count("  promised  ") == ran.out.count("  repeat    ") == 1
    assert re.search(r"  also      .*, and 6 more\n\n--json shows each promise", ran.out)


def test_json_has_all_of_it(cli: Cli, odd: Deviating) -> None:
    """In a shape that stays: fields may be added, none goes."""
    odd.deviation = Deviation(
        tell=lambda it: it.at("GET", "/v1/billing/credits") and it.say({**it.json, "currency": "eur"})
    )
    ran = cli("conformance", odd.url, "--only", "credits", "--only", "me", "--only", "sandbox.*", "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert isinstance(found.pop("seconds"), float)
    assert found.pop("requests") > 3
    none = {"ours": False, "came": None, "curl": None, "why": None}
    assert found == {
        "ok": False,
        "url": odd.url,
        "environment": "test",
        "writes": True,
        "holds": 1,
        "differs": 1,
        "not_tried": 1,
        "left": [],
        "causes": [{"cause": "`currency` should be 'usd'", "promises": ["credits"]}],
        "promises": [
            {
                **none,
                "id": "me",
                "endpoint": "GET /v1/me",
                "section": "§3",
                "promised": "GET /v1/me returns the organization, environment, and scopes of the key.",
                "verdict": "holds",
            },
            {
                **none,
                "id": "credits",
                "endpoint": "GET /v1/billing/credits",
                "section": "§3",
                "promised": "The balance is in integer cents, in usd.",
                "verdict": "differs",
                "came": "`currency` should be 'usd': \"eur\"",
                "curl": f'curl -i {odd.url}/v1/billing/credits -H "Authorization: Bearer $FIRSTHAND_API_KEY"',
            },
            {
                **none,
                "id": "sandbox.completes",
                "endpoint": "POST /v1/jobs",
                "section": "§7",
                "promised": "In the sandbox, a simulated worker completes a job after about 15 seconds.",
                "verdict": "not tried",
                "why": "time stands still on this server",
            },
        ],
    }


def test_a_live_key_names_what_it_does_not_try_in_one_line(cli: Cli, odd: Deviating) -> None:
    """Not in a line for each of many promises."""
    cli.at(odd)
    ran = cli("conformance", odd.url, "--only", "jobs.create*", "--only", "me")
    assert ran.code == 0
    assert re.search(r"– not tried  \d\d promises: a live key only reads, unless told to write\n", ran.out)
    assert cli("conformance", odd.url, "--only", "purchase", "--write").out.endswith(
        "1 promise held, 0 differed, 0 not tried.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["http://127.0.0.1:1"], "could not reach http://127.0.0.1:1"),
        (["nowhere"], "must be a URL"),
        (["URL", "--only", "nothing"], "no promise matches nothing"),
    ],
)
def test_what_cannot_be_checked_is_a_usage_error(
    cli: Cli, odd: Deviating, arguments: list[str], words: str
) -> None:
    """One line, and exit code 2."""
    ran = cli("conformance", *(odd.url if each == "URL" else each for each in arguments))
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


def test_what_is_left_is_a_note(cli: Cli, odd: Deviating) -> None:
    """On standard error, for a person."""
    odd.deviation = Deviation(tell=lambda it: it.at("POST", "/v1/jobs/:id/cancel") and it.say({}, 500))
    ran = cli("conformance", odd.url, "--only", "jobs.create.cost")
    assert ran.code == 0
    assert re.fullmatch(r"could not be removed: job_\w+: not cancelled \(500 {}\)\n", ran.err)


def test_ctrl_c_notes_what_is_left(cli: Cli, odd: Deviating, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the end of a whole check: a server that stands still is a reason to stop one."""
    from firsthandapi.cli import conformance

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conformance, "_progress", lambda: nullcontext(stop))
    odd.deviation = Deviation(tell=lambda it: it.at("POST", "/v1/jobs/:id/cancel") and it.say({}, 500))
    ran = cli("conformance", odd.url, "--only", "jobs.create.cost")
    assert ran.code == 130
    assert re.fullmatch(r"could not be removed: job_\w+: not cancelled \(500 {}\)\n", ran.err)


def test_a_terminal_without_symbols_gets_plain_marks(
    cli: Cli, odd: Deviating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a console of Windows that is not UTF-8."""
    from firsthandapi.cli import conformance

    monkeypatch.setattr(conformance, "_marks", lambda _: conformance._PLAIN)
    assert "+  1" in cli("conformance", odd.url, "--only", "credits").out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_progress_and_wraps(odd: Deviating, tmp_path: Path) -> None:
    """Within its width, and what differs in red."""
    odd.deviation = Deviation(tell=lambda it: it.reply.pop("x-ratelimit-limit", None))
    arguments = ("conformance", odd.url, "--only", "headers.r*", "--only", "jobs.get.key")
    shown = on_terminal(*arguments, cwd=tmp_path, FIRSTHAND_API_KEY=odd.test_api_key, PYTHONUTF8="1")
    assert "headers.rate" in shown
    assert "\x1b[31m✗" in shown
    assert "\N{SQUARED ID}" not in shown  # what Rich makes of `:id:`
    assert odd.test_api_key not in shown


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_nothing_behind() -> None:
    """Jobs are cancelled, keys revoked, and endpoints deleted; the exit code is 130."""
    with MockServer(speed=0, workers=False) as server:
        only = [word for each in ("jobs.get", "api_keys.*", "jobs.wait.*") for word in ("--only", each)]
        process = start("conformance", server.url, *only, FIRSTHAND_API_KEY=server.test_api_key)
        ends = time.monotonic() + 120
        while not any("wait" in each.headers.get("prefer", "") for each in server.requests):
            assert time.monotonic() < ends
            time.sleep(0.02)
        _, err = stopped(process, signal.SIGINT)
        assert process.returncode == 130, err
        with server.client(api_key=server.test_api_key) as client:
            assert [job.id for job in client.jobs.list() if not job.is_terminal] == []
