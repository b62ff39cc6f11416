"""Reads beside the acts: they see what is kept, wait for nobody, and nobody waits for them."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from firsthandapi_server.sqlite import DATABASE, open_world
from firsthandapi_server.sqlite.reader import Reader
from firsthandapi_server.state.keeping import Condition, NotKeptError

from .support import HandClock, kept


def test_what_is_kept_is_read_during_an_act(tmp_path: Path) -> None:
    """Another thread looks something up while an act holds the lock; its changes are seen once they are kept."""
    world = open_world(tmp_path, HandClock())

    def look() -> tuple[int, list[int]]:
        with ThreadPoolExecutor(1) as thread:
            names = thread.submit(kept(world).read, "SELECT name FROM organizations").result(9)
            keys = thread.submit(world.state.find, account.organization.keys, [condition], None, 9).result(9)
            return len(names), keys

    with world.lock:
        owner = world.accounts.create_organization("One", "a@b.example", free_tier=False, at=1.0)
    account, condition = owner.key.account, Condition("name", "=", "Other")
    with world.lock:
        world.accounts.create_organization("Two", "a@b.example", free_tier=False, at=2.0)
        world.accounts.create_key(account, "Other", (), "system", 2.0)
        assert look() == (1, [])
    assert look() == (2, [1])
    world.close()
    with pytest.raises(NotKeptError, match="stopped"):
        kept(world).read("SELECT 1")


def test_it_writes_nothing_and_lets_go(tmp_path: Path) -> None:
    """A connection is used again, whatever a query does, and closed at the end."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as rows, rows:
        rows.execute("CREATE TABLE things (name)")
    reader = Reader(tmp_path / DATABASE)
    for sql in ("INSERT INTO things VALUES ('one')", "SELECT * FROM nowhere"):
        with pytest.raises(sqlite3.OperationalError):
            reader.query(sql)
    assert reader.query("SELECT * FROM things") == []
    (connection,) = reader._idle
    reader.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
