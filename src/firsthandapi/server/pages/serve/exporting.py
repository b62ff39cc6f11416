"""What a server knows of a person, as a ZIP file for themselves: words in JSON, and the files as they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any
from zipfile import ZipFile

from firsthandapi._core.files.names import file_name_on_disk
from firsthandapi.server.contract.text import iso
from firsthandapi.server.sqlite.traces import Query
from firsthandapi.server.state.storage import Storage

_SENT = """
SELECT files.id, files.content_type, files.original_filename, files.source, files.rating, files.approved,
    files.withdrawn, submissions.id, submissions.status, submissions.reasoning, submissions.submitted_at,
    submissions.scored_at, submissions.location, jobs.id, jobs.fields, appeals.words, appeals.answer
FROM submissions JOIN json_each(submissions.files) AS sent JOIN files ON files.id = sent.value
    JOIN jobs ON jobs.id = submissions.job LEFT JOIN appeals ON appeals.submission = submissions.id
WHERE submissions.worker_id = ? ORDER BY submissions.position
"""
_CONSENT = (
    "consent_id", "notice_version", "notice_sha256", "language", "purposes", "license", "assurances", "controller",
    "retention", "given_at", "mechanism", "withdrawn_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """A file to export: its name in the ZIP file, its name in the storage, and its bytes."""

    name: str
    stored: str
    size: int


class Export:
    """What is known of a person, read at once; the bytes of files come later.

    Args:
        query: queries the database of the service.
        people: queries the database of people.
        worker: the person's id.
    """

    def __init__(self, query: Query, people: Query, worker: str) -> None:
        self._parts: list[_Part] = []
        files = [self._file(*row) for row in query(_SENT, worker)]
        names = people("SELECT name FROM tokens WHERE substr(id, 5) = substr(?, 5)", worker)
        self._known = {
            "worker_id": worker,
            "name": next((_text(name) for (name,) in names if name), None),
            "earned_cents": sum(each["earned_cents"] for each in files),
            "consents": _consents(people, worker),
            "files": files,
            "log": [
                {"at": iso(at), "what": what, "subject": subject}
                for at, what, subject in people(
                    "SELECT at, what, subject FROM activity WHERE who = ? ORDER BY position", worker
                )
            ],
        }

    def _file(
        self,
        file_id: str,
        content_type: str,
        original: str | bytes,
        source: str,
        rating: int | None,
        approved: int,
        withdrawn: int,
        submission: str,
        status: str,
        reasoning: str | bytes | None,
        submitted_at: float,
        scored_at: float | None,
        location: str | None,
        job: str,
        fields: str,
        appeal: str | bytes | None,
        answer: str | bytes | None,
    ) -> dict[str, Any]:
        kept, asked = json.loads(source), json.loads(fields)
        name = f"files/{file_name_on_disk(file_id, content_type)}"
        if kept["sha256"]:
            self._parts.append(_Part(name, kept["name"], kept["size"]))
        return {
            "file_id": file_id,
            "file": name if kept["sha256"] else None,
            "original_filename": _text(original),
            "captured_at": iso(kept["captured_at"]),
            "device_info": kept["device_info"],
            "sha256": kept["sha256"] or None,
            "submission_id": submission,
            "job_id": job,
            "job": asked.get("title") or asked["description"],
            "submitted_at": iso(submitted_at),
            "location": None if location is None else json.loads(location)[:2],
            "status": "withdrawn"
            if withdrawn
            else "rejected"
            if status == "approved" and not approved
            else status,
            "stars": rating,
            "reason": None if reasoning is None else _text(reasoning),
            "scored_at": None if scored_at is None else iso(scored_at),
            "earned_cents": asked["price_per_file_cents"] if approved else 0,
            "appeal": None if appeal is None else _text(appeal),
            "appeal_answer": None if answer is None else _text(answer),
        }

    def stream(self, storage: Storage) -> Iterator[bytes]:
        """The ZIP file, piece by piece: of a file, no more than a piece is in memory.

        Args:
            storage: where the bytes of files are.
        """
        pipe = _Pipe()
        with ZipFile(pipe, "w") as archive:
            archive.writestr("data.json", json.dumps(self._known, indent=2, ensure_ascii=False))
            for part in self._parts:
                pieces = iter(storage.read(part.stored, 0, part.size))
                try:
                    first = next(pieces, b"")
                except FileNotFoundError:
                    continue  # it was erased meanwhile
                with archive.open(part.name, "w") as entry:
                    for piece in chain((first,), pieces):
                        entry.write(piece)
                        yield pipe.take()
        yield pipe.take()


class _Pipe:
    """What `ZipFile` writes to, where nothing can be read or sought."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        """Take a piece."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _consents(people: Query, worker: str) -> list[dict[str, Any]]:
    if not people("SELECT 1 FROM sqlite_master WHERE name = 'consents'"):
        return []
    sql = (
        f"SELECT {', '.join(_CONSENT)}, text FROM consents JOIN notices ON sha256 = notice_sha256 "  # noqa: S608 - no input
        "WHERE worker_id = ? ORDER BY given_at"
    )
    found: list[dict[str, Any]] = []
    for row in people(sql, worker):
        record: dict[str, Any] = dict(zip((*_CONSENT, "notice"), row, strict=True))
        for name in ("purposes", "assurances", "retention"):
            record[name] = json.loads(record[name])
        for name in ("given_at", "withdrawn_at"):
            record[name] = None if record[name] is None else iso(record[name])
        found.append(record)
    return found


def _text(text: str | bytes) -> str:
    """A text as the database has it: what is no Unicode is there as bytes."""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
