"""The bundled server, with deviations: each changes requests on their way in, or responses on their way out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from contract.receiver import Delivery, Receiver
from firsthandapi.testing import MockServer

ROOT = Path(__file__).resolve().parents[2]


class Outcomes:
    """What came of each promise, by the name of its test without `test_`, and the words of those that failed."""

    def __init__(self) -> None:
        self.tests: dict[str, str] = {}  # their ids
        self.of: dict[str, str] = {}
        self.words: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.tests = {name_of(item.nodeid): f"{ROOT}/{item.nodeid}" for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = name_of(report.nodeid)
        if report.when == "call" or not report.passed:
            self.of[name] = (
                report.outcome if report.when == "call" or report.skipped else f"{report.when} failed"
            )
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self.words[name] = reason.removeprefix("Skipped: ")

    def all(self, outcome: str) -> set[str]:
        """The promises of which this came."""
        return {name for name, result in self.of.items() if result == outcome}


# The promises to try, and the address and the API key of the server that is to keep them.
Turn = tuple[list[str], str, str]


class Turns(Outcomes):
    """What came of several runs in turn. To set pytest up and to collect takes longer than to try a promise."""

    def __init__(self, turns: Iterator[Turn]) -> None:
        super().__init__()
        self._turns = turns
        self.of_each: list[dict[str, str]] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {name_of(item.nodeid): item for item in session.items}
        for names, url, key in self._turns:
            session.config.option.url, os.environ["FIRSTHAND_API_KEY"] = url, key
            self.of = {}
            # Without a next one, the fixtures of the session end as well.
            for item, then in pairwise([*(items[name] for name in names), None]):
                assert item is not None
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=then)
            self.of_each.append(self.of)
        return True


def name_of(nodeid: str) -> str:
    return nodeid.partition("::")[2].removeprefix("test_")


def in_turn(turns: Iterator[Turn]) -> list[dict[str, str]]:
    """What came of each promise in each of several runs, as of one."""
    outcomes = Turns(turns)
    run(outcomes, "--patience=1.5", url="http://127.0.0.1", key="none")
    return outcomes.of_each


def tried(*arguments: str, url: str = "", key: str = "", code: int | None = None) -> Outcomes:
    """What came of a run of `contract/`, in this process and with nothing of it kept."""
    outcomes = Outcomes()
    run(outcomes, *arguments, url=url, key=key, code=code)
    return outcomes


def run(outcomes: Outcomes, *arguments: str, url: str, key: str, code: int | None = None) -> None:
    """A run of `contract/`, whose outcomes are noted."""
    environment = {"FIRSTHAND_API_KEY": key, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    plugins = (
        "cacheprovider",
        "unraisableexception",
        "threadexception",
        "faulthandler",
        "doctest",
        "junitxml",
    )
    options = ["-q", "-s", "--assert=plain", *(f"-pno:{name}" for name in plugins), f"--rootdir={ROOT}"]
    where = [] if any("::" in argument for argument in arguments) else [str(ROOT / "contract")]
    with patch.dict(os.environ, environment):
        ended = pytest.main(
            [*where, *arguments, f"--url={url}", *options, f"-c{ROOT / 'pyproject.toml'}"], plugins=[outcomes]
        )
    assert code in (None, ended)


@dataclass
class Passing:
    """A request, and the response to it once it is there."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    sent: bytes = b""
    status: int = 0
    reply: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    notes: dict[str, Any] = field(default_factory=dict)

    def at(self, method: str, path: str) -> bool:
        """Whether it is a request for this endpoint; `*` is any method, and `:id` any id."""
        pattern, segments = path.split("/"), self.path.split("/")
        return (
            method in ("*", self.method)
            and len(pattern) == len(segments)
            and all(part in (":id", segment) for part, segment in zip(pattern, segments, strict=True))
        )

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def say(self, value: Any, status: int | None = None) -> Passing:
        """Respond with this JSON instead."""
        self.body = json.dumps(value).encode()
        self.status = status or self.status
        self.reply["content-type"] = "application/json"
        return self


@dataclass
class Deviation:
    """What a server does otherwise: with requests, with responses, and with deliveries."""

    ask: Callable[[Passing], object] = lambda _: None
    tell: Callable[[Passing], object] = lambda _: None
    deliver: Callable[[Delivery], Delivery | None] | None = None


class Deviating(MockServer):
    """The bundled server, which deviates as told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"speed": 0, "workers": False, **options})
        self.deviation = Deviation()
        self._front = _Between(self._front, self)

    @contextmanager
    def deviating(self, deviation: Deviation) -> Iterator[None]:
        """For a while."""
        take, change = Receiver.take, deviation.deliver

        def changed(receiver: Receiver, delivery: Delivery) -> None:
            replacement = delivery if change is None else change(delivery)
            if replacement is not None:
                take(receiver, replacement)

        self.deviation = deviation
        try:
            with patch.object(Receiver, "take", changed):
                yield
        finally:
            self.deviation = Deviation()

    def telling(self, change: Callable[[Passing], object]) -> AbstractContextManager[None]:
        """With other responses, for a while."""
        return self.deviating(Deviation(tell=change))


class _Between:
    def __init__(self, inner: Any, server: Deviating) -> None:
        self._inner = inner
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/_control"):
            await self._inner(scope, receive, send)
            return
        deviation = self._server.deviation
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message.get("more_body"):
                break
        passing = Passing(scope["method"], scope["path"], scope["query_string"].decode(), headers, body)
        deviation.ask(passing)
        if "content-length" in headers:
            headers["content-length"] = str(len(passing.sent))
        bodies = [{"type": "http.request", "body": passing.sent, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def read() -> Any:
            return bodies.pop() if bodies else await receive()

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
        await self._inner(changed, read, keep)
        if not sent:
            return
        passing.status = sent[0]["status"]
        passing.reply = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        passing.body = b"".join(message.get("body", b"") for message in sent[1:])
        deviation.tell(passing)
        passing.reply["content-length"] = str(len(passing.body))
        if passing.status in (204, 304):
            del passing.reply["content-length"]
        raw = [(name.encode(), value.encode("latin-1")) for name, value in passing.reply.items()]
        await send({"type": "http.response.start", "status": passing.status, "headers": raw})
        await send({"type": "http.response.body", "body": passing.body})
