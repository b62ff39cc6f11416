"""The public names of 0.1.0: each fails with a message that names a successor that really exists."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

import firsthandapi
from firsthandapi import AsyncFirstHandClient, FirstHandClient
from firsthandapi._successors import CLIENT_METHODS, MODULE_NAMES

# Read off the published package.
METHODS = [
    "create_job",
    "get_job",
    "list_jobs",
    "get_job_audit",
    "cancel_job",
    "get_job_files",
    "get_job_submissions",
    "create_job_and_wait",
    "create_api_key",
    "list_api_keys",
    "rotate_api_key",
    "revoke_api_key",
    "create_webhook_endpoint",
    "list_webhook_endpoints",
    "get_webhook_endpoint",
    "update_webhook_endpoint",
    "delete_webhook_endpoint",
    "rotate_webhook_secret",
    "list_webhook_events",
    "replay_webhook_event",
    "get_credit_balance",
    "list_transactions",
    "purchase_credits",
    "get_settings",
    "update_settings",
]
NAMES = [
    ("firsthandapi", "verify_webhook_signature"),
    ("firsthandapi.webhooks", "verify_webhook_signature"),
    ("firsthandapi", "generate_idempotency_key"),
    ("firsthandapi.client", "generate_idempotency_key"),
    ("firsthandapi", "FirstHandRateLimitError"),
    ("firsthandapi.errors", "FirstHandRateLimitError"),
    ("firsthandapi.client", "FirstHandRateLimitError"),
]


def test_the_tables_have_every_name() -> None:
    """Nothing that 0.1.0 had is forgotten, and nothing it had not is claimed."""
    assert sorted(CLIENT_METHODS) == sorted(METHODS)
    assert set(MODULE_NAMES) == {name for _, name in NAMES}


def successor(message: str, root: str) -> str:
    found = re.search(rf"use {root}\.([\w.]+)", message)
    assert found, message
    return found[1]


def resolve(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("kind", [FirstHandClient, AsyncFirstHandClient])
@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str, kind: Any) -> None:
    """A method of 0.1.0 fails by name, and the successor it names is a method that there is."""
    client = kind("fh_test_x")
    client._shared.closed = True  # nothing was opened
    with pytest.raises(AttributeError, match=f"{kind.__name__}.{name} was removed") as caught:
        getattr(client, name)
    assert callable(resolve(client, successor(str(caught.value), "client")))
    assert not hasattr(client, name)


def test_other_attributes() -> None:
    """A name that never was fails as it does everywhere."""
    client = FirstHandClient("fh_test_x")
    client.close()
    with pytest.raises(AttributeError, match=r"^'FirstHandClient' object has no attribute 'nothing'$"):
        _ = client.nothing


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_names(module: str, name: str) -> None:
    """A module's name of 0.1.0 fails on import, with the successor in the message."""
    with pytest.raises(ImportError, match=f"{name} was removed") as caught:
        exec(f"from {module} import {name}")
    assert resolve(firsthandapi, successor(str(caught.value), "firsthandapi")) is not None


@pytest.mark.parametrize(
    "module", ["firsthandapi", "firsthandapi.client", "firsthandapi.errors", "firsthandapi.webhooks"]
)
def test_other_names(module: str) -> None:
    """A name that never was is an AttributeError, as `hasattr` expects."""
    assert not hasattr(importlib.import_module(module), "nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {module} import nothing")


def test_the_clients_are_where_0_1_0_had_them() -> None:
    """`from firsthandapi.client import FirstHandClient` still works."""
    module = importlib.import_module("firsthandapi.client")
    assert module.FirstHandClient is FirstHandClient
    assert module.AsyncFirstHandClient is AsyncFirstHandClient
