"""Methods by which all calls are made: turn checked arguments into a request, and a response into a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from inspect import isfunction
from typing import TYPE_CHECKING, Any, TypeVar

from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._base.habits import Led
from firsthandapi._base.methods import public
from firsthandapi._base.tracing import call_span
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.decode import DecodedPage, decode, decode_page, decode_with
from firsthandapi._core.calls.pages import LARGEST_PAGE
from firsthandapi._core.calls.request import Request, build_request
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.types.options import RequestOptions

if TYPE_CHECKING:
    from firsthandapi._async.transport import Transport
    from firsthandapi.types._base import Model, Params
    from firsthandapi.types.page import ListParams

    M = TypeVar("M", bound=Model)


class Calls:
    """What makes calls, by these methods."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _span(self, name: str, job_id: str | None = None) -> AbstractContextManager[None]:
        """A span around a call of many requests."""
        return call_span(self._transport.config.tracing, name, job_id)

    def _ends(self, timeout: float | None) -> float | None:
        """The time by the transport's clock at which a call with this `timeout` ends; None for no limit."""
        return None if timeout is None else self._transport.clock.monotonic() + timeout

    # For the `**options` of a method, editors on Jedi offer the keyword parameters of these methods: of the first one
    # that it calls, so `_write` lists them too.
    async def _get(
        self,
        model: type[M],
        path: str,
        params: Params | None = None,
        wait: int | None = None,
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> M:
        options = RequestOptions(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        query = () if params is None else arguments.query(params)
        return await self._read(model, build_request("GET", path, query=query, wait=wait, **options))

    async def _read(self, model: type[M], request: Request) -> M:
        return await self._transport.read(request, partial(decode, model))

    async def _write(
        self,
        model: type[M],
        method: str,
        path: str,
        params: Params | None = None,
        shown_once: tuple[str, str, str] | None = None,
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> M:
        """`shown_once`: what `decode_with` needs, if no other response shows a field of this one."""
        request = self._request(
            method,
            path,
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
            idempotency_key=idempotency_key,
        )
        if shown_once is None:
            return await self._transport.read(request, partial(decode, model))
        return await self._transport.read(request, partial(decode_with, model, *shown_once))

    def _request(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Request:
        options = RequestOptions(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        # A POST without fields has no body, which the service accepts.
        has_body = params is not None or extra_body is not None
        body = arguments.body(params, extra_body) if has_body else None
        return build_request(method, path, body=body, idempotency_key=idempotency_key, **options)

    def _list(
        self,
        model: type[M],
        path: str,
        params: ListParams,
        find: Callable[[], Any] | None = None,
        keep: Callable[[M], bool] | None = None,
        /,
        *,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
    ) -> AsyncPageRequest[M]:
        """A list. `find` returns the path at the time of the request; `keep` filters the items."""
        # Report invalid arguments immediately, not at the first request.
        options = RequestOptions(timeout=timeout, extra_headers=extra_headers, extra_query=extra_query)
        build_request("GET", path, **options)
        extra_query = extra_query or {}
        filters = dict(arguments.query(params))
        start = filters.pop("cursor", None)
        if "limit" not in extra_query:
            filters.setdefault("limit", str(LARGEST_PAGE))
        # A cursor in extra_query would return the same page forever.
        later: RequestOptions = {
            **options,
            "extra_query": {name: value for name, value in extra_query.items() if name != "cursor"},
        }

        async def fetch(cursor: str | None) -> tuple[DecodedPage[M], ApiResponse]:
            where = path if find is None else await find()
            if cursor is None:
                request = build_request("GET", where, query=filters.items(), **options)
            else:
                query = {**filters, "cursor": cursor}.items()
                request = build_request("GET", where, query=query, **later)
            response, content = await self._transport.send(request)
            page = decode_page(model, content, response)
            return page if keep is None else page._replace(data=list(filter(keep, page.data))), response

        return AsyncPageRequest(fetch, start)


class Resource(Calls, Led):
    """One group of endpoints, as users reach it from a client. `public` wraps each of its public methods."""

    def __init_subclass__(cls) -> None:
        for name, member in list(vars(cls).items()):
            if isfunction(member) and not name.startswith("_"):
                setattr(cls, name, public(member))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._transport!r}>"
