"""Who one is, and calls that this version has no method for. Reached through the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from firsthandapi._async.calls import Body, Headers, Query, Resource
from firsthandapi._core import arguments
from firsthandapi._core.request import build_request
from firsthandapi._core.response import ApiResponse
from firsthandapi._core.spend import check_spend
from firsthandapi.types.identity import Identity
from firsthandapi.types.signup import Signup, SignupCreate


class Account(Resource):
    """The methods of the client itself; they are documented there."""

    async def me(
        self, *, timeout: float | None, extra_headers: Headers | None, extra_query: Query | None
    ) -> Identity:
        return await self._get(
            Identity, "/v1/me", timeout=timeout, extra_headers=extra_headers, extra_query=extra_query
        )

    async def signup(
        self,
        *,
        name: str,
        email: str,
        idempotency_key: str | None,
        timeout: float | None,
        extra_headers: Headers | None,
        extra_query: Query | None,
        extra_body: Body | None,
    ) -> Signup:
        return await self._write(
            Signup,
            "POST",
            "/v1/auth/signup",
            arguments.check(SignupCreate, {"name": name, "email": email}),
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any,
        params: Mapping[str, Any] | None,
        idempotency_key: str | None,
        timeout: float | None,
        extra_headers: Headers | None,
    ) -> ApiResponse:
        request = build_request(
            method.upper() if isinstance(method, str) else method,
            path,
            body=None if json is None else arguments.json_bytes(json, "json"),
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=params,
        )
        if request.method == "POST" and request.path == "/v1/jobs" and isinstance(json, Mapping):
            # A job is a job, whichever way it is posted.
            files, price = json.get("files_needed"), json.get("price_per_file_cents")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] # it is JSON
            check_spend(files, price, self._transport.config.max_spend_cents, field="json")
        response, content = await self._transport.send(request)
        return replace(response, content=content.reveal())
