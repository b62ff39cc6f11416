"""The log of what a server received."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SECRET = re.compile(r"(fh_(?:live|test)_|whsec_|X-Amz-Signature=)[^&,\s'\"]+")


@dataclass(frozen=True, slots=True, repr=False)
class ReceivedRequest:
    """One request as it came.

    Attributes:
        method: such as `POST`.
        path: such as `/v1/jobs`, without the query.
        query: the query's parameters; of one that came several times, the last.
        query_string: the query as it came.
        headers: names in lower case.
        body: the raw body.
        time: when it came, in real Unix seconds.
        status: the answer's; None while the request is held, or when it was dropped.
    """

    method: str
    path: str
    query: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    time: float
    status: int | None = None

    def __repr__(self) -> str:
        query = f"?{self.query_string}" if self.query_string else ""
        key = self.headers.get("authorization", "no key")
        about = f"{self.status or 'no answer'}, {key}, {len(self.body)} bytes"
        text = f"<{self.method} {self.path}{query} [{about}]>"
        return _SECRET.sub(r"\1…", text)
