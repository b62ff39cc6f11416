"""Who a key belongs to (contract §3 "Identity")."""

from __future__ import annotations

from typing import Any

from ._base import Items, Model
from .enums import OpenEnvironment, OpenScope


class Identity(Model):
    """Who the client's key belongs to (contract §3 "Identity").

    Attributes:
        object: not checked.
        organization_id: `org_` and a ULID.
        environment: `live` or `test`.
        scopes: what the key may do.
    """

    object: Any = None
    organization_id: str | None = None
    environment: OpenEnvironment | None = None
    scopes: Items[OpenScope] | None = None
