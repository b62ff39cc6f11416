"""The tables, from the first released version of the database on. Steps are only ever added."""

from __future__ import annotations

import sqlite3

from firsthandapi.errors import ConfigurationError

# `position` is the order of arrival in a table. A `…_number` is the place of an item in a list of its owner, for ever.
_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE organizations (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, number INTEGER UNIQUE,
    name TEXT NOT NULL, email TEXT NOT NULL, job_limit INTEGER
);
CREATE TABLE accounts (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    organization TEXT NOT NULL REFERENCES organizations (id) DEFERRABLE INITIALLY DEFERRED,
    environment TEXT NOT NULL, settings TEXT NOT NULL,
    UNIQUE (organization, environment)
);
CREATE TABLE keys (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    organization TEXT, organization_number INTEGER,
    digest TEXT NOT NULL UNIQUE, masked TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL,
    created_at REAL NOT NULL, last_used_at REAL, expires_at REAL, revoked_at REAL,
    UNIQUE (organization, organization_number)
);

CREATE TABLE books (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    available INTEGER NOT NULL, held INTEGER NOT NULL, purchased INTEGER NOT NULL, granted INTEGER NOT NULL,
    spent INTEGER NOT NULL, expired INTEGER NOT NULL, updated_at REAL NOT NULL
);
CREATE TABLE lots (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    book TEXT REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED, book_number INTEGER,
    number INTEGER NOT NULL, kind TEXT NOT NULL, remaining INTEGER NOT NULL, expires_at REAL,
    is_announced INTEGER NOT NULL,
    UNIQUE (book, book_number)
);
CREATE INDEX open_lots ON lots (book) WHERE remaining > 0;
CREATE INDEX expiring_lots ON lots (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE transactions (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    book TEXT REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED, book_number INTEGER,
    type TEXT NOT NULL, amount_cents INTEGER NOT NULL, description TEXT NOT NULL, expires_at REAL,
    created_at REAL NOT NULL, job_id TEXT,
    UNIQUE (book, book_number)
);
CREATE TABLE checkouts (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
    cents INTEGER NOT NULL, is_paid INTEGER NOT NULL
);

CREATE TABLE jobs (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED, account_number INTEGER,
    fields TEXT NOT NULL, deadline REAL, created_at REAL NOT NULL, updated_at REAL NOT NULL, seed TEXT NOT NULL,
    escrow TEXT NOT NULL, status TEXT NOT NULL, completed_at REAL, cancelled_at REAL,
    buyer_rating INTEGER, buyer_feedback TEXT,
    pending INTEGER NOT NULL, rejections INTEGER NOT NULL, withdrawn INTEGER NOT NULL,
    UNIQUE (account, account_number)
);
CREATE INDEX deadlines ON jobs (deadline) WHERE deadline IS NOT NULL AND status NOT IN ('completed', 'cancelled');
CREATE TABLE submissions (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED, job_number INTEGER,
    account TEXT REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED, account_number INTEGER,
    worker_id TEXT NOT NULL, submitted_at REAL NOT NULL, files TEXT NOT NULL, status TEXT NOT NULL,
    attempt INTEGER NOT NULL, rating INTEGER, reasoning TEXT, dimensions TEXT, scored_at REAL, location TEXT,
    rated_by TEXT, flags TEXT NOT NULL,
    UNIQUE (job, job_number), UNIQUE (account, account_number)
);
CREATE INDEX by_worker ON submissions (job, worker_id);
CREATE INDEX by_person ON submissions (worker_id, position);
CREATE INDEX waiting ON submissions (position) WHERE status = 'pending_score';
CREATE INDEX retrying ON submissions (position) WHERE status = 'retry_pending';
CREATE TABLE files (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    submission TEXT NOT NULL REFERENCES submissions (id) DEFERRABLE INITIALLY DEFERRED,
    job TEXT REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED, approved_number INTEGER,
    content_type TEXT NOT NULL, source TEXT NOT NULL, original_filename TEXT NOT NULL, created_at REAL NOT NULL,
    wanted_rating INTEGER NOT NULL, annotations TEXT, rating INTEGER,
    approved INTEGER NOT NULL, withdrawn INTEGER NOT NULL,
    UNIQUE (job, approved_number)
);
CREATE INDEX listed ON files (position) WHERE approved AND NOT withdrawn;
CREATE INDEX same_bytes ON files (json_extract(source, '$.sha256'));
-- Uploads that no row owns yet, and files that no row owns any more: what a start removes.
CREATE TABLE loose (name TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE endpoints (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED, account_number INTEGER,
    url TEXT NOT NULL, events TEXT, description TEXT, secret TEXT NOT NULL, created_at REAL NOT NULL,
    enabled INTEGER NOT NULL, deleted INTEGER NOT NULL,
    UNIQUE (account, account_number)
);
CREATE TABLE events (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED, account_number INTEGER,
    type TEXT NOT NULL, body BLOB NOT NULL,
    UNIQUE (account, account_number)
);
CREATE TABLE deliveries (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, number INTEGER UNIQUE,
    event TEXT NOT NULL REFERENCES events (id) DEFERRABLE INITIALLY DEFERRED, event_number INTEGER,
    endpoint TEXT NOT NULL REFERENCES endpoints (id) DEFERRABLE INITIALLY DEFERRED,
    attempts TEXT NOT NULL, status TEXT NOT NULL,
    UNIQUE (event, event_number)
);
CREATE INDEX pending ON deliveries (position) WHERE status = 'pending';
CREATE INDEX undelivered ON deliveries (position) WHERE status IN ('pending', 'failed');
CREATE TABLE audit (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    account TEXT REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED, account_number INTEGER,
    event_type TEXT NOT NULL, job_id TEXT, actor TEXT NOT NULL, data TEXT NOT NULL, created_at REAL NOT NULL,
    UNIQUE (account, account_number)
);

-- An appeal is answered once; an erasure may only take its words away.
CREATE TABLE appeals (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    submission TEXT NOT NULL UNIQUE REFERENCES submissions (id) DEFERRABLE INITIALLY DEFERRED,
    words TEXT NOT NULL, created_at REAL NOT NULL, answered_at REAL, actor TEXT,
    accepted INTEGER NOT NULL, paid INTEGER NOT NULL, answer TEXT NOT NULL
);
CREATE TRIGGER appeals_stay BEFORE DELETE ON appeals BEGIN SELECT RAISE(ABORT, 'appeals are kept'); END;
CREATE TRIGGER appeals_are_fixed BEFORE UPDATE ON appeals
WHEN old.answered_at IS NOT NULL AND new.answered_at IS NOT old.answered_at OR new.submission <> old.submission
    OR new.words NOT IN ('', old.words) OR old.answered_at IS NOT NULL AND new.answer NOT IN ('', old.answer)
    OR old.answered_at IS NOT NULL AND (new.accepted <> old.accepted OR new.paid <> old.paid)
BEGIN SELECT RAISE(ABORT, 'appeals are kept as they were answered'); END;

-- `kept` says how a body is: as it came, or in memory.
CREATE TABLE replies (
    slot BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
    expires_at REAL NOT NULL, kept TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX expiring_replies ON replies (expires_at);
"""

# So that a list, a filter, or a summary of a million submissions reads a part of an index, and an erasure finds what
# names a file. `replies` gets a position: what is written at the end, and removed from the start, is moved nowhere, so
# that no copy stays behind.
_SECOND = """
CREATE INDEX paid ON files (submission, approved) WHERE approved;
CREATE INDEX unapproved ON files (position) WHERE NOT approved AND json_extract(source, '$.sha256') <> '';
CREATE INDEX submissions_by_status ON submissions (account, status, account_number, submitted_at, rating, scored_at);
CREATE INDEX submissions_in_order ON submissions (account, account_number, submitted_at, rating);
CREATE INDEX line ON submissions (position, account, worker_id, job, attempt, id) WHERE status = 'pending_score';
CREATE INDEX line_of_job ON submissions (job, position, account, worker_id, attempt, id)
WHERE status = 'pending_score';
CREATE INDEX line_of_worker ON submissions (worker_id, position, account, job, attempt, id)
WHERE status = 'pending_score';
CREATE INDEX retries_by_time ON submissions (scored_at) WHERE status = 'retry_pending';
DROP INDEX waiting;
CREATE INDEX events_by_type ON events (account, type, account_number);
CREATE INDEX events_about ON events (json_extract(CAST(body AS TEXT), '$.data.submission_id'));
CREATE INDEX audit_by_type ON audit (account, event_type, account_number);
CREATE INDEX audit_by_job ON audit (account, job_id, account_number);
CREATE INDEX rejections ON audit (json_extract(data, '$.submission_id')) WHERE event_type = 'submission.rejected';

ALTER TABLE replies RENAME TO old_replies;
CREATE TABLE replies (
    position INTEGER PRIMARY KEY, slot BLOB NOT NULL UNIQUE, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, expires_at REAL NOT NULL, kept TEXT NOT NULL
);
INSERT INTO replies (slot, fingerprint, status, body, expires_at, kept)
SELECT slot, fingerprint, status, body, expires_at, kept FROM old_replies ORDER BY expires_at;
DROP TABLE old_replies;
CREATE INDEX expiring_replies ON replies (expires_at);
"""

# The rows of a study's tasks: `number` is the place in the table, null once it is not there any more.
_TASKS = """
CREATE TABLE tasks (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, task_id TEXT NOT NULL,
    text TEXT NOT NULL, quota INTEGER NOT NULL, gold INTEGER, number INTEGER, taken INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX listed_tasks ON tasks (title, number) WHERE number IS NOT NULL;
CREATE INDEX open_tasks ON tasks (title, number) WHERE number IS NOT NULL AND taken < quota;
CREATE TABLE assignments (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL REFERENCES tasks (id) DEFERRABLE INITIALLY DEFERRED,
    worker_id TEXT NOT NULL, text TEXT NOT NULL, files INTEGER NOT NULL, until REAL NOT NULL, submission_id TEXT UNIQUE
);
CREATE INDEX assignments_of ON assignments (worker_id);
CREATE INDEX assigned ON assignments (task, until);
CREATE INDEX titled ON jobs (account, trim(json_extract(fields, '$.title')));
"""
# `taken` is how many files of a row wait or are approved: counted at each change, whatever makes it.
_COUNTED = "".join(
    f"""
CREATE TRIGGER tasks_{number} AFTER {change} BEGIN
    UPDATE tasks SET taken = (
        SELECT count(*) FROM assignments JOIN submissions ON submissions.id = assignments.submission_id
            JOIN json_each(submissions.files) AS sent JOIN files ON files.id = sent.value
        WHERE assignments.task = tasks.id
            AND (submissions.status IN ('pending_score', 'retry_pending') OR files.approved AND NOT files.withdrawn)
    ) WHERE id IN (SELECT task FROM assignments WHERE submission_id = {submission});
END;"""
    for number, (change, submission) in enumerate(
        (
            ("INSERT ON submissions", "new.id"),
            ("UPDATE OF status, files ON submissions", "new.id"),
            ("INSERT ON files", "new.submission"),
            ("UPDATE OF approved, withdrawn ON files", "new.submission"),
            ("UPDATE OF submission_id ON assignments", "new.submission_id"),
            ("INSERT ON assignments", "new.submission_id"),
        )
    )
)

STEPS: tuple[str, ...] = (_FIRST, _SECOND, _TASKS + _COUNTED)
UNRELEASED = 7  # versions before the first


def migrate(connection: sqlite3.Connection, where: object) -> None:
    """Bring a database to the newest version, in one transaction.
    Raises ConfigurationError: a newer version of firsthandapi has written it, or one that was never released.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = UNRELEASED + len(STEPS)
    if 0 < version <= UNRELEASED:
        raise ConfigurationError(
            f"{where} has version {version}, from before the first release: use another folder"
        )
    if version > newest:
        raise ConfigurationError(
            f"{where} has version {version}, and this firsthandapi knows version {newest} at most: a newer one has "
            "written it; upgrade firsthandapi"
        )
    if version < newest:
        script = "".join(STEPS[max(0, version - UNRELEASED) :])
        # `executescript` commits what is open and begins nothing: so the transaction is part of the script.
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {newest}; COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
