"""What a server knows of a person, as a ZIP file for themselves: words in JSON, and the files as they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import RawIOBase
from itertools import chain
from typing import IO, Any, cast
from zipfile import ZipFile, ZipInfo

from firsthandapi._base.names import file_name_on_disk
from firsthandapi_server.contract.text import iso
from firsthandapi_server.sqlite.traces import Query
from firsthandapi_server.state.storage import Storage

from .activity import text_of

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


class Export:
    """What is known of a person, read at once from the databases of the service and of people; the bytes of files come
    later."""

    def __init__(self, query: Query, people: Query, worker: str, *, is_paid: bool = True) -> None:
        self._is_paid = is_paid
        # Of each file, its name in the ZIP file, its name in the storage, and how many bytes it has.
        self._parts: list[tuple[str, str, int]] = []
        files = [self._file(row) for row in query(_SENT, worker)]
        opinions = (
            "SELECT file, opinion FROM opinions WHERE opinion IS NOT NULL "
            "AND file IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        by_file = {file["file_id"]: file for file in files}
        for file, opinion in people(opinions, json.dumps([*by_file])):
            by_file[file]["program_opinions"].append(json.loads(opinion))
        names = people("SELECT name FROM tokens WHERE substr(id, 5) = substr(?, 5)", worker)
        self._known = {
            "worker_id": worker,
            "name": next((text_of(name) for (name,) in names if name), None),
            **({"earned_cents": sum(file["earned_cents"] for file in files)} if is_paid else {}),
            "consents": consents_of(people, worker),
            "files": files,
            "tasks": [
                {"task_id": task.rpartition("\n")[2], "task_text": text, "submission_id": submission}
                for task, text, submission in query(
                    "SELECT task, text, submission_id FROM assignments WHERE worker_id = ? ORDER BY position",
                    worker,
                )
            ],
            "log": [
                {"at": iso(at), "what": event, "subject": subject}
                for at, event, subject in people(
                    "SELECT at, what, subject FROM activity WHERE who = ? ORDER BY position", worker
                )
            ],
        }

    def _file(self, row: tuple[Any, ...]) -> dict[str, Any]:
        (file_id, content_type, original, source, rating, approved, withdrawn, submission, status, *times) = (
            row
        )
        (reasoning, submitted_at, scored_at, location, job, fields, appeal, answer) = times
        details, asked = json.loads(source), json.loads(fields)
        name = f"files/{file_name_on_disk(file_id, content_type)}"
        if details["sha256"]:
            self._parts.append((name, details["name"], details["size"]))
        if withdrawn:
            status = "withdrawn"
        elif status == "approved" and not approved:
            status = "rejected"
        return {
            "file_id": file_id,
            "file": name if details["sha256"] else None,
            "original_filename": text_of(original),
            "captured_at": iso(details["captured_at"]),
            "device_info": details["device_info"],
            "sha256": details["sha256"] or None,
            "submission_id": submission,
            "task_id": details["more"].get("task_id"),
            "task_text": details["more"].get("task_text"),
            "job_id": job,
            "job": asked.get("title") or asked["description"],
            "submitted_at": iso(submitted_at),
            "location": None if location is None else json.loads(location)[:2],
            "status": status,
            "stars": rating,
            "reason": reasoning and text_of(reasoning),
            "program_opinions": list[Any](),
            "scored_at": None if scored_at is None else iso(scored_at),
            **({"earned_cents": asked["price_per_file_cents"] if approved else 0} if self._is_paid else {}),
            "appeal": appeal and text_of(appeal),
            "appeal_answer": answer and text_of(answer),
        }

    def stream(self, storage: Storage) -> Iterator[bytes]:
        """The ZIP file, piece by piece: of a file, no more than a piece is in memory."""
        pipe = _Pipe()
        with ZipFile(cast("IO[bytes]", pipe), "w") as archive:
            archive.writestr("data.json", json.dumps(self._known, indent=2, ensure_ascii=False))
            for name, stored, size in self._parts:
                pieces = iter(storage.read(stored, 0, size))
                try:
                    first = next(pieces, b"")
                except FileNotFoundError:
                    continue  # it was erased meanwhile
                entry_info = ZipInfo(name)
                entry_info.file_size = size  # one over 2 GiB has another header, which comes first
                with archive.open(entry_info, "w") as entry:
                    for piece in chain((first,), pieces):
                        entry.write(piece)
                        yield pipe.take()
        yield pipe.take()


class _Pipe(RawIOBase):
    """What `ZipFile` writes to, where nothing can be read or sought."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: Any) -> int:
        """Take a piece."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def consents_of(people: Query, worker: str) -> list[dict[str, Any]]:
    """What a person has agreed to, oldest first, with the text of each notice."""
    sql = (
        f"SELECT {', '.join(_CONSENT)}, text FROM consents JOIN notices ON sha256 = notice_sha256 "  # noqa: S608 - no input
        "WHERE worker_id = ? ORDER BY given_at"
    )
    records: list[dict[str, Any]] = []
    for row in people(sql, worker):
        record: dict[str, Any] = dict(zip((*_CONSENT, "notice"), row, strict=True))
        for name in ("purposes", "assurances", "retention"):
            record[name] = json.loads(record[name])
        for name in ("given_at", "withdrawn_at"):
            record[name] = None if record[name] is None else iso(record[name])
        records.append(record)
    return records
