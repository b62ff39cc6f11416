"""API keys, with their secrets, rotation, and revocation; and the settings of the organization."""

from __future__ import annotations

from typing import get_args

from firsthandapi.conformance._checks import empty, refused, same, shaped, status, succeeded
from firsthandapi.conformance._exchange import Credential, Exchange, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Json, Run
from firsthandapi.conformance._shapes import IDENTITY, KEY, NEW_KEY, SETTINGS
from firsthandapi.types import enums

_KEYS = '§2 "API keys"'


def _scopes(run: Run, body: Json) -> set[str]:
    it = run.post("/v1/api_keys", body).must(succeeded, shaped(NEW_KEY))
    has_prefix = it.object["secret"].startswith("fh_test_" if run.is_sandbox else "fh_live_")
    it.hold(has_prefix, "the secret of a new key has the prefix of another environment")
    new = Credential(it.object["secret"], "NEW_KEY")
    return {*run("GET", "/v1/me", key=new).must(status(200), shaped(IDENTITY)).object["scopes"]}


@promise("api_keys.create", "POST /v1/api_keys", _KEYS)
def _create(run: Run) -> None:
    """A new key has a secret with the prefix of its environment, which works, with its scopes."""
    asked = {"jobs:read", "usage:read"}
    found = _scopes(run, run.key_body(scopes=sorted(asked)))
    run.hold(found == asked, f"a new key has other scopes: {', '.join(sorted(found))}")


@promise("api_keys.create.all_scopes", "POST /v1/api_keys", "§2")
def _all_scopes(run: Run) -> None:
    """A key created without scopes has all of them."""
    lacking = {*get_args(enums.Scope)} - _scopes(run, run.key_body())
    run.hold(not lacking, f"a key created without scopes lacks some: {', '.join(sorted(lacking))}")


@promise("api_keys.create.fields", "POST /v1/api_keys", _KEYS)
def _fields(run: Run) -> None:
    """A key without a name, or with an unknown scope, is 400, and `details` names the field."""
    for field, value in (("name", None), ("scopes", ["everything"]), ("environment", "staging")):
        run.post("/v1/api_keys", run.key_body(**{field: value})).must(refused(400, field=field))


@promise("api_keys.sandbox", "POST /v1/api_keys", _KEYS, ours=True)
def _no_live(run: Run) -> None:
    """A sandbox key creates no live key."""
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    run.post("/v1/api_keys", run.key_body(environment="live")).must(refused(403))


@promise("api_keys.masked", "GET /v1/api_keys", _KEYS)
def _masked(run: Run) -> None:
    """The list shows no secret."""
    secrets = [run.key.secret, run.poor_key.secret if run.writes else None]
    it = run.get("/v1/api_keys", limit=100).must(status(200))
    it.hold(all(item.get("secret") is None for item in it.items), "a key in the list has a `secret`")
    is_in = any(secret is not None and secret.encode() in it.body for secret in secrets)
    it.hold(not is_in, "a secret is in the list")


@promise("api_keys.rotate", "POST /v1/api_keys/:id/rotate", _KEYS)
def _rotate(run: Run) -> None:
    """A rotation makes a new secret; the old one works for 24 hours more."""
    old, made = run.new_key("usage:read", name="OLD_KEY")
    it = run.post(f"/v1/api_keys/{made['id']}/rotate").must(succeeded, shaped(NEW_KEY))
    it.hold(it.object["secret"] != old.secret, "the secret of a rotated key is the old one")
    for key in (Credential(it.object["secret"], "NEW_KEY"), old):
        run("GET", "/v1/me", key=key).must(status(200))


@promise("api_keys.revoke", "POST /v1/api_keys/:id/revoke", _KEYS)
def _revoke(run: Run) -> None:
    """Revoking a key is 204; from then on the key is 401."""
    key, made = run.new_key("usage:read", name="REVOKED_KEY")
    run.post(f"/v1/api_keys/{made['id']}/revoke").must(status(204), empty)
    run("GET", "/v1/me", key=key).must(refused(401))


@promise("api_keys.listed", "GET /v1/api_keys", "§3")
def _listed(run: Run) -> None:
    """A new key is in the list."""
    id = run.spare_key["id"]
    it = run.get("/v1/api_keys", limit=100).must(status(200))
    found = next((item for item in it.items if item.get("id") == id), None)
    it.hold(found, f"a new key is not listed: {id}")
    wrong = KEY(found)
    it.hold(not wrong, f"a key in the list {wrong}")


# --- settings -------------------------------------------------------------------------------------------

_SETTINGS = '§2 "Organization and audit"'
_PATH = "/v1/organization/settings"


def _read(run: Run) -> Exchange:
    return run.get(_PATH).must(status(200), shaped(SETTINGS))


def _patch(run: Run, before: Json, **fields: object) -> Exchange:
    """Change settings; they change back at the end, should the server take them."""
    for name in fields:
        if before.get(name) is not None:
            run.undo(name, run.ask("PATCH", _PATH, {name: before[name]}))
    return run("PATCH", _PATH, fields)


@promise("settings", "GET /v1/organization/settings", _SETTINGS)
def _get(run: Run) -> None:
    """The settings of the organization are readable with any scope."""
    _read(run)
    if run.writes:
        run("GET", _PATH, key=run.poor_key).must(status(200), shaped(SETTINGS))


@promise("settings.update", "PATCH /v1/organization/settings", _SETTINGS)
def _update(run: Run) -> None:
    """A PATCH changes what it names, and nothing else."""
    before = _read(run).object
    wanted = {name: value for name, value in before.items() if name != "updated_at"}
    # One after the other: a server that takes a PATCH for a PUT loses the first.
    for name, value in (("default_price_per_file_cents", 77), ("auto_top_up_threshold_cents", 1234)):
        _patch(run, before, **{name: value}).must(status(200), shaped(SETTINGS))
        wanted[name] = value
        _read(run).must(same(wanted, *wanted))


@promise("settings.fields", "PATCH /v1/organization/settings", _SETTINGS)
def _top_up(run: Run) -> None:
    """An automatic top-up of another amount is 400, and `details` names the field."""
    field = "auto_top_up_amount_cents"
    _patch(run, _read(run).object, **{field: 1234}).must(refused(400, field=field))
