"""The requests of a check, and the removal of what they create."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from firsthandapi._base.counts import dollars
from firsthandapi._base.loose_json import members
from firsthandapi._base.masking import Secret

from ._exchange import Asked, Credential, DiffersError, Exchange, NotTriedError, OutOfTimeError
from ._wire import MAX_DOWNLOAD, Wire
from ._witness import rules

# The most that the jobs of a check hold in escrow at any time with a live key, in US cents.
MAX_HELD_CENTS = 500
# Seconds for a wait that a server asks for, and for removing what was created.
_LONGEST_PAUSE = 65.0
_CLEANING = 100.0
NO_KEY = Credential(None)
# How to remove what a POST to one of these paths has created, and what it is then.
_REMOVAL = {
    "jobs": ("POST", "/cancel", "cancelled"),
    "api_keys": ("POST", "/revoke", "revoked"),
    "webhook_endpoints": ("DELETE", "", "deleted"),
}
# How the paths of what creates something end.
_CREATING = (*_REMOVAL, "rotate")


@dataclass(frozen=True)
class _Made:
    words: str  # what is left if it cannot be removed
    remove: Asked
    cents: int = 0


class Requests:
    """The requests of a check of one server with one key.

    Attributes:
        patience: seconds for a response that is not held.
        base: the address of the server.
        key: the key of the check.
        writes: whether more than reading is allowed.
        is_sandbox: whether the key is a sandbox key.
        broken: by the id of a promise about every response, the first one that breaks it.
        shared: what promises share so far, or why it cannot be had, by what creates it.
        own: the ids of what the promise that is tried has created for itself.
        stack: what ends with the check.
    """

    patience = 10.0

    def __init__(
        self, wire: Wire, base: str, key: Secret[str], *, write: bool, timeout: float, stack: ExitStack
    ) -> None:
        self._wire = wire
        self.stack = stack
        self._ends = time.monotonic() + timeout
        self.base = base
        self.key = Credential(key.reveal())
        self.is_sandbox = key.reveal().startswith("fh_test_")
        self.writes = write or self.is_sandbox
        self._rules = rules()
        self.broken: dict[str, DiffersError] = {}
        self.shared: dict[object, Any] = {}
        self.own: set[str] = set()
        # By id, what has to be removed again, and why it could not be.
        self._made: dict[str, _Made] = {}
        self._failed: dict[str, str] = {}
        self._is_cleaning = False

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        key: Credential | None = None,
        once: str | None = "",
    ) -> Asked:
        """A request that is not sent yet: with the key of the check, and a new idempotency key for a POST; to /_control
        without either."""
        is_control = path.startswith("/_control")
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"] = "application/json"
        if method == "POST" and once is not None and not is_control:
            sent["Idempotency-Key"] = once or str(uuid.uuid4())
        url = self.base + path + (f"?{urlencode(query)}" if query else "")
        return Asked(method, url, sent, body, NO_KEY if is_control else key or self.key)

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Exchange:
        """Send a request; the arguments are those of `ask`."""
        return self.send(self.ask(method, path, body, **options))

    def get(self, path: str, **query: Any) -> Exchange:
        return self("GET", path, query=query)

    def post(self, path: str, body: Any = None, **options: Any) -> Exchange:
        return self("POST", path, body, **options)

    def send(self, asked: Asked, held: float = 0.0) -> Exchange:
        """Send a request. If the rate limit refuses it, wait as long as told, and send it once more.
        Raises NoResponseError: no complete response came in time: within `patience`, and `held` seconds more.
        Raises NotTriedError: it would write with a live key that may only read, or hold too much credit.
        """
        self._allow(asked)
        it = self._sent(asked, held)
        pause = it.headers.get("retry-after", "")
        if it.status == 429 and asked.credential is self.key and pause.isdecimal():
            self._sleep(min(float(pause), _LONGEST_PAUSE))
            it = self._sent(asked, held)
        return it

    def begin(self, asked: Asked, held: float = 0.0) -> Future[Exchange]:
        """Send a request, and continue before its response, which the caller notes if it may have created something."""
        self._allow(asked)
        return self._wire.begin(asked, self.patience + held)

    def download(self, url: str, **headers: str) -> Exchange:
        """Request a signed URL, without the key."""
        return self._wire.send(Asked("GET", url, headers, None, NO_KEY, "DOWNLOAD_URL"), 60.0, MAX_DOWNLOAD)

    def hold(self, holds: object, came: str) -> None:
        """Raise a DiffersError with `came`, unless something holds that no single response shows."""
        if not holds:
            raise DiffersError(came)

    @property
    def seconds_left(self) -> float:
        """How much of the time of the check is left."""
        return self._ends - time.monotonic()

    def _sent(self, asked: Asked, held: float) -> Exchange:
        if self.seconds_left < 0:
            raise OutOfTimeError
        once = asked.headers.get("Idempotency-Key", "")
        if once and not self._is_cleaning:
            # Until a response tells, also if Ctrl-C comes first: sent again, it tells what was created.
            words = f"{asked.method} {urlsplit(asked.url).path}: its outcome is unknown"
            self._made[once] = _Made(words, asked, _cost(asked.body))
        it = self._wire.send(asked, self.patience + held)
        self.note(it)
        # What a 500 hides, or a body that nobody can read, may have been created.
        is_known = 400 <= it.status < 500 or (it.ok and isinstance(it.object.get("id"), str))
        if is_known or not asked.url.endswith(_CREATING):
            self._made.pop(once, None)
        return it

    def _sleep(self, seconds: float) -> None:
        if seconds > self.seconds_left:
            raise OutOfTimeError
        time.sleep(seconds)

    def _allow(self, asked: Asked) -> None:
        if asked.method == "GET" or self._is_cleaning:
            return
        if not self.writes:
            raise NotTriedError("a live key only reads, unless told to write")
        is_order = asked.method == "POST" and asked.url == f"{self.base}/v1/jobs"
        if not is_order or asked.credential is not self.key or self.is_sandbox:
            return
        if sum(each.cents for each in self._made.values()) + _cost(asked.body) > MAX_HELD_CENTS:
            raise NotTriedError(f"with a live key, a check holds at most {dollars(MAX_HELD_CENTS)}")

    # --- removing what was created ----------------------------------------------------------------------

    def note(self, it: Exchange) -> None:
        """Look at a response, and remember what has to be removed again, created by intention or not."""
        method, path = it.asked.method, urlsplit(it.asked.url).path.removeprefix(urlsplit(self.base).path)
        if not path.startswith("/v1/"):
            return
        for promise, rule in self._rules.items():
            if promise not in self.broken and (came := rule(it)):
                self.broken[promise] = DiffersError(came, it)
        id = it.object.get("id")
        match (method, *path.split("/")[2:]) if it.ok else ():
            case ("POST", kind) | ("POST", kind, _, "rotate") if kind in _REMOVAL and isinstance(id, str):
                self.will_remove(kind, id, it.asked)
            case ("POST", _, gone, "cancel" | "revoke") | ("DELETE", _, gone):
                self._made.pop(gone, None)
            case _:
                pass

    def will_remove(self, kind: str, id: str, by: Asked | None = None) -> None:
        """Remember what has to be removed again, and the request that created it, if it was one of ours."""
        method, action, done = _REMOVAL[kind]
        key = by.credential if by and kind == "jobs" else None
        remove = self.ask(method, f"/v1/{kind}/{id}{action}", key=key)
        self._made[id] = _Made(f"{id}: not {done}", remove, _cost(by.body) if by else 0)
        self.own.add(id)

    def has_made(self, id: str) -> bool:
        """Whether this check created something, and has not removed it yet."""
        return id in self._made

    def undo(self, what: str, asked: Asked) -> None:
        """Send a request at the end, however the check ends: it restores what is about to change.
        Raises NotTriedError: the check may not write.
        """
        self._allow(asked)
        self._made[what] = _Made(f"{what}: not restored", asked)

    def tidy(self) -> None:
        """Remove what a promise created for itself; what fails is tried again at the end."""
        for id in [id for id in self._made if id in self.own]:
            with suppress(DiffersError):
                self._remove(id)

    def _remove(self, id: str) -> None:
        it = self.send(self._made[id].remove)
        self.hold(
            id != it.asked.headers.get("Idempotency-Key") or id not in self._made,
            f"{it.status} without an id",
        )
        # A finished job, or one that is not known any more, needs no removing; nor does what was refused just now.
        it.hold(id not in self._made or it.ok or it.status in (404, 409), it.excerpt)
        self._made.pop(id, None)

    def clean(self) -> None:
        """Remove all that was created, the newest first; what could not be removed is `left`."""
        self._ends, self._is_cleaning = time.monotonic() + _CLEANING, True
        # What was created by a request whose outcome was unknown comes up on the way.
        while id := next((each for each in reversed(self._made) if each not in self._failed), None):
            try:
                self._remove(id)
            except DiffersError as error:
                self._failed[id] = error.came
            except OutOfTimeError:
                self._failed[id] = "no time was left"

    @property
    def left(self) -> tuple[str, ...]:
        """What was created and is not removed, in words, the newest first."""
        words = (
            f"{made.words} ({self._failed.get(id, 'its removal was stopped')})"
            for id, made in reversed(self._made.items())
        )
        return tuple(dict.fromkeys(words))


def _cost(body: Any) -> int:
    found = members(body)
    count, price = found.get("files_needed"), found.get("price_per_file_cents")
    return max(count * price, 0) if isinstance(count, int) and isinstance(price, int) else 0
