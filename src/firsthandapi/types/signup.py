"""A new organization (contract §2 "Account")."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ._base import Model, Params


class Signup(Model):
    """A new organization (contract §2 "Account").

    Attributes:
        object: not checked.
        organization_id: `org_` and a ULID.
        api_key: a live API key, shown only once. Store it immediately.
        credits_cents: the free credits, in US cents.
    """

    object: Any = None
    organization_id: str | None = None
    api_key: str | None = None
    credits_cents: int | None = None


class SignupParams(Params):
    """The arguments of `FirstHandClient.signup`."""

    name: str = Field(min_length=1, description="a str that is not empty")
    email: str = Field(min_length=1, description="a str that is not empty")
