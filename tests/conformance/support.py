"""The bundled server, with deviations: each changes requests on their way in, or responses on their way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from firsthandapi.testing import MockServer


@dataclass
class Passing:
    """A request, and the response to it once it is there."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int = 0
    reply: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def at(self, method: str, path: str) -> bool:
        """Whether it is a request for this endpoint; `:id` is any id."""
        wanted, found = path.split("/"), self.path.split("/")
        return (
            self.method == method
            and len(wanted) == len(found)
            and all(part in (":id", other) for part, other in zip(wanted, found, strict=True))
        )

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def say(self, value: Any, status: int | None = None) -> None:
        """Respond with this JSON instead."""
        self.body = json.dumps(value).encode()
        self.status = status or self.status
        self.reply["content-type"] = "application/json"


@dataclass
class Deviation:
    """What a server does otherwise."""

    ask: Callable[[Passing], object] = lambda _: None
    tell: Callable[[Passing], object] = lambda _: None


class Deviating(MockServer):
    """The bundled server, which deviates as told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"speed": 0, "workers": False, **options})
        self.deviation = Deviation()
        self._front = _Between(self._front, self)


class _Between:
    def __init__(self, inner: Any, server: Deviating) -> None:
        self._inner = inner
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/_control") or scope["path"] == "/openapi.json":
            await self._inner(scope, receive, send)
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        passing = Passing(scope["method"], scope["path"], scope["query_string"].decode(), headers)
        self._server.deviation.ask(passing)
        sent: list[dict[str, Any]] = []

        async def keep(message: dict[str, Any]) -> None:
            sent.append(message)

        changed = {
            **scope,
            "method": passing.method,
            "path": passing.path,
            "raw_path": passing.path.encode(),
            "query_string": passing.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in passing.headers.items()],
        }
        await self._inner(changed, receive, keep)
        if not sent:
            return
        passing.status = sent[0]["status"]
        passing.reply = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        passing.body = b"".join(message.get("body", b"") for message in sent[1:])
        self._server.deviation.tell(passing)
        passing.reply["content-length"] = str(len(passing.body))
        if passing.status in (204, 304):
            del passing.reply["content-length"]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in passing.reply.items()]
        await send({"type": "http.response.start", "status": passing.status, "headers": raw})
        await send({"type": "http.response.body", "body": passing.body})
