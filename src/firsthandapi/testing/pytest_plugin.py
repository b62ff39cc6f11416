"""The pytest plugin: the fixtures `firsthand_server`, `firsthand_client`, and `firsthand_async_client`, the mark
`firsthand`, and a guard that keeps live API keys inside tests.

It is loaded in every pytest run of an environment that has this package, so it imports nothing heavy until used.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from firsthandapi._base.network.interception import CALLING, interceptor

if TYPE_CHECKING:
    from firsthandapi import AsyncFirstHandClient, FirstHandClient
    from firsthandapi.testing import MockServer

_OUTCOME = pytest.StashKey[str]()
_SERVER = pytest.StashKey[Any]()
_PROBLEMS = pytest.StashKey[list[str]]()


# ── Options: the mark, and the configuration ─────────────────────────────────────────────────────────────


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("1", "yes", "true", "on", "0", "no", "false", "off"):
        raise ValueError(f"expected true or false, not {text!r}")
    return word in ("1", "yes", "true", "on")


def _faults(text: str) -> Any:
    """A JSON array of faults, or an object per line."""
    text = text.strip()
    return json.loads(text if text.startswith("[") else f"[{','.join(filter(None, text.splitlines()))}]")


# By name: the type for pytest, what reads it from a text, the default, and the help.
_OPTIONS: dict[str, tuple[Any, Callable[[str], Any], Any, str]] = {
    "speed": (
        "float",
        float,
        0.0,
        "virtual seconds per real second; at 0 only waits and clock.advance move time",
    ),
    "seed": ("int", int, 0, "decides the files and the ratings of the simulated workers"),
    "workers": ("bool", _boolean, True, "whether simulated workers do the jobs"),
    "faults": ("linelist", _faults, (), "faults to add, as JSON: the arguments of faults.add"),
    "live": ("bool", _boolean, False, "whether a test may send a live API key beyond this machine"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    typed = pytest.version_tuple >= (8, 4)
    for name, (kind, *_, text) in _OPTIONS.items():
        ini_type = kind if typed or kind in ("bool", "linelist") else None
        parser.addini(f"firsthand_{name}", f"firsthand_server: {text}", type=ini_type, default=None)
        # Where another plugin has this name, a plain text leaves it as it was.
        parser.addini(name, f"the same as firsthand_{name}, if no other plugin uses it")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "firsthand(speed=0, seed=0, workers=True, faults=(), live=False): how firsthand_server runs, and whether the "
        "test may send a live API key beyond this machine",
    )
    CALLING[:] = [_refuse_live]


def _configured(config: pytest.Config) -> dict[str, Any]:
    """The options by the configuration: those of a fixture that is wider than a test."""
    options: dict[str, Any] = {}
    for name, (_, read, default, _) in _OPTIONS.items():
        options[name] = default
        value: Any = config.getini(f"firsthand_{name}")
        if value is None:
            with contextlib.suppress(ValueError, pytest.UsageError):  # it may be another plugin's
                options[name] = read(config.getini(name) or "?")
            continue
        text: Any = "\n".join(cast("list[str]", value)) if isinstance(value, list) else value
        try:
            options[name] = read(text) if isinstance(text, str) else text
        except ValueError as error:
            raise pytest.UsageError(f"firsthand_{name} in the configuration of pytest: {error}") from None
    return options


def _options(node: pytest.Item) -> dict[str, Any]:
    """The options of a test: those of the closest mark, one by one, or of the configuration."""
    options = _configured(node.config)
    for mark in reversed([*node.iter_markers("firsthand")]):
        unknown = [*mark.kwargs.keys() - _OPTIONS.keys(), *map(repr, mark.args)]
        if unknown:
            names = ", ".join(f"{name}=" for name in _OPTIONS)
            pytest.fail(f"@pytest.mark.firsthand has no argument {unknown[0]}; it has {names}", pytrace=False)
        options |= mark.kwargs
    for name in ("workers", "live"):  # a text such as "no" would be true
        if not isinstance(options[name], bool):
            pytest.fail(f"@pytest.mark.firsthand: {name} must be True or False", pytrace=False)
    faults: Any = options["faults"]
    try:
        # A single one may stand without its list.
        options["faults"] = [dict(faults)] if hasattr(faults, "keys") else [dict(fault) for fault in faults]
    except (TypeError, ValueError):
        words = 'firsthand: faults must be dicts, such as faults=[{"path": "/v1/jobs", "drop": "after"}]'
        pytest.fail(words, pytrace=False)
    return options


# ── The guard ────────────────────────────────────────────────────────────────────────────────────────────


class _Guard:
    """Whether live keys may leave this machine now; None while no test runs."""

    live: bool | None = None

    @classmethod
    @contextlib.contextmanager
    def at(cls, live: bool | None) -> Generator[None]:
        previous, cls.live = cls.live, live
        try:
            yield
        finally:
            cls.live = previous


def _refuse_live(transport: Any) -> None:
    """Raises ConfigurationError: a test sends a live API key to another machine."""
    config, http_client = transport.config, transport.shared.http_client
    if _Guard.live is not False or config.environment != "live":
        return
    from firsthandapi._base.host.loopback import is_loopback
    from firsthandapi._base.network.lending import uses_network
    from firsthandapi.errors import ConfigurationError

    if is_loopback(config.origin.host) or interceptor() is not None:
        return
    if http_client is None or uses_network(http_client):
        raise ConfigurationError(
            f"a test may not send a live API key to {config.origin.host}: it may spend money; use firsthand_client or "
            "a key of the sandbox, or mark the test @pytest.mark.firsthand(live=True)"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    with _Guard.at(False):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    _Guard.live = bool(_options(item)["live"])


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    if fixturedef.scope == "function":
        return (yield)
    with _Guard.at(bool(_configured(request.config)["live"])):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_OUTCOME] = report.outcome
    server = item.stash.get(_SERVER, None)
    if report.failed and server is not None:
        problems = item.stash.setdefault(_PROBLEMS, [])
        problems.append(report.longreprtext)
        vars(report)["firsthandapi_trace"] = _write_trace(item, server, "\n\n".join(problems))
    return report


def _write_trace(item: pytest.Item, server: MockServer, problem: str) -> str | None:
    """Write what happened on the server of a failed test; the path, or None if it cannot be written."""
    name = re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")[-150:]
    folder = item.config.rootpath / ".firsthandapi-traces"
    try:
        page = server.trace(item.nodeid, problem)
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        (folder / f"{name}.html").write_text(page, encoding="utf-8", errors="replace")
    except (OSError, ModuleNotFoundError):  # a disk that cannot be written, or no Jinja2
        return None
    return str(folder / f"{name}.html")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("failed", "error") for report in terminalreporter.getreports(kind)]
    traces = dict.fromkeys(getattr(report, "firsthandapi_trace", None) for report in reports)
    for path in filter(None, traces):
        terminalreporter.write_line(f"firsthandapi trace: {path}")


# ── The fixtures ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def firsthand_server(request: pytest.FixtureRequest) -> Iterator[MockServer]:
    """A fresh bundled server, with simulated workers, whose clock moves only by waiting: by `clock.advance`, and by the
    waits of clients, which take no real time. `@pytest.mark.firsthand` has its options.

    At the end, its books are checked, and a fault that never fired is an error.
    """
    from firsthandapi.testing import MockServer

    from ._waits import moving

    node: Any = request.node
    options = _options(node)
    with MockServer(speed=options["speed"], seed=options["seed"], workers=options["workers"]) as server:
        server.follow_waits()
        node.stash[_SERVER] = server
        for fault in options["faults"]:
            server.faults.add(**fault)
        with moving(int(server.url.rpartition(":")[2]), server.clock):
            yield server
    problem = ""
    try:
        server.check_books()
        if node.stash.get(_OUTCOME, "") != "skipped":
            server.faults.check_fired()
    except AssertionError as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture
def firsthand_client(firsthand_server: MockServer) -> Iterator[FirstHandClient]:
    """A client of `firsthand_server`, with its live key. Its waits move the server's clock."""
    with firsthand_server.client() as client:
        yield client


@pytest.fixture
def firsthand_async_client(firsthand_server: MockServer) -> Iterator[AsyncFirstHandClient]:
    """An async client of `firsthand_server`, with its live key, for tests on any event loop. Its waits move the
    server's clock."""
    import asyncio

    client = firsthand_server.async_client()
    yield client
    # The loop of the test has ended, or belongs to a plugin; what is left to close needs none in particular.
    asyncio.run(client.close())
