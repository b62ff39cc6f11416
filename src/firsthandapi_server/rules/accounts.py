"""Organizations and their API keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from firsthandapi_server.contract.bodies import SettingsPatch
from firsthandapi_server.contract.errors import conflict
from firsthandapi_server.contract.text import mask, new_id, new_secret
from firsthandapi_server.state.model import SCOPES, Account, Key, Organization
from firsthandapi_server.state.state import DAY, State

from .credits import Credits
from .events import Events

FREE_TIER_JOBS = 1
FREE_TIER_CENTS = 250
OWN_CENTS = 100_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was created now, and its secret, which only its creator ever sees."""

    key: Key
    secret: str


def digest(secret: str) -> str:
    """The hash by which an unguessable secret is recognized."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Accounts:
    """Creates organizations; creates, checks, rotates, and revokes keys."""

    def __init__(self, state: State, events: Events, credits: Credits) -> None:
        self._state = state
        self._events = events
        self._credits = credits

    def create_organization(
        self,
        name: str,
        email: str,
        *,
        free_tier: bool,
        at: float,
        cents: int | None = None,
        secret: str | None = None,
    ) -> NewKey:
        """A new organization; returns its live key. Its sandbox account gets as much play money."""
        organization = Organization(new_id("org_", at), name, email, FREE_TIER_JOBS if free_tier else None)
        organization.accounts = {
            environment: Account(organization, environment, settings=SettingsPatch().model_dump())
            for environment in ("live", "test")
        }
        self._state.organizations.append(organization)
        for account in organization.accounts.values():
            if free_tier:
                self._credits.grant(account, FREE_TIER_CENTS if cents is None else cents, at, "free_tier")
            elif cents is None or cents:
                amount = OWN_CENTS if cents is None else cents
                account.book.credit("purchase", amount, at, "Credit purchase", None)
        return self.create_key(organization.accounts["live"], "Default key", SCOPES, "system", at, secret)

    def create_key(
        self,
        account: Account,
        name: str,
        scopes: tuple[str, ...],
        actor: str,
        at: float,
        secret: str | None = None,
    ) -> NewKey:
        """A new API key, with a secret that nobody can guess unless one is given."""
        secret = secret or new_secret(f"fh_{account.environment}_own_")
        key = Key(new_id("key_", at), account, digest(secret), mask(secret), name, scopes, at)
        account.organization.keys.append(key)
        self._state.keys[key.digest] = key
        self._audit_key("api_key.created", key, actor, at, {"name": name})
        return NewKey(key, secret)

    def authenticate(self, secret: str, at: float) -> Key | None:
        """The key behind a bearer token, if it is good now."""
        key = self._state.keys.get(digest(secret))
        if key is None or not self.is_good(key, at):
            return None
        key.last_used_at = at
        return key

    def is_good(self, key: Key, at: float) -> bool:
        """Neither revoked nor past the overlap of a rotation."""
        return key.revoked_at is None and (key.expires_at is None or at < key.expires_at)

    def rotate_key(self, key: Key, actor: str, at: float) -> NewKey:
        """A new key in place of `key`, which works for a day more."""
        if key.expires_at is not None or not self.is_good(key, at):
            raise conflict(
                "This key is revoked, or was rotated before: list the API keys to find a working one."
            )
        key.expires_at = at + DAY
        fresh = self.create_key(key.account, key.name, key.scopes, actor, at)
        self._audit_key("api_key.rotated", fresh.key, actor, at, {"rotated_from": key.id})
        return fresh

    def revoke_key(self, key: Key, actor: str, at: float) -> None:
        """Make a key useless; doing it again changes nothing."""
        if key.revoked_at is None:
            key.revoked_at = at
            self._audit_key("api_key.revoked", key, actor, at, {})

    def _audit_key(self, type: str, key: Key, actor: str, at: float, data: dict[str, Any]) -> None:
        # A live key also manages the sandbox's keys: both audit trails show that.
        acting = next((entry for entry in key.account.organization.keys if entry.id == actor), key)
        for account in dict.fromkeys((key.account, acting.account)):
            self._events.audit(account, type, at, actor, {"api_key_id": key.id, **data})
