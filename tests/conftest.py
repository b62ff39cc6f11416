"""What every test shares: a clean environment, servers, and a way to make both clients."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import second_try
from client.support import Connect
from firsthandapi.testing import MockServer

# The gate sees the same examples each time, and busy cores break no rule. `make fuzz` looks for new ones.
BUSY = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "test",
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=BUSY,
)
settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")),
    deadline=None,
    suppress_health_check=BUSY,
    print_blob=True,
)
settings.load_profile("test")


def pytest_configure(config: pytest.Config) -> None:
    """A shell that starts us in the background has Ctrl-C ignored; the programs that are tested would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # One of them that does not end can say where it stands: processes.py.
    os.environ["PYTHONFAULTHANDLER"] = "1"
    # The threads of numpy wait by running: on few cores, beside other tests, they cost more than they bring.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with contextlib.suppress(ImportError):
        from xdist.workermanage import NodeManager

        # A worker that still writes what coverage has measured is not killed for that.
        NodeManager.EXIT_TIMEOUT = 120
    second_try.pytest_configure(config)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For the slow tests alone no file is imported that has none: that takes each worker longer than the rest."""
    if config.option.markexpr == "slow" and collection_path.name.startswith("test_"):
        return "slow" not in collection_path.read_text(encoding="utf-8") or None
    return None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that is collected stays to the end: to look for garbage in it takes a quarter of the collection's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


# Their tests take seconds each: they run programs, or wait.
LONG = (
    *("docs/test_documents.py", "console/test_site.py"),
    *("examples/", "base/host/test_windows.py", "pipelines/", "engines/fleet/"),
    *("contract/test_contract.py", "core/orders/test_ordering.py"),
    *("cli/test_listen.py", "cli/test_progress.py", "dataset/test_following.py", "dataset/test_crashes.py"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests begin each worker's part, which is an equal stretch of all: none works alone in the end."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.nodeid.removeprefix("tests/").startswith(LONG)]
    rest = [item for item in items if not item.nodeid.removeprefix("tests/").startswith(LONG)]
    size = len(items) / workers
    parts = [long[number::workers] for number in range(workers)]
    for number, part in enumerate(parts):
        room = round(size * (number + 1)) - round(size * number) - len(part)
        part += rest[: max(room, 0)]
        del rest[: max(room, 0)]
    items[:] = [item for part in parts for item in part] + rest


# They show what other tests test, in some hundred programs: to measure those too takes a minute.
SHOWN = ("docs/", "examples/", "compat/", "notebook/", "pipelines/")


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address or proxy of the machine reaches a test."""
    if request.node.nodeid.removeprefix("tests/").startswith(SHOWN):
        for name in (name for name in tuple(os.environ) if name.startswith("COVERAGE_PROCESS_")):
            monkeypatch.delenv(name)
    for name in (
        *("FIRSTHAND_API_KEY", "FIRSTHAND_BASE_URL", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients; a test that takes it runs once with each kind."""
    connection = Connect(request.param)
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[MockServer]:
    """One server for tests that leave no fault and look at nothing but their own objects."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        server.organization_rate_limit = None
        yield server


@pytest.fixture
def fresh_server() -> Iterator[MockServer]:
    """A server of one's own, whose time stands still and whose workers are driven by hand."""
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = None
        yield server
    server.check_books()
