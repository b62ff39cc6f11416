"""The tests of the contract again, over a server that keeps its state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from firsthandapi.server.rules.world import World
from firsthandapi.server.sqlite import open_world
from firsthandapi.server.state.state import Timekeeper
from server import test_accounts, test_contract_table, test_deliveries, test_files

pytestmark = pytest.mark.slow

for module in (test_accounts, test_contract_table, test_deliveries, test_files):
    fixtures = {
        name: each for name, each in vars(module).items() if hasattr(each, "_fixture_function_marker")
    }
    tests = {name: each for name, each in vars(module).items() if name.startswith("test_")}
    globals().update({**fixtures, **tests})


@pytest.fixture(autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers keep their state, each in a folder of its own."""
    opened: list[World] = []

    def opening(clock: Timekeeper, *, seed: int) -> World:
        folder: Path = tmp_path_factory.mktemp("kept")
        opened.append(open_world(folder, clock, seed=seed))
        return opened[-1]

    monkeypatch.setattr("firsthandapi.testing._mock.World", opening)
    yield
    for world in opened:
        world.close()
