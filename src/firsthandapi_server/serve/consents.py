"""Who has agreed to what: a record for each person and notice, which nothing changes but its withdrawal."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from firsthandapi_server.console.face import PageError
from firsthandapi_server.contract.text import id_of, iso, new_id
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.traces import has_worked_for
from firsthandapi_server.state.model import Account

from .access import JOINED_SECONDS, Access, begin_session, withdraw
from .activity import note
from .passports import Passports
from .study import Study

_CURRENT = """
SELECT consent_id, license FROM consents WHERE worker_id = ? AND notice_version = ? AND withdrawn_at IS NULL
"""
_LATEST = """
SELECT notice_version, purposes, license, controller, retention, text, language, withdrawn_at IS NULL
FROM consents JOIN notices ON sha256 = notice_sha256 WHERE worker_id = ? ORDER BY given_at DESC LIMIT 1
"""
# Nothing of whoever had their data erased, or has asked for that.
_SHOWN = """
SELECT worker_id, notice_version, purposes, license, assurances, text, language, given_at, withdrawn_at
FROM consents JOIN notices ON sha256 = notice_sha256
WHERE consent_id = ? AND worker_id NOT IN (SELECT worker_id FROM erasures)
"""
_LEFT = "SELECT 1 FROM tokens WHERE id = ? AND revoked_at IS NOT NULL"
_WORDS = """
SELECT DISTINCT worker_id, notice_sha256 FROM consents WHERE notice_version = ? AND withdrawn_at IS NULL
"""
_COUNT = "SELECT count(DISTINCT worker_id) FROM consents WHERE withdrawn_at IS NULL"


@dataclass(frozen=True, slots=True)
class Agreed:
    """What somebody has agreed to.

    Attributes:
        version: the number of the notice.
        purposes: what the files were for.
        license: what was granted.
        controller: the organizer and the contact.
        rejected_days: after how many days rejected files are erased; None for never.
        text: the notice.
        language: that of the text.
        holds: whether they have not withdrawn it.
    """

    version: int
    purposes: Sequence[str]
    license: str
    controller: str
    rejected_days: int | None
    text: str
    language: str
    holds: bool


def shown(access: Access, state: KeptState, consent_id: str, account: Account) -> dict[str, Any] | None:
    """A consent as a buyer sees it, without a name; None if there is none of somebody who has worked for this account,
    or the person's data was erased."""
    rows = access.look(_SHOWN, consent_id)
    if not rows or not has_worked_for(state, rows[0][0], account):
        return None
    _, version, purposes, license, assurances, text, language, given_at, withdrawn_at = rows[0]
    return {
        "object": "consent",
        "id": consent_id,
        "version": version,
        "purposes": json.loads(purposes),
        "license": license,
        "assurances": json.loads(assurances),
        "text": text,
        "language": language,
        "agreed_at": iso(given_at),
        "withdrawn_at": None if withdrawn_at is None else iso(withdrawn_at),
    }


class Consents:
    """The consents of a study, in the database of people."""

    def __init__(self, access: Access, study: Study) -> None:
        self._access = access
        self._study = study
        self.passports = Passports(access)
        self._notice = access.first_value("notice", f"notice_{secrets.token_hex(8)}")

    def of(self, worker: str) -> dict[str, str] | None:
        """What the files of this person say of it, if they agreed to the notice of today and have not withdrawn."""
        rows = self._access.look(_CURRENT, worker, self._study.consent.version)
        return dict(zip(("consent_id", "license"), rows[0], strict=True)) if rows else None

    def latest(self, worker: str) -> Agreed | None:
        """What this person agreed to last, be it an older notice, or withdrawn since."""
        rows = self._access.look(_LATEST, worker)
        if not rows:
            return None
        version, purposes, license, controller, retention, text, language, holds = rows[0]
        days = json.loads(retention)["rejected"]
        return Agreed(version, json.loads(purposes), license, controller, days, text, language, bool(holds))

    def lacks_passport(self, worker: str) -> bool:
        """Whether somebody joined by a link and has no passport, so that on another device they would be somebody
        else."""
        return self._study.join == "open" and self.passports.is_lacking(worker)

    def of_other_words(self) -> int:
        """How many people have agreed to a notice of this version whose text is none of today's."""
        rows = self._access.look(_WORDS, self._study.consent.version)
        today = {_digest(text) for text in self._study.consent.text.values()}
        return len({worker for worker, digest in rows if digest not in today})

    def check_place(self, worker: str | None) -> None:
        """Check that one more may join; whoever has joined keeps their place. Raises PageError: nobody else may."""
        with self._access.transaction() as rows:
            self._check_place(rows, worker)

    def count(self) -> int:
        """How many people have joined, and have not withdrawn."""
        return int(self._access.look(_COUNT)[0][0])

    def give(self, worker: str, language: str, at: float) -> None:
        """Record that somebody agrees; nothing, if they have. Raises PageError: nobody else may join."""
        with self._access.transaction() as rows:
            self._give(rows, worker, language, at)

    def join(self, language: str, at: float, joining: str | None = None) -> tuple[str, str]:
        """Let in a new person who agrees; their id, and the value of their session's cookie.

        `joining` names this act of one browser, for `again`. Raises PageError: nobody else may join.
        """
        worker = new_id("wkr_", at) if joining is None else self._joined(joining)
        with self._access.transaction() as rows:
            (number,) = rows.execute("SELECT count(DISTINCT worker_id) FROM consents").fetchone()
            # No secret has this hash: they come back with the cookie alone.
            rows.execute(
                "INSERT INTO tokens (id, role, name, hash, created_at) VALUES (?, 'worker', ?, ?, ?)",
                (worker, f"Participant {number + 1}", secrets.token_bytes(32), at),
            )
            self._give(rows, worker, language, at)
            return worker, begin_session(rows, worker, at, JOINED_SECONDS)

    def again(self, joining: str, at: float) -> tuple[str, str] | None:
        """Whoever has joined by this act, and a session of theirs; None if nobody has."""
        worker = self._joined(joining)
        with self._access.transaction() as rows:
            row = rows.execute(
                "SELECT 1 FROM tokens WHERE id = ? AND revoked_at IS NULL", (worker,)
            ).fetchone()
            return None if row is None else (worker, begin_session(rows, worker, at, JOINED_SECONDS))

    def _joined(self, joining: str) -> str:
        """The id of whoever joins by an act: of somebody new, if the act is repeated after they left."""
        secret = self._access.secret("joining")
        while True:
            digest = hmac.digest(secret, joining.encode("utf-8", "replace"), hashlib.sha256)
            worker = id_of("wkr_", int.from_bytes(digest[:16]))
            if not self._access.look(_LEFT, worker):
                return worker
            joining += "\n"

    def withdraw(self, worker: str, at: float) -> None:
        """Record that somebody withdraws all that they agreed to."""
        with self._access.transaction() as rows:
            withdraw(rows, worker, at)
            note(rows, "consent.withdrawn", at, worker)

    def _check_place(self, rows: sqlite3.Connection, worker: str | None) -> None:
        most = self._study.max_workers
        if most is None or rows.execute(_COUNT).fetchone()[0] < most:
            return
        has_place = "SELECT 1 FROM consents WHERE worker_id = ? AND withdrawn_at IS NULL"
        if rows.execute(has_place, (worker,)).fetchone() is None:
            raise PageError(403, "This study is full. Thank you for your interest.", "Full")

    def _give(self, rows: sqlite3.Connection, worker: str, language: str, at: float) -> None:
        if rows.execute(_CURRENT, (worker, self._study.consent.version)).fetchone():
            return
        self._check_place(rows, worker)
        study = self._study
        text, notice_language = study.notice(language)
        digest = _digest(text)
        days = study.retention_days.rejected
        rows.execute("INSERT OR IGNORE INTO notices VALUES (?, ?)", (digest, text))
        rows.execute(
            f"INSERT INTO consents VALUES ({', '.join('?' * 13)}, NULL)",  # noqa: S608 - no input
            (
                new_id("cns_", at),
                worker,
                self._notice,
                study.consent.version,
                digest,
                notice_language,
                json.dumps(study.purposes, ensure_ascii=False),
                study.license,
                json.dumps(study.consent.assurances),
                study.controller,
                json.dumps({"rejected": days}),
                at,
                "web form",
            ),
        )
        note(rows, "study.joined", at, worker, version=study.consent.version)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
