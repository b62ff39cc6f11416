"""API keys: their secrets, rotation, and revocation."""

from __future__ import annotations

from typing import get_args

from firsthandapi.conformance._checks import empty, refused, shaped, status, succeeded
from firsthandapi.conformance._exchange import Credential, DiffersError, NotTriedError
from firsthandapi.conformance._promises import promise
from firsthandapi.conformance._run import Run
from firsthandapi.conformance._shapes import IDENTITY, KEY, NEW_KEY
from firsthandapi.types import enums

_CREATE, _LIST, _ROTATE, _REVOKE = (
    "POST /v1/api_keys",
    "GET /v1/api_keys",
    "POST /v1/api_keys/:id/rotate",
    "POST /v1/api_keys/:id/revoke",
)
_KEYS = '§2 "API keys"'


def _body(run: Run) -> dict[str, object]:
    return {
        "name": "Conformance check",
        "scopes": ["jobs:read", "usage:read"],
        "environment": "test" if run.is_sandbox else "live",
    }


@promise(
    "api_keys.create",
    _CREATE,
    _KEYS,
    "A new key has a secret with the prefix of its environment, which works, with its scopes.",
    writes=True,
)
def _create(run: Run) -> None:
    body = _body(run)
    it = run("POST", "/v1/api_keys", body).must(succeeded, shaped(NEW_KEY))
    if not it.object["secret"].startswith("fh_test_" if run.is_sandbox else "fh_live_"):
        raise DiffersError(f"the secret of a {body['environment']} key has another prefix", it)
    me = run("GET", "/v1/me", key=Credential(it.object["secret"], "NEW_KEY")).must(
        status(200), shaped(IDENTITY)
    )
    if sorted(me.object["scopes"]) != body["scopes"]:
        raise DiffersError(f"the new key has the scopes {', '.join(me.object['scopes'])}", me)


@promise(
    "api_keys.create.all_scopes",
    _CREATE,
    "§2",
    "A key created without scopes has all of them.",
    writes=True,
)
def _all_scopes(run: Run) -> None:
    body = {name: value for name, value in _body(run).items() if name != "scopes"}
    it = run("POST", "/v1/api_keys", body).must(succeeded, shaped(NEW_KEY))
    me = run("GET", "/v1/me", key=Credential(it.object["secret"], "NEW_KEY")).must(
        status(200), shaped(IDENTITY)
    )
    lacking = {*get_args(enums.Scope)} - {*me.object["scopes"]}
    if lacking:
        raise DiffersError(f"the new key lacks {', '.join(sorted(lacking))}", me)


@promise(
    "api_keys.create.fields",
    _CREATE,
    _KEYS,
    "A key without a name, or with an unknown scope, is 400, and `details` names the field.",
    writes=True,
)
def _fields(run: Run) -> None:
    body = _body(run)
    run("POST", "/v1/api_keys", {**body, "name": None}).must(refused(400, field="name"))
    run("POST", "/v1/api_keys", {**body, "scopes": ["everything"]}).must(refused(400, field="scopes"))
    run("POST", "/v1/api_keys", {**body, "environment": "staging"}).must(refused(400, field="environment"))


@promise("api_keys.sandbox", _CREATE, _KEYS, "A sandbox key creates no live key.", writes=True, ours=True)
def _no_live(run: Run) -> None:
    if not run.is_sandbox:
        raise NotTriedError("it is about sandbox keys")
    run("POST", "/v1/api_keys", {"name": "Conformance check", "environment": "live"}).must(refused(403))


@promise("api_keys.masked", _LIST, _KEYS, "The list shows no secret.")
def _masked(run: Run) -> None:
    secrets = [run.key.secret]
    if run.writes:
        secrets.append(run.poor_key.secret)
    it = run("GET", "/v1/api_keys", query={"limit": 100}).must(status(200))
    for item in it.items:
        if item.get("secret") is not None:
            raise DiffersError(f"{item.get('id')} has a `secret`", it)
    if any(secret is not None and secret.encode() in it.body for secret in secrets):
        raise DiffersError("a secret is in the body", it)


@promise(
    "api_keys.rotate",
    _ROTATE,
    _KEYS,
    "A rotation makes a new secret; the old one works for 24 hours more.",
    writes=True,
)
def _rotate(run: Run) -> None:
    old, made = run.new_key("usage:read", name="OLD_KEY")
    it = run("POST", f"/v1/api_keys/{made['id']}/rotate").must(succeeded, shaped(NEW_KEY))
    if it.object["secret"] == old.secret:
        raise DiffersError("the secret is the old one", it)
    run("GET", "/v1/me", key=Credential(it.object["secret"], "NEW_KEY")).must(status(200))
    run("GET", "/v1/me", key=old).must(status(200))


@promise(
    "api_keys.revoke", _REVOKE, _KEYS, "Revoking a key is 204; from then on the key is 401.", writes=True
)
def _revoke(run: Run) -> None:
    key, made = run.new_key("usage:read", name="REVOKED_KEY")
    run("POST", f"/v1/api_keys/{made['id']}/revoke").must(status(204), empty)
    run("GET", "/v1/me", key=key).must(refused(401))


@promise("api_keys.listed", _LIST, "§3", "A new key is in the list.", writes=True)
def _listed(run: Run) -> None:
    id = run.spare_key["id"]
    it = run("GET", "/v1/api_keys", query={"limit": 100}).must(status(200))
    found = [item for item in it.items if item.get("id") == id]
    if not found:
        raise DiffersError(f"{id} is not listed", it)
    if wrong := KEY(found[0]):
        raise DiffersError(f"{id} {wrong}", it)
