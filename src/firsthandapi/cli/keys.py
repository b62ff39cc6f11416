"""`firsthandapi keys`."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi.errors import ConfigurationError
from firsthandapi.types.enums import Environment, KeyScope

from . import is_for_a_person
from .choices import Scopes, complete_several, several, words
from .options import Limit, argument, option
from .output import SAVE_IT, Output, command, fitting, joined, many, moment, note, one
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import ApiKey

app: typer.Typer = group("Create, rotate, and revoke API keys.")

KeyId = Annotated[str, argument("KEY_ID", "Id of the key, key_…, not the key itself.")]


@command(app)
def create(
    api: FirstHandClient,
    name: Annotated[str, option("NAME", "Name of the key.")],
    scopes: Annotated[
        Scopes | None,
        option(
            "SCOPES",
            f"Scopes, joined by commas; by default, all: {words(KeyScope)}.",
            callback=several(KeyScope),
            autocompletion=complete_several(KeyScope),
        ),
    ] = None,
    environment: Annotated[
        Environment | None, option("ENVIRONMENT", "Environment: live, or test, which is the sandbox.")
    ] = None,
) -> Output:
    """Create an API key, which is shown only once.

    Example: firsthandapi keys create --name ci --scopes jobs:read

    In a script, read the key from the JSON:

      firsthandapi keys create --name ci --json | jq -r .secret
    """
    return _new(api.api_keys.create(name=name, scopes=scopes, environment=environment))


@command(app, "list")
def list_keys(api: FirstHandClient, limit: Limit = 100) -> Output:
    """List API keys, masked, newest first.

    Example: firsthandapi keys list
    """
    return many(
        api.api_keys.list(limit=min(limit, 100)),
        limit,
        ("id", "name", "key", "last used", "scopes"),
        lambda key: (
            key.id,
            key.name,
            key.masked_key,
            key.last_used_at and f"{key.last_used_at:%Y-%m-%d}",
            joined(
                "none: revoked" if key.revoked_at else ", ".join(key.scopes or ()),
                key.expires_at and f"expires {moment(key.expires_at)}",
            ),
        ),
    )


@command(app)
def rotate(api: FirstHandClient, key_id: KeyId) -> Output:
    """Replace an API key by a new one, which is shown only once.

    The old key works for another 24 hours.

    Example: firsthandapi keys rotate key_01JD…
    """
    return _new(api.api_keys.rotate(key_id))


@command(app)
def revoke(
    api: FirstHandClient,
    key_id: KeyId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Revoke it without asking.")] = False,
) -> None:
    """Revoke an API key immediately and permanently.

    If it is, or may be, the key in FIRSTHAND_API_KEY, the command asks first.

    Example: firsthandapi keys revoke key_01JD…
    """
    if not yes and _may_be_in_use(api, key_id):
        question = f"{key_id} is, or may be, the key in FIRSTHAND_API_KEY."
        if not is_for_a_person(sys.stdin):
            raise ConfigurationError(f"{question} Nothing was revoked; pass --yes to revoke it anyway")
        typer.confirm(f"{question} Revoke it?", abort=True, err=True)
    api.api_keys.revoke(key_id)
    note(f"Revoked {key_id}.")


def _may_be_in_use(api: FirstHandClient, key_id: str) -> bool:
    """Whether the masked key matches the key in use. The service does not say which key is in use."""
    ours = os.environ.get("FIRSTHAND_API_KEY", "")
    for key in map(fitting, api.api_keys.list()):
        if key.id == key_id and key.masked_key:
            # A mask shows the start of a key, and most masks also show its end.
            match = re.fullmatch(r"(\w*)\W(?:.*\W)?(\w*)", key.masked_key, re.DOTALL | re.ASCII)
            return match is None or (ours.startswith(match[1]) and ours.endswith(match[2]))
        if key.id == key_id:
            return True
    return False


def _new(key: ApiKey) -> Output:
    return one(
        key,
        lambda key: (
            ("id", key.id),
            ("name", key.name),
            ("environment", key.environment),
            ("scopes", ", ".join(key.scopes or ()) or None),
            ("secret", key.secret),
        ),
        advice=SAVE_IT,
    )
