"""Who may see which pages: tokens with a role, and the sessions of browsers that signed in with one.

Tokens have their own database, so that `firsthandapi server tokens` can create and revoke them while a server runs. It
contains only hashes. A token has 128 random bits, so nobody can guess it from a plain hash. A cookie contains a random
session name and no signed data, so a session ends everywhere when its owner signs out or its token is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from firsthandapi_server.contract.text import new_id
from firsthandapi_server.sqlite import (
    create_for_owner,
    erase_for_good,
    explained,
    flush_for_good,
    is_damage,
    not_kept,
)
from firsthandapi_server.sqlite.reader import Reader
from firsthandapi_server.state.keeping import DamagedError, NotKeptError

from . import activity

Role = Literal["worker", "reviewer", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)

FILE = "access.db"
SESSION_SECONDS = 30 * 86400.0
# As long as browsers keep a cookie: of whoever joined by a link, and has no token.
JOINED_SECONDS = 400 * 86400.0
MAX_NAME = 80
_TABLES = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,
    created_at REAL NOT NULL, used_at REAL, revoked_at REAL
);
CREATE TABLE IF NOT EXISTS sessions (
    hash BLOB PRIMARY KEY, token TEXT NOT NULL REFERENCES tokens (id), ends_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
-- What is to be erased: a worker, or a file.
CREATE TABLE IF NOT EXISTS erasures (worker_id TEXT PRIMARY KEY, asked_at REAL NOT NULL, done_at REAL);
CREATE TABLE IF NOT EXISTS consents (
    consent_id TEXT PRIMARY KEY, worker_id TEXT NOT NULL, notice_id TEXT NOT NULL, notice_version INTEGER NOT NULL,
    notice_sha256 TEXT NOT NULL, language TEXT NOT NULL, purposes TEXT NOT NULL, license TEXT NOT NULL,
    assurances TEXT NOT NULL, controller TEXT NOT NULL, retention TEXT NOT NULL, given_at REAL NOT NULL,
    mechanism TEXT NOT NULL, withdrawn_at REAL
);
CREATE INDEX IF NOT EXISTS consents_of ON consents (worker_id);
CREATE TRIGGER IF NOT EXISTS consents_stay BEFORE DELETE ON consents
BEGIN SELECT RAISE(ABORT, 'consents are kept'); END;
CREATE TRIGGER IF NOT EXISTS consents_are_fixed BEFORE UPDATE OF consent_id, worker_id, notice_id, notice_version,
    notice_sha256, language, purposes, license, assurances, controller, retention, given_at, mechanism ON consents
BEGIN SELECT RAISE(ABORT, 'consents are kept as they were given'); END;
-- Six words that bring somebody back, by their hash.
CREATE TABLE IF NOT EXISTS passports (worker_id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE);
-- Where people want their pay, in their own words.
CREATE TABLE IF NOT EXISTS payees (
    worker_id TEXT PRIMARY KEY, contact TEXT NOT NULL, pay_address TEXT NOT NULL, changed_at REAL NOT NULL
);
-- What was put together to be paid, and what each person gets of it.
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, made_at REAL NOT NULL, currency TEXT NOT NULL, paid_at REAL, reference TEXT
);
CREATE TABLE IF NOT EXISTS batch_rows (
    batch TEXT NOT NULL REFERENCES batches (id), worker_id TEXT NOT NULL, files INTEGER NOT NULL,
    cents INTEGER NOT NULL, UNIQUE (worker_id, batch)
);
CREATE TRIGGER IF NOT EXISTS batches_stay BEFORE DELETE ON batches
BEGIN SELECT RAISE(ABORT, 'batches are kept'); END;
CREATE TRIGGER IF NOT EXISTS batches_are_fixed BEFORE UPDATE ON batches
WHEN old.paid_at IS NOT NULL OR old.id <> new.id OR old.made_at <> new.made_at OR old.currency <> new.currency
BEGIN SELECT RAISE(ABORT, 'a batch is marked as paid once'); END;
CREATE TRIGGER IF NOT EXISTS batch_rows_stay BEFORE DELETE ON batch_rows
BEGIN SELECT RAISE(ABORT, 'batches are kept'); END;
CREATE TRIGGER IF NOT EXISTS batch_rows_are_fixed BEFORE UPDATE ON batch_rows
BEGIN SELECT RAISE(ABORT, 'batches are kept as they were made'); END;
CREATE TABLE IF NOT EXISTS notices (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL);
-- `is_settled` says that a rating no longer waits to count; it is derived, and may lag behind.
CREATE TABLE IF NOT EXISTS ratings (
    id TEXT PRIMARY KEY, submission TEXT NOT NULL, attempt INTEGER NOT NULL, files TEXT NOT NULL,
    reviewer TEXT NOT NULL, stars TEXT NOT NULL, reason TEXT, gold INTEGER, given_at REAL NOT NULL,
    undone_at REAL, is_settled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS open_ratings ON ratings (given_at)
WHERE undone_at IS NULL AND gold IS NULL AND NOT is_settled;
CREATE INDEX IF NOT EXISTS open_ratings_of ON ratings (submission, attempt, reviewer)
WHERE undone_at IS NULL AND gold IS NULL AND NOT is_settled;
CREATE INDEX IF NOT EXISTS ratings_of ON ratings (reviewer) WHERE undone_at IS NULL;
CREATE INDEX IF NOT EXISTS ratings_given ON ratings (reviewer, undone_at);
CREATE TRIGGER IF NOT EXISTS ratings_stay BEFORE DELETE ON ratings
BEGIN SELECT RAISE(ABORT, 'ratings are kept'); END;
CREATE TRIGGER IF NOT EXISTS ratings_are_fixed
BEFORE UPDATE OF id, submission, attempt, files, reviewer, stars, gold, given_at ON ratings
BEGIN SELECT RAISE(ABORT, 'ratings are kept as they were given'); END;
CREATE INDEX IF NOT EXISTS gold_ratings ON ratings (reviewer) WHERE gold IS NOT NULL AND undone_at IS NULL;
CREATE INDEX IF NOT EXISTS ratings_about ON ratings (submission, reviewer);
-- Of a rating that a program gave: which version of it, the family of media, and the stars that are approved.
CREATE TABLE IF NOT EXISTS programs (
    rating TEXT PRIMARY KEY, version TEXT NOT NULL, media TEXT NOT NULL, bar INTEGER NOT NULL
);
-- What people gave, blind, to a file that a program might have decided alone; in this order.
CREATE TABLE IF NOT EXISTS blind (position INTEGER PRIMARY KEY, rating TEXT NOT NULL UNIQUE, stars INTEGER NOT NULL);
-- What programs were asked: `cents` is the most that it may cost, until it is known. A crash leaves `asked`.
CREATE TABLE IF NOT EXISTS opinions (
    id INTEGER PRIMARY KEY, rater TEXT NOT NULL, sha256 TEXT NOT NULL, question TEXT NOT NULL, file TEXT NOT NULL,
    asked_at REAL NOT NULL, cents REAL, outcome TEXT NOT NULL DEFAULT 'asked', opinion TEXT
);
CREATE INDEX IF NOT EXISTS opinions_known ON opinions (sha256, question);
CREATE INDEX IF NOT EXISTS opinions_asked ON opinions (asked_at);
CREATE INDEX IF NOT EXISTS opinions_about ON opinions (file);
-- How many of them there are, so that nobody has to count.
CREATE TABLE IF NOT EXISTS figures (
    rater TEXT PRIMARY KEY, asked INTEGER NOT NULL DEFAULT 0, answered INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, cents REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS to_ask (
    rater TEXT NOT NULL, submission TEXT NOT NULL, attempt INTEGER NOT NULL, PRIMARY KEY (rater, submission, attempt)
);
-- What is to be told to people by mail, and which batches are told already.
CREATE TABLE IF NOT EXISTS news (
    id INTEGER PRIMARY KEY, worker TEXT NOT NULL, what TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL,
    due REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS news_told (subject TEXT PRIMARY KEY);
-- Where copies of the folder are, as a path or a URL.
CREATE TABLE IF NOT EXISTS backups (place TEXT PRIMARY KEY, made_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS gold (
    file TEXT PRIMARY KEY, submission TEXT NOT NULL, stars INTEGER NOT NULL, marked_by TEXT NOT NULL,
    marked_at REAL NOT NULL
);
"""
_COLUMNS = "id, role, name, created_at, used_at, revoked_at"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, without its secret, and when someone last signed in with it.

    The id of a worker's token, `wkr_…`, is also the worker's id in submissions.
    """

    id: str
    role: Role
    name: str
    created_at: float
    used_at: float | None
    revoked_at: float | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person who requests a page, by their token.

    Attributes:
        role: their highest role: an operator may also review, and a reviewer may also work.
        id: None for the person at the machine if they need no token.
    """

    role: Role
    id: str | None
    name: str

    def may(self, role: Role) -> bool:
        """Whether their role includes this role."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Access:
    """The tokens and sessions of one server.

    Args:
        path: the database file.

    Attributes:
        damage: what is damaged, once something was found; else None.

    Raises:
        ConfigurationError: the database is damaged, or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_for_owner(path)
        self._lock = threading.Lock()
        self.damage: str | None = None
        self._reader = Reader(path)
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        try:
            # A row costs one flush of the disk, where a journal that is rolled back costs four.
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute("PRAGMA synchronous = FULL")
            flush_for_good(self._rows)
            erase_for_good(self._rows)
            self._rows.executescript(_TABLES + activity.TABLES)
            self._secret = self.secret("forms")
        except (sqlite3.Error, NotKeptError) as error:
            self._rows.close()
            raise explained(path, error.__cause__ or error) from None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._reader.close()
            self._rows.close()

    def secret(self, name: str) -> bytes:
        """A random secret of the server, which survives restarts."""
        return self._first(name, secrets.token_bytes(32))

    def first_value(self, name: str, value: str) -> str:
        """A value that the first call decides; later calls return the first value."""
        return self._first(name, value.encode()).decode()

    def _first(self, name: str, value: bytes) -> bytes:
        with self._used() as rows:
            rows.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, value))
            row = rows.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()
        return bytes(row[0])

    def remember(self, name: str, value: str) -> None:
        """Keep a value, for commands beside the server."""
        with self._used() as rows:
            rows.execute("REPLACE INTO secrets VALUES (?, ?)", (name, value.encode()))

    def remembered(self, name: str, otherwise: str) -> str:
        """A value that was kept."""
        rows = self.look("SELECT value FROM secrets WHERE name = ?", name)
        return bytes(rows[0][0]).decode() if rows else otherwise

    def has_value(self, name: str) -> bool:
        """Whether `first_value` has stored this value."""
        return bool(self.look("SELECT 1 FROM secrets WHERE name = ?", name))

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """One change of several statements: all of it is kept, or, if it raises, nothing."""
        with self._used() as rows:
            rows.execute("BEGIN IMMEDIATE")
            with rows:
                yield rows

    @contextmanager
    def _used(self) -> Generator[sqlite3.Connection]:
        """The database, for one thread at a time; its failures as those see them who visit a page."""
        with self._lock, self._explained():
            yield self._rows

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not (is_damage(error) or isinstance(error, sqlite3.OperationalError)):
                raise
            failure = not_kept(error)
            if isinstance(failure, DamagedError):
                self.damage = str(failure)
            raise failure from error

    def look(self, sql: str, *values: object) -> list[Any]:
        """The rows that a query finds."""
        with self._used() as rows:
            return rows.execute(sql, values).fetchall()

    def read(self, sql: str, *values: object) -> list[Any]:
        """The same, for what may take long: nobody waits for it."""
        with self._explained():
            return self._reader.query(sql, *values)

    def note(self, kind: str, at: float, who: str | None, subject: str | None = None, **data: object) -> None:
        """Add a row to the log of who did what: see `activity.note`, which takes the same."""
        with self.transaction() as rows:
            activity.note(rows, kind, at, who, subject, **data)

    # --- tokens -----------------------------------------------------------------------------------------

    def create(self, role: Role, name: str, at: float, by: str = "server") -> tuple[Token, str]:
        """Create a token, and return it with its secret, which is shown only once. `by` creates it, for the log.
        Raises ValueError: the name is empty or too long.
        """
        with self.transaction() as rows:
            return new_token(rows, role, name, at, by)

    def tokens(self) -> list[Token]:
        """All tokens, oldest first."""
        rows = self.look(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, id")  # noqa: S608 - no input
        return [Token(*row) for row in rows]

    def name_of(self, worker: str) -> str | None:
        """The name on a worker's token. Reviewers and operators can also be workers."""
        ulid = worker.partition("_")[2]
        rows = self.look("SELECT name FROM tokens WHERE id IN (?, ?)", f"wkr_{ulid}", f"tok_{ulid}")
        return str(rows[0][0]) if rows else None

    def revoke(self, token_id: str, at: float, by: str = "server") -> bool:
        """Revoke a token and end its sessions immediately. Returns whether the token exists."""
        with self.transaction() as rows:
            changed = rows.execute(
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", (at, token_id)
            ).rowcount
            rows.execute("DELETE FROM sessions WHERE token = ?", (token_id,))
            rows.execute("DELETE FROM passports WHERE worker_id = ?", (token_id,))
            if changed:
                activity.note(rows, "token.revoked", at, by, token_id)
        return changed > 0

    def has_token(self, role: Role, *, good: bool = False) -> bool:
        """Whether a token of this role was ever created; with `good`, whether a valid one exists."""
        sql = "SELECT 1 FROM tokens WHERE role = ? AND (revoked_at IS NULL OR NOT ?) LIMIT 1"
        return bool(self.look(sql, role, good))

    # --- sessions ---------------------------------------------------------------------------------------

    def sign_in(self, secret: str, at: float) -> tuple[Visitor, str] | None:
        """Start a session if the token is valid. Returns its owner and the value of the cookie."""
        with self.transaction() as rows:
            holder = _holder(rows, secret)
            if holder is None:
                return None
            session = begin_session(rows, str(holder.id), at, SESSION_SECONDS)
            activity.note(rows, "sign_in", at, holder.id)
        return holder, session

    def holder(self, secret: str) -> Visitor | None:
        """The owner of this token, if it is valid."""
        with self._used() as rows:
            return _holder(rows, secret)

    def visitor(self, session: str, at: float) -> Visitor | None:
        """The owner of this session, until it ends."""
        sql = (
            "SELECT tokens.role, tokens.id, tokens.name FROM sessions JOIN tokens ON tokens.id = sessions.token "
            "WHERE sessions.hash = ? AND sessions.ends_at >= ? AND tokens.revoked_at IS NULL"
        )
        return next((Visitor(*row) for row in self.look(sql, _hash(session), at)), None)

    def sign_out(self, session: str) -> None:
        """End a session."""
        with self._used() as rows:
            rows.execute("DELETE FROM sessions WHERE hash = ?", (_hash(session),))

    def sign_out_others(self, token: str, session: str) -> None:
        """End all sessions of a token but one."""
        with self._used() as rows:
            rows.execute("DELETE FROM sessions WHERE token = ? AND hash <> ?", (token, _hash(session)))

    # --- erasing ----------------------------------------------------------------------------------------

    def wish(self, subject: str, at: float, by: str) -> None:
        """Write down that a worker or a file is to be erased. The server sees it, or its next start."""
        with self.transaction() as rows:
            activity.note(rows, "erasure.asked", at, by, subject)
            rows.execute(
                "INSERT INTO erasures VALUES (?, ?, NULL) "
                "ON CONFLICT (worker_id) DO UPDATE SET asked_at = excluded.asked_at, done_at = NULL",
                (subject, at),
            )

    def wishes(self, subject: str) -> bool:
        """Whether this is still to be erased."""
        return any(subject == name for name, _ in self.erasures())

    def erasures(self) -> list[tuple[str, float]]:
        """What is still to be erased, and since when."""
        return self.look("SELECT worker_id, asked_at FROM erasures WHERE done_at IS NULL ORDER BY asked_at")

    def fulfill(self, subject: str, asked_at: float, at: float) -> None:
        """Note that something is erased, unless it was asked for again."""
        with self.transaction() as rows:
            rows.execute(
                "UPDATE erasures SET done_at = ? WHERE worker_id = ? AND asked_at = ?",
                (at, subject, asked_at),
            )
            activity.note(rows, "erasure.done", at, "server", subject)

    def is_person(self, worker: str) -> bool:
        """Whether somebody has, or had, a token with this worker's id."""
        return bool(self.look("SELECT 1 FROM tokens WHERE substr(id, 5) = substr(?, 5)", worker))

    def has_withdrawn(self, worker: str) -> bool:
        """Whether this person agreed once, and has withdrawn all of it."""
        sql = "SELECT count(*), count(withdrawn_at) FROM consents WHERE worker_id = ?"
        ((consents, withdrawals),) = self.look(sql, worker)
        return bool(consents) and consents == withdrawals

    def forget(self, worker: str, at: float) -> None:
        """Forget who a worker was: no name or contact, no session, no token that opens anything, no consent that holds.

        The token of a reviewer or an operator is for more than work: it keeps its name until it is revoked.
        """
        with self.transaction() as rows:
            rows.execute(
                "UPDATE tokens SET name = '', hash = ?, used_at = NULL, revoked_at = coalesce(revoked_at, ?) "
                "WHERE substr(id, 5) = substr(?, 5) AND (role = 'worker' OR revoked_at IS NOT NULL)",
                (secrets.token_bytes(32), at, worker),
            )
            rows.execute("DELETE FROM sessions WHERE token = ?", (worker,))
            rows.execute("DELETE FROM payees WHERE worker_id = ?", (worker,))
            rows.execute("DELETE FROM news WHERE worker = ?", (worker,))
            withdraw(rows, worker, at)

    def forget_files(self, submissions: Iterable[str], files: Iterable[str]) -> None:
        """Forget what reviewers wrote of submissions; their stars stay. No erased file tests a reviewer any more."""
        with self.transaction() as rows:
            names = "SELECT value FROM json_each(?)"
            sql = f"UPDATE ratings SET reason = NULL WHERE submission IN ({names})"  # noqa: S608 - no input
            rows.execute(sql, (json.dumps([*submissions]),))
            rows.execute(f"DELETE FROM gold WHERE file IN ({names})", (json.dumps([*files]),))  # noqa: S608 - no input

    # --- forms ------------------------------------------------------------------------------------------

    def form_token(self, browser: str) -> str:
        """The value that a form from this browser must send, and that nobody else can know."""
        return hmac.new(self._secret, browser.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def is_form_token(self, browser: str, token: str) -> bool:
        """Whether a form sent the value of `form_token`."""
        return hmac.compare_digest(self.form_token(browser).encode(), token.encode("utf-8", "surrogatepass"))


def _holder(rows: sqlite3.Connection, secret: str) -> Visitor | None:
    digest = _hash(secret)
    row = rows.execute(
        "SELECT role, id, name, hash FROM tokens WHERE hash = ? AND revoked_at IS NULL", (digest,)
    ).fetchone()
    return Visitor(*row[:3]) if row is not None and hmac.compare_digest(bytes(row[3]), digest) else None


def new_token(
    rows: sqlite3.Connection, role: Role, name: str, at: float, by: str = "server"
) -> tuple[Token, str]:
    """The same, in the caller's transaction."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise ValueError(f"name must have 1 to {MAX_NAME} characters")
    secret = f"fh_{role}_{secrets.token_hex(16)}"
    token = Token(new_id("wkr_" if role == "worker" else "tok_", at), role, name, at, None, None)
    rows.execute(
        "INSERT INTO tokens (id, role, name, hash, created_at) VALUES (?, ?, ?, ?, ?)",
        (token.id, role, name, _hash(secret), at),
    )
    activity.note(rows, "token.created", at, by, token.id, role=role)
    return token, secret


def begin_session(rows: sqlite3.Connection, token: str, at: float, seconds: float) -> str:
    """A session of a token; the value of its cookie."""
    session = secrets.token_urlsafe(32)
    rows.execute("UPDATE tokens SET used_at = ? WHERE id = ?", (at, token))
    rows.execute("DELETE FROM sessions WHERE ends_at < ?", (at,))
    rows.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(session), token, at + seconds))
    return session


def withdraw(rows: sqlite3.Connection, worker: str, at: float) -> None:
    """A worker no longer agrees to anything, and their passport ends."""
    sql = "UPDATE consents SET withdrawn_at = ? WHERE worker_id = ? AND withdrawn_at IS NULL"
    rows.execute(sql, (at, worker))
    rows.execute("DELETE FROM passports WHERE worker_id = ?", (worker,))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
