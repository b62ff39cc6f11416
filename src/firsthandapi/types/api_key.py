"""API keys (contract §3 "ApiKey")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ._base import Items, Model, Params, UtcDatetime
from .enums import Environment, KeyScope, OpenEnvironment, OpenScope
from .page import ListParams


class ApiKey(Model):
    """An API key (contract §3 "ApiKey").

    Attributes:
        object: not checked.
        id: `key_` and a ULID.
        name: your label for the key.
        scopes: the scopes that the key has.
        environment: `live` or `test`.
        secret: the key itself; on `create` and `rotate` only. Store it immediately.
        masked_key: the key, most of it hidden.
        created_at: when it was created.
        last_used_at: when the key was last used.
        expires_at: when it stops working; 24 hours after a rotation for the old one.
        revoked_at: when it was revoked.
    """

    object: Any = None
    id: str
    name: str | None = None
    scopes: Items[OpenScope] | None = None
    environment: OpenEnvironment | None = None
    secret: str | None = None
    masked_key: str | None = None
    created_at: UtcDatetime | None = None
    last_used_at: UtcDatetime | None = None
    expires_at: UtcDatetime | None = None
    revoked_at: UtcDatetime | None = None


class ApiKeyCreateParams(Params):
    """The arguments of `api_keys.create`."""

    name: str = Field(min_length=1, description="a str that is not empty")
    # An empty list is refused: to the service no scopes means all of them, which nobody means by `[]`.
    scopes: list[KeyScope] | None = Field(
        default=None,
        min_length=1,
        description="a list of at least one of jobs:read, jobs:write, webhooks:read, webhooks:write, "
        "keys:manage, audit:read, usage:read, billing:read, billing:write; left out, it is all of them",
    )
    environment: Environment | None = Field(default=None, description="'live' or 'test'")


class ApiKeyListParams(ListParams):
    """The arguments of `api_keys.list`."""
