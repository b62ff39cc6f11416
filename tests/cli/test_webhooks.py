"""The command line at webhooks: endpoints and events."""

from __future__ import annotations

import json

from cli.support import Cli


def test_an_endpoint_from_create_to_delete(cli: Cli) -> None:
    """create, list, get, update, rotate-secret and delete; the secret is shown when it is new, and only then."""
    run = cli("webhooks", "create", "--url", "https://x.example/hook?token=abc", "--events", "job.completed")
    assert "whsec_" in run.out
    assert "not shown again" in run.err
    listed = cli("webhooks", "list")
    assert "https://x.example/hook?…" in listed.out
    assert "  job.completed  " in listed.out
    (endpoint,) = json.loads(cli("webhooks", "list", "--json").out)
    assert endpoint["events"] == ["job.completed"]
    page = cli("webhooks", "get", endpoint["id"])
    assert "whsec_" not in page.out + listed.out
    changed = cli("webhooks", "update", endpoint["id"], "--disable", "--description", "off", "--json")
    assert (json.loads(changed.out)["enabled"], json.loads(changed.out)["description"]) == (False, "off")
    assert cli("webhooks", "update", endpoint["id"], "--enable").out.count("yes") == 1
    rotated = json.loads(cli("webhooks", "rotate-secret", endpoint["id"], "--json").out)
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] not in run.out
    assert cli("webhooks", "update", endpoint["id"]).code == 2
    assert cli("webhooks", "delete", endpoint["id"]).err == f"Deleted {endpoint['id']}.\n"
    assert cli("webhooks", "get", endpoint["id"]).code == 1
