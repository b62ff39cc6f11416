"""A state in SQLite: every act is one transaction, on disk before any response."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import random
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import new_id
from firsthandapi_server.state.keeping import Condition, DamagedError, Growing, NotKeptError
from firsthandapi_server.state.ledger import Sums
from firsthandapi_server.state.limits import MemoryReplies, Slot, StoredResponse
from firsthandapi_server.state.model import Account, File, Job, Organization, Submission
from firsthandapi_server.state.state import MAX_DELIVERIES, Pending, State, StatusTally, Timekeeper
from firsthandapi_server.state.storage import Storage, StoredSource, Upload

from .damage import not_kept
from .reader import Reader
from .rows import All, ById, KeysByDigest, Rows
from .tables import TABLES, Owned, Table

if TYPE_CHECKING:
    from firsthandapi_server.state.ledger import Lot

T = TypeVar("T")

_log = logging.getLogger("firsthandapi.serve")
_RETRY_SECONDS = 10.0
# Names for uploads that are written down at once: one flush of the disk for all of them.
_NAMES_AHEAD = 16
_GONE = (
    "The first response to this Idempotency-Key showed a secret, and the server has started again since: what was "
    "asked for was done once, but nobody knows the secret any more; rotate the key or the secret for a new one."
)
_set: Callable[[Any, str, Any], None] = object.__setattr__


class Acts:
    """The lock of a state that is kept. Whoever lets go of it last has ended an act, which is kept or undone."""

    def __init__(self, keep: Callable[[], None], undo: Callable[[], None]) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._holder = 0
        self._keep = keep
        self._undo = undo

    def check(self) -> None:
        """Check that this thread is in an act: a change outside it would become part of another thread's.
        Raises RuntimeError: it is not.
        """
        if self._holder != threading.get_ident():
            raise RuntimeError("the state is changed without its lock")

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        self._holder = threading.get_ident()

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None:
        try:
            if self._depth == 1:
                if error is None:
                    self._keep()
                else:
                    self._undo()
        finally:
            self._depth -= 1
            if not self._depth:
                self._holder = 0
            self._lock.release()


class KeptState(State):
    """The state of one service, in rows. Objects are loaded when someone asks for them, and exist only once.

    An object that is kept has a class of its own, which notes every attribute that is set. So no rule can forget to
    write what it changed, and the same objects cost nothing where they stay in memory.

    Args:
        clock: the time.
        connection: to a database with the newest tables; this state closes it.
        reader: reads the same database; this state closes it.
        storage: where the bytes of files are.
        release: called at the end.

    Attributes:
        damage: what is damaged, once something was found; else None.
    """

    reads_aside = True

    def __init__(
        self,
        clock: Timekeeper,
        connection: sqlite3.Connection,
        reader: Reader,
        storage: Storage,
        release: Callable[[], None],
    ) -> None:
        self._rows = connection
        self._reader = reader
        self._release = release
        self._broken: str | None = None
        self.damage: str | None = None
        self._tables = {table.kind: table for table in TABLES.values()}
        self._classes: dict[type, type] = {}
        for table in TABLES.values():
            tracked = self._tracked(table)
            self._tables[tracked] = table
            self._classes[table.kind] = tracked
        self._known: dict[str, weakref.WeakValueDictionary[str, Any]] = {
            name: weakref.WeakValueDictionary() for name in TABLES
        }
        self._pinned: dict[Any, None] = {}
        # Of the current act, all in order:
        self._fresh: dict[Any, None] = {}  # objects without a row
        self._changed: dict[Any, set[str]] = {}  # attributes to write
        self._places: dict[Any, dict[str, Any]] = {}  # columns that say where in a list an object is
        self._grown: dict[Rows[Any], None] = {}
        self._replied: list[tuple[bytes, StoredResponse, float]] = []
        self._dropped: list[File] = []
        self._due: list[tuple[float, Callable[[float], object]]] = []
        self._soft: dict[Any, set[str]] = {}  # to be written with the next act
        self._aborted: list[str] = []  # aborted uploads, likewise
        # Names for uploads to come, which count as interrupted ones until they are owned.
        self._ahead: list[str] = []
        self._acts = 0
        super().__init__(clock, int(self._meta("seed")))
        self.url_secret = self._meta("url_secret")
        self.storage = storage
        self.lock = self._lock = Acts(self._keep, self._undo)
        self.organizations = Rows(self, TABLES["organizations"], Owned("organizations", None, "number"))
        self.keys = KeysByDigest(self, TABLES["keys"])
        self.jobs = self._jobs = ById[Job](self, TABLES["jobs"])
        self.submissions = ById(self, TABLES["submissions"])
        self.files = ById(
            self,
            TABLES["files"],
            lambda file: file.approved and not file.withdrawn,
            "approved AND NOT withdrawn",
        )
        self.appeals = ById(self, TABLES["appeals"])
        self.assignments = ById(self, TABLES["assignments"])
        self.events = ById(self, TABLES["events"])
        self.checkouts = ById(self, TABLES["checkouts"])
        owned = Owned("deliveries", None, "number", most=MAX_DELIVERIES)
        self.deliveries = Rows(self, TABLES["deliveries"], owned)
        self.replies = self
        self._with_secrets = MemoryReplies()

    # --- the state --------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that an act could be kept now. Raises NotKeptError: it could not."""
        with self.lock:
            for sql in ("BEGIN IMMEDIATE", "ROLLBACK"):
                self._safely(partial(self._rows.execute, sql))

    def changes(self) -> tuple[float, ...]:
        """How many acts were kept."""
        return (self._acts,)

    def forget(self) -> None:
        raise TypeError("a state that is kept is not reset: remove its folder")

    def later(self, when: float, action: Callable[[float], object]) -> None:
        """Do `action` at the time `when`, if the current act is kept."""
        self._lock.check()
        self._due.append((when, action))

    def upload(self, most: int) -> Upload:
        """Receive a file. A start after a crash removes it if no row owns it."""
        with self.lock:
            if not self._ahead:
                names = [new_id("blob_", self.clock.now()) for _ in range(_NAMES_AHEAD)]
                sql = "INSERT INTO loose SELECT value FROM json_each(?)"
                self._safely(lambda: self._rows.execute(sql, (json.dumps(names),)))
                self._ahead = names
            name = self._ahead.pop()
        return Upload(self.storage, name, most, self._discard)

    def drop(self, files: Iterable[File]) -> None:
        """Forget files that were replaced, and remove their bytes."""
        self._dropped += files

    def get(self, slot: Slot, now: float) -> StoredResponse | None:
        sql = "SELECT fingerprint, status, body, expires_at, kept FROM replies WHERE slot = ? AND expires_at > ?"
        rows = self.query(sql, _digest(slot), now)
        if not rows:
            return None
        *stored, form = rows[0]
        reply = StoredResponse(*stored) if form == "as it came" else self._with_secrets.get(slot, now)
        if reply is None:
            raise ApiError(409, "idempotency_error", _GONE)
        return reply

    def put(self, slot: Slot, stored: StoredResponse, now: float) -> None:
        """Keep a response, together with what the request has changed."""
        self._lock.check()
        if stored.has_secret:
            self._with_secrets.put(slot, stored, now)
        self._replied.append((_digest(slot), stored, now))

    def workers_of(self, job: Job) -> Collection[str]:
        sql = "SELECT worker_id FROM submissions WHERE job = ? GROUP BY worker_id ORDER BY min(position)"
        new = [row.worker_id for row in self.fresh(TABLES["submissions"]) if row.job is job]
        return dict.fromkeys([*(worker for (worker,) in self.query(sql, job.id)), *new])

    def submissions_of(self, job: Job, worker: str, most: int) -> Iterable[Submission]:
        sql = "SELECT id FROM submissions WHERE job = ? AND worker_id = ? ORDER BY position DESC LIMIT ?"
        return self._each("submissions", sql, job.id, worker, most)

    def jobs_before(self, job_id: str | None, is_terminal: bool | None = None) -> Iterator[Job]:
        jobs = self._jobs.values()
        if is_terminal is not None:
            where = f"status {'' if is_terminal else 'NOT '}IN ('completed', 'cancelled')"
            jobs = All[Job](self, TABLES["jobs"], lambda job: job.is_terminal == is_terminal, where)
        return reversed(jobs) if job_id is None else jobs.before(job_id)

    def find(
        self, items: Growing[Any], conditions: Sequence[Condition], before: int | None, most: int
    ) -> list[int]:
        return cast("Rows[Any]", items).find(conditions, before, most)

    def pick(self, items: Growing[T], indexes: Sequence[int]) -> list[T]:
        return cast("Rows[T]", items).pick(indexes)

    def tally(self, items: Growing[Submission], conditions: Sequence[Condition]) -> list[StatusTally]:
        return cast("Rows[Submission]", items).tally(conditions)

    def sums_of(self, account: Account) -> Sums:
        """What the books of an account must add up to: the rows, without loading them."""
        (booked,) = self.query(
            "SELECT coalesce(sum(amount_cents), 0) FROM transactions WHERE book = ?", account.id
        )[0]
        held, paid, least = self.query(
            "SELECT coalesce(sum(total - paid - refunded), 0), coalesce(sum(paid), 0), "
            "coalesce(min(total - paid - refunded), 0) FROM ("
            "SELECT json_extract(escrow, '$.total') AS total, json_extract(escrow, '$.paid') AS paid, "
            "json_extract(escrow, '$.refunded') AS refunded FROM jobs WHERE account = ?)",
            account.id,
        )[0]
        return Sums(booked, held, paid, least)

    def waiting(self, *, live: bool = True) -> Iterable[Submission]:
        sql = (
            "SELECT id FROM submissions WHERE status = 'pending_score' "
            "AND account IN (SELECT id FROM accounts WHERE environment = 'test' OR ?) ORDER BY position"
        )
        return self._each("submissions", sql, live)

    def retries(self, most: int) -> list[tuple[str, float]]:
        sql = (
            "SELECT id, scored_at FROM submissions WHERE status = 'retry_pending' "
            "AND account IN (SELECT id FROM accounts WHERE environment = 'live') ORDER BY scored_at LIMIT ?"
        )
        return [(id, scored_at) for id, scored_at in self.query(sql, most)]

    def same_as(self, file: File, most: int) -> Iterable[File]:
        if file.is_erased:
            return ()
        same = "json_extract(source, '$.sha256') = ? AND id <> ?"
        sql = f"SELECT id FROM files WHERE {same} ORDER BY position DESC LIMIT ?"
        return self._each("files", sql, file.facts().sha256, file.id, most)

    def deadlines(self) -> Iterable[tuple[str, float]]:
        sql = (
            "SELECT id, deadline FROM jobs "
            "WHERE deadline IS NOT NULL AND status NOT IN ('completed', 'cancelled') ORDER BY deadline"
        )
        return [(id, deadline) for id, deadline in self.query(sql)]

    def expiring_lots(self) -> Iterable[tuple[Account, Lot]]:
        """The credit that may expire: a refund may return to a lot that is empty now."""
        sql = (
            "SELECT book, id FROM lots WHERE expires_at IS NOT NULL AND (remaining > 0 OR expires_at > ?) "
            "ORDER BY expires_at"
        )
        return [
            (self.load(TABLES["accounts"], book), self.load(TABLES["lots"], id))
            for book, id in self.query(sql, self.clock.now())
        ]

    def pending_deliveries(self) -> Iterable[Pending]:
        sql = (
            "SELECT id, json_array_length(attempts), coalesce(json_extract(attempts, '$[#-1][0]'), 0) "
            "FROM deliveries WHERE status = 'pending' ORDER BY position"
        )
        deliveries = TABLES["deliveries"]
        return [
            Pending(partial(self.load, deliveries, key), attempts, last_at)
            for key, attempts, last_at in self.query(sql)
        ]

    def close(self) -> None:
        """Write what is left, and close the database."""
        with self.lock:
            with contextlib.suppress(NotKeptError):  # only when keys were used last is left
                self._keep(even_soft=True)
                self.query(
                    "DELETE FROM loose WHERE name IN (SELECT value FROM json_each(?))",
                    json.dumps(self._ahead),
                )
            self._broken = "the server has stopped"
            self._reader.close()
            self._rows.close()
            self._release()

    # --- loading --------------------------------------------------------------------------------------------

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._safely(lambda: self._rows.execute(sql, values).fetchall())
        return rows

    def read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds in what is kept. It needs no lock, and what the current act has changed is not in it."""
        rows: list[tuple[Any, ...]] = self._safely(lambda: self._reader.query(sql, *values))
        return rows

    def load_or_none(self, table: Table, id: str) -> Any | None:
        """The object with this id, or None."""
        item = self._known[table.name].get(id)
        if item is None:
            rows = self.query(f"SELECT {table.selected} FROM {table.name} WHERE id = ?", id)
            item = self.made(table, rows[0]) if rows else None
        return item

    def load(self, table: Table, id: str) -> Any:
        """The object with this id, which must exist."""
        item = self.load_or_none(table, id)
        if item is None:
            raise self._failed(DamagedError(f"{table.name} has no {id}"))
        return item

    def made(self, table: Table, row: tuple[Any, ...]) -> Any:
        """The object of a row; the one in memory if there is one."""
        try:
            return self._made(table, row)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._failed(DamagedError(f"{table.name} has a row that cannot be read")) from error

    def _made(self, table: Table, row: tuple[Any, ...]) -> Any:
        if table.is_fixed:
            return table.kind(**self._values(table, row))
        items = self._known[table.name]
        item = items.get(row[0])
        if item is None:
            item = cast("Any", object.__new__(self._classes[table.kind]))
            items[row[0]] = item  # first, since its references may lead back to it
            try:
                self._fill(table, item, row)
            except BaseException:
                del items[row[0]]
                raise
            if table.is_pinned:
                self._pinned[item] = None
        return item

    def _values(self, table: Table, row: tuple[Any, ...]) -> dict[str, Any]:
        return {
            name: column.read(self, value)
            for (name, column), value in zip(table.columns.items(), row, strict=True)
        }

    def _fill(self, table: Table, item: Any, row: tuple[Any, ...]) -> None:
        _set(item, "id", row[0])
        self._read(table, item, row)
        for name, owned in table.lists.items():
            _set(item, name, Rows(self, TABLES[owned.table], owned, item))
        if table.name == "organizations":
            sql = "SELECT environment, id FROM accounts WHERE organization = ? ORDER BY position"
            rows = self.query(sql, item.id)
            _set(item, "accounts", {name: self.load(TABLES["accounts"], id) for name, id in rows})
        elif table.name == "accounts":
            _set(item, "book", self.load(TABLES["books"], item.id))
        elif table.name == "jobs":
            seed = f"{item.seed}:{item.updated_at}"
            _set(item, "chance", random.Random(seed))  # noqa: S311 - a seed is the point
            _set(item, "listeners", [])
        elif table.name == "files":
            _set(item, "_facts", None)

    def _read(self, table: Table, item: Any, row: tuple[Any, ...]) -> None:
        for name, value in self._values(table, row).items():
            _set(item, name, value)
        if table.name == "books":
            sql = (
                "SELECT id FROM lots WHERE book = ? AND remaining > 0 "
                "ORDER BY expires_at IS NULL, expires_at, number"
            )
            _set(item, "lots", tuple(self._each("lots", sql, item.id)))

    def _each(self, name: str, sql: str, *values: Any) -> Iterator[Any]:
        return (self.load(TABLES[name], id) for (id,) in self.query(sql, *values))

    # --- noticing changes -----------------------------------------------------------------------------------

    def _tracked(self, table: Table) -> type:
        """The class of the objects of a table: it notes each attribute that is set and is kept."""
        if table.is_fixed:
            return table.kind

        columns, soft = table.columns, table.soft

        def set_attribute(item: Any, name: str, value: Any) -> None:
            _set(item, name, value)
            if name in soft:
                self._soft.setdefault(item, set()).add(name)
            elif name in columns:
                self._lock.check()
                self._changed.setdefault(item, set()).add(name)

        return type(table.kind.__name__, (table.kind,), {"__slots__": (), "__setattr__": set_attribute})

    def adopt(self, item: Any) -> None:
        """Keep an object from now on, with everything that belongs to it."""
        self._lock.check()
        kind: type[Any] = item.__class__
        table = self._tables[kind]
        if table.is_fixed:
            self._fresh[item] = None
            return
        if kind is not table.kind:
            return
        item.__class__ = self._classes[table.kind]
        self._known[table.name][item.id] = item
        if table.is_pinned:
            self._pinned[item] = None
        self._fresh[item] = None
        for name, owned in table.lists.items():
            elements = getattr(item, name)
            rows: Rows[Any] = Rows(self, TABLES[owned.table], owned, item)
            _set(item, name, rows)
            for element in elements:
                rows.append(element)
        if isinstance(item, Organization):
            for account in item.accounts.values():
                self.adopt(account)
        elif isinstance(item, Account):
            self.adopt(item.book)

    def appended(self, rows: Rows[Any], item: Any, number: int) -> None:
        """Note the place of an object in a list."""
        self.adopt(item)
        self._places.setdefault(item, {}).update({**rows.position, rows.number: number})
        self._grown[rows] = None

    def fresh(self, table: Table) -> list[Any]:
        """The objects of the current act that have no row yet."""
        return [item for item in self._fresh if self._tables[type(item)] is table]

    # --- the end of an act ----------------------------------------------------------------------------------

    def _safely(self, do: Callable[[], Any]) -> Any:
        if self._broken is not None:
            raise NotKeptError(self._broken)
        try:
            return do()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(not_kept(error)) from error

    def _failed(self, error: NotKeptError) -> NotKeptError:
        if isinstance(error, DamagedError) and self.damage is None:
            self.damage = str(error)
            _log.error("%s", error)
        return error

    def _keep(self, *, even_soft: bool = False) -> None:
        is_changed = self._fresh or self._changed or self._places or self._replied or self._dropped
        if not is_changed and not (even_soft and self._soft):
            self._schedule()
            return
        try:
            self._safely(self._transaction)
        except BaseException:
            self._undo()
            raise
        for rows in self._grown:
            rows.confirm()
        gone = [file.source for file in self._dropped]
        for file in self._dropped:
            self._known["files"].pop(file.id, None)
        self._clear()
        self._soft.clear()
        self._aborted.clear()
        self._acts += 1
        self._schedule()
        for source in gone:
            if isinstance(source, StoredSource):
                self._discard(source.name)

    def _schedule(self) -> None:
        due, self._due = self._due, []
        for when, action in due:
            self.clock.at(when, self._runner(action))

    def _runner(self, action: Callable[[float], object]) -> Callable[[float], None]:
        def run(at: float) -> None:
            try:
                with self.lock:
                    action(at)
            except DamagedError:
                pass  # a restart with the backup continues
            except NotKeptError as error:
                if self._broken is None:
                    _log.error("%s", error)
                    self.clock.at(self.clock.now() + _RETRY_SECONDS, run)

        return run

    def _transaction(self) -> None:
        self._store_contents()
        rows = self._rows
        rows.execute("BEGIN IMMEDIATE")
        try:
            for item, names in self._soft.items():
                if item not in self._fresh:
                    self._changed.setdefault(item, set()).update(names)
            written: set[Any] = set()
            # Writing an object may adopt others, such as the files of a submission.
            while todo := [
                item for item in (*self._fresh, *self._changed, *self._places) if item not in written
            ]:
                for item in dict.fromkeys(todo):
                    written.add(item)
                    self._write_row(item)
            for slot, stored, now in self._replied:
                rows.execute("DELETE FROM replies WHERE expires_at <= ?", (now,))
                rows.execute(
                    "REPLACE INTO replies (slot, fingerprint, status, body, expires_at, kept) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        slot,
                        stored.fingerprint,
                        stored.status,
                        b"" if stored.has_secret else stored.body,
                        stored.expires_at,
                        "memory" if stored.has_secret else "as it came",
                    ),
                )
            for file in self._dropped:
                rows.execute("DELETE FROM files WHERE id = ?", (file.id,))
                if isinstance(file.source, StoredSource):
                    rows.execute("INSERT OR IGNORE INTO loose VALUES (?)", (file.source.name,))
            rows.executemany("DELETE FROM loose WHERE name = ?", [(name,) for name in self._aborted])
            rows.execute("COMMIT")
        except BaseException:
            if rows.in_transaction:
                rows.execute("ROLLBACK")
            raise

    def _write_row(self, item: Any) -> None:
        table = self._tables[type(item)]
        is_fresh = item in self._fresh
        names = table.columns if is_fresh else self._changed.get(item, ())
        values = {name: table.columns[name].write(self, getattr(item, name)) for name in names}
        values.update(self._places.get(item, {}))
        if is_fresh:
            marks = ", ".join("?" * len(values))
            sql = f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({marks})"
            self._rows.execute(sql, tuple(values.values()))
        elif values:
            sets = ", ".join(f"{name} = ?" for name in values)
            self._rows.execute(f"UPDATE {table.name} SET {sets} WHERE id = ?", (*values.values(), item.id))
        if isinstance(item, File) and "source" in values:
            name = cast("StoredSource", item.source).name
            self._rows.execute("DELETE FROM loose WHERE name = ?", (name,))

    def _store_contents(self) -> None:
        """Store the bytes of files that are not in the storage yet, such as those of simulated workers."""
        for item in {**self._fresh, **self._changed}:
            if isinstance(item, Submission):
                for file in item.files:
                    self._store_content(file)

    def _store_content(self, file: File) -> None:
        if not isinstance(file.source, StoredSource):
            facts = file.facts()
            with self.upload(facts.size) as upload:
                for chunk in file.source.read(0, facts.size):
                    upload.write(chunk)
                file.source = upload.finish(
                    file.source.details(), width=facts.width, height=facts.height, duration=facts.duration
                )

    def _undo(self) -> None:
        """Reset everything in memory to the values of the rows."""
        for rows in self._grown:
            rows.shrink()
        fresh, changed = self._fresh, self._changed
        self._clear()
        self._due.clear()
        for item in fresh:
            table = self._tables[type(item)]
            if not table.is_fixed:
                self._known[table.name].pop(item.id, None)
                self._pinned.pop(item, None)
        try:
            for item in changed:
                if item not in fresh:
                    table = self._tables[type(item)]
                    sql = f"SELECT {table.selected} FROM {table.name} WHERE id = ?"
                    self._read(table, item, self.query(sql, item.id)[0])
        except NotKeptError as error:
            self._broken = f"it could not be read after a failure ({error}); restart the server"

    def _clear(self) -> None:
        self._fresh = {}
        self._changed = {}
        self._places = {}
        self._grown = {}
        self._replied = []
        self._dropped = []

    def _discard(self, name: str) -> None:
        try:
            self.storage.remove(name)
        except Exception:  # the next start tries again
            _log.exception("could not remove %s from the storage", name)
        else:
            self._aborted.append(name)

    # --- small things that stay -----------------------------------------------------------------------------

    def _meta(self, name: str) -> Any:
        return self.query("SELECT value FROM meta WHERE name = ?", name)[0][0]


def _digest(slot: Slot) -> bytes:
    return hashlib.sha256("\n".join(slot).encode("utf-8", "surrogatepass")).digest()
