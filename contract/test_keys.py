"""API keys, with their secrets, rotation, and revocation; and the settings of the organization."""

from __future__ import annotations

from typing import get_args

import pytest

from firsthandapi.types import enums

from .checks import empty, refused, same, shaped, status, succeeded
from .exchange import Key, Response
from .server import Json, Server
from .shapes import IDENTITY, KEY, NEW_KEY, SETTINGS

_SETTINGS = "/v1/organization/settings"


def _scopes(server: Server, body: Json) -> set[str]:
    response = server.post("/v1/api_keys", body).must(succeeded, shaped(NEW_KEY))
    has_prefix = response.object["secret"].startswith("fh_test_" if server.is_sandbox else "fh_live_")
    assert has_prefix, "the secret of a new key has the prefix of another environment"
    key = Key(response.object["secret"], "NEW_KEY")
    return {*server("GET", "/v1/me", key=key).must(status(200), shaped(IDENTITY)).object["scopes"]}


def test_api_keys_create(server: Server) -> None:
    """A new key has a secret with the prefix of its environment, which works, with its scopes. (§2 "API keys")"""
    scopes = _scopes(server, server.key_body(scopes=["jobs:read", "usage:read"]))
    assert scopes == {"jobs:read", "usage:read"}, f"a new key has other scopes: {', '.join(sorted(scopes))}"


def test_api_keys_create_all_scopes(server: Server) -> None:
    """A key created without scopes has all of them. (§2)"""
    lacking = {*get_args(enums.Scope)} - _scopes(server, server.key_body())
    assert not lacking, f"a key created without scopes lacks some: {', '.join(sorted(lacking))}"


def test_api_keys_create_fields(server: Server) -> None:
    """A key without a name, or with an unknown scope, is 400, and `details` names the field. (§2 "API keys")"""
    for field, value in (("name", None), ("scopes", ["everything"]), ("environment", "staging")):
        server.post("/v1/api_keys", server.key_body(**{field: value})).must(refused(400, field=field))


def test_api_keys_sandbox(server: Server) -> None:
    """A sandbox key creates no live key. (§2 "API keys" ‡)"""
    if not server.is_sandbox:
        pytest.skip("it is about sandbox keys")
    server.post("/v1/api_keys", server.key_body(environment="live")).must(refused(403))


def test_api_keys_masked(server: Server) -> None:
    """The list shows no secret. (§2 "API keys")"""
    keys = [server.key] if server.read_only else [server.key, server.new_key("usage:read")[0]]
    response = server.get("/v1/api_keys", limit=100).must(status(200))
    assert all(item.get("secret") is None for item in response.items), "a key in the list has a `secret`"
    assert not any(str(key.secret).encode() in response.content for key in keys), "a secret is in the list"


def test_api_keys_rotate(server: Server) -> None:
    """A rotation makes a new secret; the old one works for 24 hours more. (§2 "API keys")"""
    old, record = server.new_key("usage:read", name="OLD_KEY")
    response = server.post(f"/v1/api_keys/{record['id']}/rotate").must(succeeded, shaped(NEW_KEY))
    assert response.object["secret"] != old.secret, "the secret of a rotated key is the old one"
    for key in (Key(response.object["secret"], "NEW_KEY"), old):
        server("GET", "/v1/me", key=key).must(status(200))


def test_api_keys_revoke(server: Server) -> None:
    """Revoking a key is 204; from then on the key is 401, also one that was in use. (§2 "API keys")"""
    key, record = server.new_key("usage:read", name="REVOKED_KEY")
    for _ in range(2):
        server("GET", "/v1/me", key=key).must(status(200))
    server.post(f"/v1/api_keys/{record['id']}/revoke").must(status(204), empty)
    server("GET", "/v1/me", key=key).must(refused(401))


def test_api_keys_listed(server: Server, spare_key: Json) -> None:
    """A new key is in the list. (§3)"""
    response = server.get("/v1/api_keys", limit=100).must(status(200))
    item = next((item for item in response.items if item.get("id") == spare_key["id"]), None)
    assert item, f"a new key is not listed: {spare_key['id']}"
    fault = KEY(item)
    assert not fault, f"a key in the list {fault}"


# --- settings -------------------------------------------------------------------------------------------


def _read(server: Server) -> Response:
    return server.get(_SETTINGS).must(status(200), shaped(SETTINGS))


def _patch(server: Server, settings: Json, **fields: object) -> Response:
    """Change settings; they change back at the end, should the server take them."""
    for name in fields:
        if settings.get(name) is not None:
            server.undo(name, server.request("PATCH", _SETTINGS, {name: settings[name]}))
    return server("PATCH", _SETTINGS, fields)


def test_settings(server: Server) -> None:
    """The settings of the organization are readable with any scope. (§2 "Organization and audit")"""
    _read(server)
    if not server.read_only:
        key = server.new_key("audit:read")[0]
        server("GET", _SETTINGS, key=key).must(status(200), shaped(SETTINGS))


def test_settings_update(server: Server) -> None:
    """A PATCH changes what it names, and nothing else. (§2 "Organization and audit")"""
    settings = _read(server).object
    expected = {name: value for name, value in settings.items() if name != "updated_at"}
    # One after the other: a server that takes a PATCH for a PUT loses the first.
    for name, value in (("default_price_per_file_cents", 77), ("auto_top_up_threshold_cents", 1234)):
        _patch(server, settings, **{name: value}).must(status(200), shaped(SETTINGS))
        expected[name] = value
        _read(server).must(same(expected, *expected))


def test_settings_fields(server: Server) -> None:
    """An automatic top-up of another amount is 400, and `details` names the field. (§2 "Organization and audit")"""
    field = "auto_top_up_amount_cents"
    _patch(server, _read(server).object, **{field: 1234}).must(refused(400, field=field))
