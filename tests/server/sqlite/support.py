"""What the tests of a state that is kept share: a clock, a comparison, and worlds to compare."""

from __future__ import annotations

import heapq
import itertools
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from firsthandapi_server.contract.bodies import JobBody
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import FILES
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.reader import Reader
from firsthandapi_server.sqlite.tables import TABLES, Table
from firsthandapi_server.state import model
from firsthandapi_server.state.state import State
from firsthandapi_server.state.storage import LocalStorage
from server.conftest import JOB

START = 1_790_000_000.0


class HandClock:
    """Time that moves by hand."""

    speed = 1.0

    def __init__(self, now: float = START) -> None:
        self._now = now
        self._order = itertools.count()
        self.due: list[tuple[float, int, Callable[[float], None]]] = []

    def now(self) -> float:
        """The time."""
        return self._now

    def at(self, when: float, callback: Callable[[float], None]) -> None:
        """Call back at a time."""
        heapq.heappush(self.due, (when, next(self._order), callback))

    def real_seconds(self, virtual: float) -> float:
        """As long."""
        return virtual

    def advance(self, seconds: float) -> None:
        """Move on, with all that falls due."""
        target = self._now + seconds
        while self.due and self.due[0][0] <= target:
            when, _, callback = heapq.heappop(self.due)
            self._now = max(self._now, when)
            callback(self._now)
        self._now = target


class Reviewer:
    """Scores nothing by itself, and notes what waits."""

    def __init__(self) -> None:
        self.waiting: list[model.Submission] = []

    def submitted(self, submission: model.Submission, _at: float) -> bool:
        """A submission waits."""
        self.waiting.append(submission)
        return True


class Dice:
    """The random numbers of ids, the same for two worlds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.roll("start")
        monkeypatch.setattr("firsthandapi_server.contract.text.secrets", self)

    def roll(self, seed: object) -> None:
        """Start again from a seed."""
        self._random = random.Random(str(seed))

    def randbits(self, bits: int) -> int:
        """As `secrets` has it."""
        return self._random.getrandbits(bits)

    def token_hex(self, count: int) -> str:
        """As `secrets` has it."""
        return f"{self.randbits(8 * count):0{2 * count}x}"


def fields_of(**changes: Any) -> dict[str, Any]:
    """The fields of a job, as a request brings them."""
    fields: dict[str, Any] = JobBody.model_validate({**JOB, **changes}).model_dump()
    fields.pop("deadline")
    return fields


_BY_KIND = {table.kind: table for table in TABLES.values()}


def _table_of(item: object) -> Table | None:
    return next((_BY_KIND[kind] for kind in type(item).__mro__ if kind in _BY_KIND), None)


def picture(state: State, alive: list[Any] | None = None) -> dict[str, Any]:
    """Everything in a state, as plain values: equal for two states that are the same.

    Args:
        state: the state.
        alive: takes every object, so that none is loaded a second time.
    """
    rows: dict[str, Any] = {}

    def value(item: Any) -> Any:
        if item is None or isinstance(item, (str, int, float)):
            return item
        table = _table_of(item)
        if table is not None:
            key = f"{table.name} {item.id}"
            if key not in rows:
                rows[key] = row = {}
                if alive is not None:
                    alive.append(item)
                for name in table.columns:
                    row[name] = value(getattr(item, name))
                for name in table.lists:
                    row[name] = [value(part) for part in getattr(item, name)]
                if isinstance(item, model.Organization):
                    row["accounts"] = {name: value(account) for name, account in item.accounts.items()}
                if isinstance(item, model.Account):
                    row["book"] = value(item.book)
                    row["lots"] = [value(lot) for lot in item.book.lots]
                if isinstance(item, model.File):
                    row["source"] = (value(item.facts()), value(item.source.details()))
            return key
        if isinstance(item, Mapping):
            return {name: value(part) for name, part in item.items()}
        if isinstance(item, (tuple, list)):
            return [value(part) for part in item]
        if is_dataclass(item) and not hasattr(item, "read"):
            return {field.name: value(getattr(item, field.name)) for field in fields(item)}
        return None if hasattr(item, "read") else item

    for name in ("keys", "jobs", "submissions", "events", "checkouts"):
        rows[name] = [value(item) for item in getattr(state, name).values()]
    # In memory they are in order of approval, in rows in order of arrival: nothing asks for the order.
    rows["files"] = sorted(value(file) for file in state.files.values())
    rows["organizations"] = [value(organization) for organization in state.organizations]
    rows["deliveries"] = [value(delivery) for delivery in state.deliveries]
    return rows


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Where two pictures differ, in few words."""
    lines: list[str] = []
    for key in {**first, **second}:
        if first.get(key) != second.get(key):
            first_value, second_value = first.get(key), second.get(key)
            if isinstance(first_value, dict) and isinstance(second_value, dict):
                lines += [
                    f"{key} {name}: {first_value.get(name)!r}, {second_value.get(name)!r}"
                    for name in {**first_value, **second_value}
                    if first_value.get(name) != second_value.get(name)
                ]
            else:
                lines.append(f"{key}: {first_value!r}, {second_value!r}")
    return lines


def kept(world: World) -> KeptState:
    """The state of a world that is kept."""
    assert isinstance(world.state, KeptState)
    return world.state


def copied(world: World, folder: Path) -> World:
    """A world of its own over a copy of the rows, as a start after `kill -9` would find them."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with closing(sqlite3.connect(folder / "state.db")) as rows:
        rows.backup(copy)
    clock = HandClock(world.clock.now())
    return World(
        clock,
        state=KeptState(clock, copy, Reader(folder / "state.db"), LocalStorage(folder / FILES), lambda: None),
    )


class FullDisk:
    """The rows of a world whose disk takes no more: a statement of the next transaction fails."""

    def __init__(self, world: World, statement: str) -> None:
        self._state = kept(world)
        self._statement = statement
        self._rows = self._state._rows
        self.failed = False

    def __enter__(self) -> FullDisk:
        self._state._rows = self  # type: ignore[assignment] # as much of a connection as the state uses
        return self

    def __exit__(self, *_: object) -> None:
        self._state._rows = self._rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rows, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Fail, or execute."""
        if sql.startswith(self._statement):
            self.failed = True
            raise sqlite3.OperationalError("database or disk is full")
        return self._rows.execute(sql, *values)
