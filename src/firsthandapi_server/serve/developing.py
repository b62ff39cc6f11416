"""The operators' page for developers: the API keys of the programs that post jobs and fetch files."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from firsthandapi_server.console.face import PREFIX, Form, Page, PageError, existing
from firsthandapi_server.state.model import SCOPES

from .access import MAX_NAME
from .reception import KEYS, Reception


class Developing:
    """The page `/console/keys`; those beside it are the console's."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._world = reception.world
        self.pages: dict[str, Page] = {KEYS: self._show}
        self.forms: dict[str, Form] = {KEYS: self._create, f"{KEYS}/{{id}}/revoke": self._revoke}

    def _show(self, request: Request, new_key: tuple[str, str, str] | None = None) -> Response:
        # A secret is shown only once, so the page must not reload itself.
        live: dict[str, Any] = {} if new_key is None else {"live": None}
        with self._world.lock:
            keys = [key for key in self._world.state.own.organization.keys if key.revoked_at is None]
            return self._reception.page(
                request,
                "keys.html",
                section=f"{PREFIX}{KEYS}",
                keys=keys,
                made=new_key,
                most_name=MAX_NAME,
                **live,
            )

    def _create(self, request: Request, fields: dict[str, str]) -> Response:
        environment, name = fields.get("environment"), fields.get("name", "")
        if environment not in ("live", "test") or not 1 <= len(name) <= MAX_NAME:
            raise PageError(400, f"Choose live or test, and a name of 1 to {MAX_NAME} characters.")
        with self._world.lock:
            account = self._world.state.own.organization.accounts[environment]
            now = self._world.clock.now()
            key = self._world.accounts.create_key(account, name, SCOPES, self._reception.who(request), now)
            secret = key.secret
        return self._show(request, (f"The API key {name}", secret, ""))

    def _revoke(self, request: Request, fields: dict[str, str]) -> Response | str:
        where = f"{PREFIX}{KEYS}"
        with self._world.lock:
            keys = self._world.state.own.organization.keys
            key = existing(next((key for key in keys if key.id == request.path_params["id"]), None))
            if "confirm" not in fields:
                return self._reception.ask_to_revoke(request, where, "the API key", key.name)
            self._world.accounts.revoke_key(key, self._reception.who(request), self._world.clock.now())
        return f"{where}?done=revoked"
