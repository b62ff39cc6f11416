"""The identity of the API key, and calls that this version has no method for. Reached through the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from firsthandapi._async.calls import Calls
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.calls.spend import check_spend
from firsthandapi.types.identity import Identity
from firsthandapi.types.options import PostOptions, RequestOptions
from firsthandapi.types.signup import Signup, SignupParams

_API_KEY = (
    "api_key",
    "organization",
    "and its API key is shown only once; if the same call does not show it, ask support for a new one",
)


class AccountCalls(Calls):
    """The methods of the client itself, which documents them."""

    async def me(self, **options: Unpack[RequestOptions]) -> Identity:
        return await self._get(Identity, "/v1/me", **options)

    async def signup(self, *, name: str, email: str, **options: Unpack[PostOptions]) -> Signup:
        params = arguments.check(SignupParams, {"name": name, "email": email})
        return await self._write(Signup, "POST", "/v1/auth/signup", params, _API_KEY, **options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any,
        params: Mapping[str, Any] | None,
        idempotency_key: str | None,
        timeout: float | None,
        extra_headers: Mapping[str, str] | None,
    ) -> ApiResponse:
        request = build_request(
            method.upper() if isinstance(method, str) else method,
            path,
            body=None if json is None else arguments.json_bytes(json, "json"),
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=params,
            query_field="params",
        )
        if request.method == "POST" and request.path == "/v1/jobs" and isinstance(json, Mapping):
            # The spend limit applies however a job is posted.
            files, price = json.get("files_needed"), json.get("price_per_file_cents")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] # it is JSON
            check_spend(files, price, self._transport.config.max_spend_cents, field="json")
        response, content = await self._transport.send(request)
        return replace(response, content=content.reveal())
