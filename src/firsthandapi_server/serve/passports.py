"""Passports: six words that bring a person back on any device. They are shown once, and kept hashed."""

from __future__ import annotations

import hashlib
import re
import secrets
from functools import cache
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from .access import JOINED_SECONDS, Access, begin_session
from .activity import note

WORDS = 6
_HOLDER = """
SELECT worker_id FROM passports JOIN tokens ON tokens.id = worker_id WHERE passports.hash = ? AND revoked_at IS NULL
"""


@cache
def vocabulary() -> tuple[str, ...]:
    """The words that passports are made of: plain English ones, of which no two differ in a single letter."""
    return tuple(Path(__file__).with_name("passport.txt").read_text(encoding="ascii").split())


class Passports:
    """The passports of a study, in the database of people.

    Six of 1,683 words are 64 random bits, and a try costs 4 MB and some milliseconds: nobody guesses one, not even with
    the database in hand.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._salt = access.secret("passports")
        self._turns = CapacityLimiter(2)  # whoever tries many words takes no more of the machine

    async def renew(self, worker: str, at: float, keep: str | None = None) -> str:
        """New words of a person, which end their old ones. With `keep`, all their sessions but this one end too."""
        words = " ".join(secrets.choice(vocabulary()) for _ in range(WORDS))
        digest = await self._hash(words)
        with self._access.transaction() as rows:
            sql = "INSERT INTO passports VALUES (?, ?) ON CONFLICT (worker_id) DO UPDATE SET hash = excluded.hash"
            rows.execute(sql, (worker, digest))
            note(rows, "passport.made", at, worker)
        if keep is not None:
            self._access.sign_out_others(worker, keep)
        return words

    def has(self, worker: str) -> bool:
        """Whether a person has a passport."""
        return bool(self._access.look("SELECT 1 FROM passports WHERE worker_id = ?", worker))

    def is_lacking(self, worker: str) -> bool:
        """Whether a person has none, and works under no token of a reviewer or an operator."""
        return not self.has(worker) and bool(self._access.look("SELECT 1 FROM tokens WHERE id = ?", worker))

    async def holder(self, words: str) -> str | None:
        """Whose passport has these words, however they are written; None if nobody's."""
        spelled = re.findall("[a-z]+", words.lower())
        if len(spelled) != WORDS:
            return None
        rows = self._access.look(_HOLDER, await self._hash(" ".join(spelled)))
        return rows[0][0] if rows else None

    def sign_in(self, worker: str, at: float) -> str:
        """A session of whoever came back; the value of its cookie."""
        with self._access.transaction() as rows:
            note(rows, "sign_in", at, worker)
            return begin_session(rows, worker, at, JOINED_SECONDS)

    async def _hash(self, words: str) -> bytes:
        def digest() -> bytes:
            return hashlib.scrypt(words.encode(), salt=self._salt, n=1 << 12, r=8, p=1, dklen=32)

        return await to_thread.run_sync(digest, limiter=self._turns)
