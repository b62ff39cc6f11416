"""The command line at keys, money, settings and the audit log."""

from __future__ import annotations

import json

from cli.support import SPEC, Cli
from firsthandapi.testing import MockServer


def test_settings_are_shown_and_changed(cli: Cli) -> None:
    """What is left out stays; nothing to change, and an amount that is not sold, are usage errors."""
    listing = cli("settings")
    assert "automatic top-up" in listing.out
    changed = cli("settings", "update", "--auto-top-up", "--auto-top-up-amount-cents", "5000", "--json")
    assert json.loads(changed.out)["auto_top_up_enabled"] is True
    priced = cli("settings", "update", "--default-type", "feedback", "--default-price-per-file-cents", "75")
    assert "$0.75" in priced.out
    now = json.loads(cli("settings", "--json").out)
    assert now["auto_top_up_amount_cents"] == 5000
    assert now["default_type"] == "feedback"
    assert (
        json.loads(cli("settings", "update", "--no-auto-top-up", "--json").out)["auto_top_up_enabled"]
        is False
    )
    for arguments, words in (
        ((), "nothing to change"),
        (("--auto-top-up-amount-cents", "7"), "1000, 2500, 5000, 10000 or 25000"),
        (("--default-type", "poll"), "'data_collection', 'feedback'"),
    ):
        run = cli("settings", "update", *arguments)
        assert run.code == 2
        assert words in run.err
        assert run.err.count("\n") == 1


def test_transactions_and_audit_are_listed_and_filtered(cli: Cli, fresh_server: MockServer) -> None:
    """Money has its sign, filters reach the service, and --limit is the most there is."""
    with fresh_server.client() as client:
        job = client.jobs.create(**SPEC)
        client.jobs.create(**SPEC)
    listed = cli("transactions")
    assert "-$1.50" in listed.out
    assert "$1,000.00" in listed.out
    assert len(json.loads(cli("transactions", "--type", "deduction", "--json").out)) == 2
    assert len(json.loads(cli("transactions", "--limit", "1", "--json").out)) == 1
    done = cli("audit", job.id)
    assert done == cli("audit", "--job-id", job.id)  # as in 1.0.0
    assert done.out.count("job.created") == 1
    assert json.loads(cli("audit", "--event-type", "job.completed", "--json").out) == []
    # The set of types is open: a new one is the service's to know.
    nothing = cli("audit", "--event-type", "job.praised")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "No results.\n")


def test_purchase_prints_where_to_pay(cli: Cli) -> None:
    """It buys nothing by itself, and names what is sold when asked for anything else."""
    assert "http" in cli("purchase", "2500").out
    assert "checkout_url" in json.loads(cli("purchase", "1000", "--json").out)
    assert json.loads(cli("credits", "--json").out)["balance_cents"] == 100_000
    assert cli("credits") == cli("balance")  # the older name
    wrong = cli("purchase", "3")
    assert wrong.code == 2
    assert "1000, 2500, 5000, 10000 or 25000" in wrong.err


def test_signup_needs_no_key_and_prints_one(cli: Cli) -> None:
    """The first key goes to stdout, once."""
    cli.set(FIRSTHAND_API_KEY=None)
    run = cli("signup", "--name", "Signs", "--email", "me@example.com")
    assert "fh_live_" in run.out
    assert "not shown again" in run.err
    account = json.loads(cli("signup", "--name", "More Signs", "--email", "us@example.com", "--json").out)
    cli.set(FIRSTHAND_API_KEY=account["api_key"])
    assert json.loads(cli("whoami", "--json").out)["organization_id"] == account["organization_id"]
